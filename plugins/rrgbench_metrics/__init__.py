"""Metrics of generated reports."""

from __future__ import annotations

import rrgbench
from rrgbench_metrics.bleu import Bleu
from rrgbench_metrics.cider import Cider
from rrgbench_metrics.diversity import Diversity
from rrgbench_metrics.findings import Findings, LabelFindings
from rrgbench_metrics.meteor import Meteor
from rrgbench_metrics.radgraph import RadGraph
from rrgbench_metrics.retrieval import Retrieval
from rrgbench_metrics.rouge import Rouge


@rrgbench.hookimpl
def rrgbench_metrics() -> dict[str, object]:
    return {
        "bleu": Bleu,
        "rouge": Rouge,
        "cider": Cider,
        "meteor": Meteor,
        "diversity": Diversity,
        "retrieval": Retrieval,
        "radgraph": RadGraph,
        "findings": Findings,
        "label_findings": LabelFindings,
    }
