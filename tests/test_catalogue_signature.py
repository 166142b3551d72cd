"""Signatures as data: what a factory asks for, its options and defaults, its class attributes, and what is refused."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import pytest
from pydantic import Field

from rrgbench import Metric, PluginError
from rrgbench.catalogue.hints import summary
from rrgbench.catalogue.schema import words
from rrgbench.catalogue.signature import read_signature
from rrgbench.interfaces import KINDS

if TYPE_CHECKING:
    from torch import Tensor

FUSIONS, METRICS, LOSSES, DECODERS = (KINDS[name] for name in ("fusions", "metrics", "losses", "decoders"))


class Sound:
    """A fusion whose positional annotations are for the type checker only."""

    def __init__(
        self, dims: Mapping[str, Tensor], memory_dim: int, *, heads: Annotated[int, Field(ge=1)] = 4, p: float = 0
    ) -> None:
        self.heads = heads


def test_a_signature_is_the_schema() -> None:
    values, options, attributes = read_signature(FUSIONS, Sound)
    assert values == ("dims", "memory_dim")
    assert [(option.name, words(option.tree), option.required, option.default) for option in options] == [
        ("heads", "int >= 1", False, 4),
        ("p", "float", False, 0),
    ]
    assert attributes == {}


class Inherits(Sound):
    """Its options are its parent's, by inheritance."""


@dataclass
class Data:
    dims: Mapping[str, int]
    memory_dim: int
    _: KW_ONLY
    layers: int = 2


class Callable_:  # noqa: N801 - its instance is the factory
    def __call__(self, dims: Any, memory_dim: int, *, heads: int = 4) -> Any: ...

    @classmethod
    def make(cls, dims: Any, memory_dim: int, *, heads: int = 4) -> Any: ...


def _function(dims: Any, memory_dim: int, *, heads: "int" = 4) -> Any: ...  # noqa: UP037 - a string is an annotation too


@pytest.mark.parametrize(
    ("factory", "expected"),
    [
        (Inherits, {"heads": 4, "p": 0}),
        (Data, {"layers": 2}),
        (Callable_(), {"heads": 4}),
        (Callable_.make, {"heads": 4}),
        (_function, {"heads": 4}),
        (functools.partial(Sound, heads=8), {"heads": 8, "p": 0}),
        (functools.partial(_function, heads=8), {"heads": 8}),
        (functools.partial(functools.partial(Sound, heads=8), p=0.5), {"heads": 8, "p": 0.5}),
    ],
    ids=["inherits", "dataclass", "instance", "classmethod", "function", "partial of a class", "partial", "partial of a partial"],
)
def test_factories_of_every_make_are_read(factory: Any, expected: dict[str, Any]) -> None:
    _, options, _ = read_signature(FUSIONS, factory)
    assert {option.name: option.default for option in options} == expected


def _wrong(signature: str) -> Any:
    namespace: dict[str, Any] = {}
    exec(f"def wrong({signature}): ...", {"Metric": Metric}, namespace)
    return namespace["wrong"]


@pytest.mark.parametrize(
    ("signature", "said"),
    [
        ("dims, memory_dim, *, heads=4", "`heads` has no annotation"),
        ("dims, memory_dim, heads: int = 4", "`heads` is not a platform value"),
        ("dim, memory_dim", "did you mean 'dims'"),
        ("dims, memory_dim, *args", "hides options"),
        ("dims, memory_dim, **options", "`**options` hides options"),
        ("dims, memory_dim, tokenizer", "`tokenizer` is not for fusions"),
        ("dims, *, memory_dim: int", "`memory_dim` is a platform value and must be positional"),
        ("*, name: str", "that is the component's name"),
        ("*, heads: int = 0.5", "the default of `heads` is 0.5, which is not int"),
        ("*, heads: int = None", "the default of `heads` is None, which is not int"),
        ("*, heads: int = float('inf')", "the default of `heads` is inf"),
        ("*, metric: Metric = None", "the default of `metric` is None"),
        ("*, metric: Metric = 3", "the default of `metric` is 3"),
        ("*, metric: Metric = object()", "the default of `metric` is <object"),
        ("*, heads: Unknown = 4", "cannot be evaluated"),
        ("*, heads: Metric.nothing = 4", "`heads`"),
        ("*, heads: 'a b' = 4", "cannot be evaluated"),
        ("*, heads: object = 4", "cannot be written in an experiment file"),
    ],
)
def test_a_signature_that_cannot_be_served_says_which_parameter(signature: str, said: str) -> None:
    if "Metric.nothing" in signature or "Unknown" in signature:
        signature = signature.replace("Metric.nothing", "'Metric.nothing'").replace("Unknown", "'Unknown'")
    with pytest.raises(PluginError) as caught:
        read_signature(FUSIONS, _wrong(signature))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_loss_leaves_its_weight_to_the_experiment() -> None:
    factory = _wrong("*, weight: float = 1.0")
    factory.needs = frozenset()
    with pytest.raises(PluginError, match="cannot be called `weight`"):
        read_signature(LOSSES, factory)


class AMetric:
    values: ClassVar[Mapping[str, str]] = {"a": "higher"}
    needs: ClassVar[frozenset[str]] = frozenset({"texts", "annotations"})
    resampled: ClassVar[bool] = True


def test_class_attributes_are_read_without_an_instance() -> None:
    _, _, attributes = read_signature(METRICS, AMetric)
    assert attributes == {"values": {"a": "higher"}, "needs": ["annotations", "texts"], "resampled": True}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"values": {"a": "up"}}, "`values`"),
        ({"values": ["a"]}, "`values`"),
        ({"needs": "texts"}, "`needs`"),
        ({"resampled": 1}, "`resampled`"),
        ({"resampled": property(lambda self: True)}, "property is not plain data"),
    ],
)
def test_a_class_attribute_of_another_type_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(PluginError) as caught:
        read_signature(METRICS, type("Wrong", (AMetric,), changes))
    assert said in str(caught.value)


def test_a_missing_class_attribute_is_named() -> None:
    with pytest.raises(PluginError, match="`values` is missing"):
        read_signature(METRICS, Sound.__class__("Bare", (), {}))


def test_a_decoder_names_only_options_that_it_has() -> None:
    factory = _wrong("*, model: str = 'x'")
    factory.own_tokenizer = {"name": "auto", "model": "$modell"}
    with pytest.raises(PluginError, match="no option `modell`"):
        read_signature(DECODERS, factory)


# Words.


def test_a_summary_is_the_first_paragraph_on_one_line() -> None:
    assert summary("One\n    line and \x1b[31mmore.\n\n    Not this.") == "One line and ?[31mmore."
    assert summary(None) == summary("   ") == ""
    long = summary("word " * 100)
    assert len(long) <= 200
    assert long.endswith("word …")
