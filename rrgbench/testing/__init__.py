"""Contracts for components, and toys to try them with.

A plugin's test file is one class a component::

    from rrgbench.testing import FusionContract

    class TestGated(FusionContract):
        component = Gated

Every ``test_`` method is one check; it raises AssertionError with a sentence that says what is wrong. ``checks`` and
``failures`` run the same checks without pytest.
"""

from rrgbench.testing.annotator import AnnotatorContract
from rrgbench.testing.building import Check
from rrgbench.testing.cues import CuesContract
from rrgbench.testing.dataset import DatasetContract
from rrgbench.testing.decoder import DecoderContract
from rrgbench.testing.encoders import ImageEncoderContract, TextEncoderContract
from rrgbench.testing.floors import FloorContract
from rrgbench.testing.fusion import FusionContract
from rrgbench.testing.knowledge import KnowledgeEncoderContract
from rrgbench.testing.protocols import ProtocolContract
from rrgbench.testing.running import CONTRACTS, checks, failures
from rrgbench.testing.scoring import MetricContract, TokenizerContract
from rrgbench.testing.segmenter import SegmenterContract, toy_chest
from rrgbench.testing.toys import ToyCues, ToyDataset, ToyTokenizer, toy_features, toy_graph, toy_values
from rrgbench.testing.training import AdapterContract, LossContract

__all__ = [
    "CONTRACTS",
    "AdapterContract",
    "AnnotatorContract",
    "Check",
    "CuesContract",
    "DatasetContract",
    "DecoderContract",
    "FloorContract",
    "FusionContract",
    "ImageEncoderContract",
    "KnowledgeEncoderContract",
    "LossContract",
    "MetricContract",
    "ProtocolContract",
    "SegmenterContract",
    "TextEncoderContract",
    "TokenizerContract",
    "ToyCues",
    "ToyDataset",
    "ToyTokenizer",
    "checks",
    "failures",
    "toy_chest",
    "toy_features",
    "toy_graph",
    "toy_values",
]
