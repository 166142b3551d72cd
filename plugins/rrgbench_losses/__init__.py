"""First-party losses."""

from __future__ import annotations

import rrgbench
from rrgbench_losses.contrastive import Contrastive
from rrgbench_losses.cross_entropy import CrossEntropy
from rrgbench_losses.findings import Findings
from rrgbench_losses.segmentation import Segmentation


@rrgbench.hookimpl
def rrgbench_losses() -> dict[str, type]:
    return {"cross_entropy": CrossEntropy, "contrastive": Contrastive, "findings": Findings, "segmentation": Segmentation}
