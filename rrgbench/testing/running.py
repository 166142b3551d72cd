"""The contracts without pytest: for a command that checks a plugin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rrgbench.errors import ConfigError
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
from rrgbench.testing.scoring import MetricContract, TokenizerContract
from rrgbench.testing.segmenter import SegmenterContract
from rrgbench.testing.training import AdapterContract, LossContract

CONTRACTS: Mapping[str, type] = {
    "adapters": AdapterContract,
    "annotators": AnnotatorContract,
    "cues": CuesContract,
    "datasets": DatasetContract,
    "decoders": DecoderContract,
    "floors": FloorContract,
    "fusions": FusionContract,
    "image_encoders": ImageEncoderContract,
    "knowledge_encoders": KnowledgeEncoderContract,
    "losses": LossContract,
    "metrics": MetricContract,
    "protocols": ProtocolContract,
    "segmenters": SegmenterContract,
    "text_encoders": TextEncoderContract,
    "tokenizers": TokenizerContract,
}
"""Kind of component -> its contract. A kind that is not here has none yet."""


def checks(kind: str, component: Any, options: Mapping[str, Any] | None = None, **attributes: Any) -> dict[str, Check]:
    """The checks of one component by name; each raises AssertionError with a sentence that says what is wrong.

    Args:
        kind: of component, as in ``rrgbench.KINDS``.
        component: the factory.
        options: what it is made with.
        attributes: other attributes of the contract, such as ``root`` or ``tokenizer``.

    Raises:
        ConfigError: a kind without a contract.
    """
    if kind not in CONTRACTS:
        raise ConfigError("there is no contract for this kind of component", got=kind, expected=", ".join(sorted(CONTRACTS)))
    contract = type(
        CONTRACTS[kind].__name__,
        (CONTRACTS[kind],),
        {"component": component, "options": dict(options or {}), **attributes},
    )()
    names = [name for name in vars(CONTRACTS[kind]) if name.startswith("test_")]
    return {name.removeprefix("test_").replace("_", " "): getattr(contract, name) for name in names}


def failures(kind: str, component: Any, options: Mapping[str, Any] | None = None, **attributes: Any) -> dict[str, str]:
    """Name of a check -> the sentence that it failed with; empty where the component keeps its contract."""
    found = {}
    for name, check in checks(kind, component, options, **attributes).items():
        try:
            check()
        except AssertionError as error:
            found[name] = str(error)
    return found
