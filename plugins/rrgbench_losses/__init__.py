"""First-party losses."""

from __future__ import annotations

import rrgbench
from rrgbench_losses.alignment import EntityAlignment, KnowledgeAlignment
from rrgbench_losses.contrastive import Contrastive
from rrgbench_losses.cross_entropy import CrossEntropy
from rrgbench_losses.findings import Findings
from rrgbench_losses.language import LanguageModelling, MaskedLanguageModelling
from rrgbench_losses.matching import ImageTextMatching
from rrgbench_losses.scst import Scst
from rrgbench_losses.segmentation import Segmentation


@rrgbench.hookimpl
def rrgbench_losses() -> dict[str, type]:
    return {
        "cross_entropy": CrossEntropy,
        "contrastive": Contrastive,
        "entity_alignment": EntityAlignment,
        "findings": Findings,
        "image_text_matching": ImageTextMatching,
        "knowledge_alignment": KnowledgeAlignment,
        "language_modelling": LanguageModelling,
        "masked_language_modelling": MaskedLanguageModelling,
        "scst": Scst,
        "segmentation": Segmentation,
    }
