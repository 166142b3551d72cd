"""rrgbench: which part of a radiology report generator earns its keep, and can the number be believed?

The public face. Importing it never imports torch; ``rrgbench.films``, ``rrgbench.findings``, ``rrgbench.jvm``, ``rrgbench.nn``,
``rrgbench.text`` and ``rrgbench.testing`` are public too.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from rrgbench.errors import ConfigError, DataError, ManyErrors, PluginError, RRGBenchError, StoreError
from rrgbench.hookspecs import hookimpl
from rrgbench.identity import derive_seed
from rrgbench.interfaces import (
    KINDS,
    VALUES,
    Adapter,
    Annotator,
    Cues,
    Dataset,
    Decoder,
    Event,
    Executor,
    Explainer,
    Floor,
    Fusion,
    ImageEncoder,
    KnowledgeEncoder,
    Loss,
    Metric,
    ScoringProtocol,
    Segmenter,
    TextEncoder,
    Tokenizer,
    worker_command,
)
from rrgbench.types import (
    SPLITS,
    VIEWS,
    Better,
    Count,
    Cue,
    Download,
    Entity,
    Examples,
    Features,
    InputBatch,
    Inputs,
    KnowledgeGraph,
    License,
    Node,
    Output,
    ReportGraph,
    Samples,
    Sampling,
    Side,
    Split,
    TargetBatch,
    Targets,
    Texts,
)

if TYPE_CHECKING:
    from rrgbench.experiment import Experiment
    from rrgbench.leaderboard import rows
    from rrgbench.runner import run

__version__ = "0.1.0"

_LAZY = {"Experiment": "rrgbench.experiment", "run": "rrgbench.runner", "rows": "rrgbench.leaderboard"}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'rrgbench' has no attribute {name!r}")


__all__ = [
    "KINDS",
    "SPLITS",
    "VALUES",
    "VIEWS",
    "Adapter",
    "Annotator",
    "Better",
    "ConfigError",
    "Count",
    "Cue",
    "Cues",
    "DataError",
    "Dataset",
    "Decoder",
    "Download",
    "Entity",
    "Event",
    "Examples",
    "Executor",
    "Experiment",
    "Explainer",
    "Features",
    "Floor",
    "Fusion",
    "ImageEncoder",
    "InputBatch",
    "Inputs",
    "KnowledgeEncoder",
    "KnowledgeGraph",
    "License",
    "Loss",
    "ManyErrors",
    "Metric",
    "Node",
    "Output",
    "PluginError",
    "RRGBenchError",
    "ReportGraph",
    "Samples",
    "Sampling",
    "ScoringProtocol",
    "Segmenter",
    "Side",
    "Split",
    "StoreError",
    "TargetBatch",
    "Targets",
    "TextEncoder",
    "Texts",
    "Tokenizer",
    "__version__",
    "derive_seed",
    "hookimpl",
    "rows",
    "run",
    "worker_command",
]
