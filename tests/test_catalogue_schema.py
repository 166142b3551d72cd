"""Options as data: annotations to trees and back, and values that are exactly what a tree asks for."""

from __future__ import annotations

import datetime
import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Optional

import annotated_types
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, PositiveInt, StringConstraints

from rrgbench import Floor, Metric, PluginError
from rrgbench.catalogue.hints import summary
from rrgbench.catalogue.schema import Mismatch, check, decode, encode, fold, words
from rrgbench.catalogue.signature import read_signature
from rrgbench.interfaces import KINDS

if TYPE_CHECKING:
    from torch import Tensor

FUSIONS, METRICS, LOSSES, DECODERS = (KINDS[name] for name in ("fusions", "metrics", "losses", "decoders"))


# Trees.

_SCALARS = st.one_of(
    st.just({"type": "bool"}),
    st.just({"type": "str"}),
    st.just({"type": "path"}),
    st.builds(lambda low: {"type": "int", "ge": low}, st.integers(-9, 9)),
    st.builds(lambda high: {"type": "float", "lt": high}, st.floats(-9, 9, allow_nan=False)),
    st.builds(lambda longest: {"type": "str", "max_length": longest}, st.integers(1, 9)),
    st.just({"type": "int"}),
    st.just({"type": "float"}),
    st.builds(
        lambda values: {"type": "literal", "values": values},
        st.lists(st.one_of(st.text(max_size=3), st.integers(-3, 3), st.booleans()), min_size=1, max_size=4, unique_by=repr),
    ),
)


def _grown(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    plain = inner.filter(lambda tree: tree["type"] not in ("union", "path", "str"))
    return st.one_of(
        st.builds(lambda tree: {"type": "list", "of": tree}, inner),
        st.builds(lambda tree: {"type": "list", "as": "tuple", "of": tree, "min_length": 0}, inner),
        st.builds(lambda trees: {"type": "tuple", "of": trees}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda tree: {"type": "mapping", "of": tree}, inner),
        st.builds(lambda tree: {"type": "union", "of": [tree, {"type": "none"}]}, plain),
        st.builds(
            lambda trees: {"type": "union", "of": trees},
            st.lists(plain, min_size=2, max_size=3, unique_by=lambda tree: tree["type"]),
        ),
    )


TREES = st.recursive(_SCALARS, _grown, max_leaves=6)


def _values(tree: dict[str, Any]) -> st.SearchStrategy[Any]:
    """JSON data that a tree takes."""
    what = tree["type"]
    if what == "union":
        return st.one_of([_values(item) for item in tree["of"]])
    if what == "list":
        return st.lists(_values(tree["of"]), max_size=3)
    if what == "tuple":
        return st.tuples(*map(_values, tree["of"])).map(list)
    if what == "mapping":
        return st.dictionaries(st.text(max_size=3), _values(tree["of"]), max_size=3)
    if what == "literal":
        return st.sampled_from(tree["values"])
    high = tree.get("lt", 1e300)
    return {
        "none": st.none(),
        "bool": st.booleans(),
        "str": st.text(max_size=tree.get("max_length", 5)),
        "path": st.text(st.characters(codec="ascii", exclude_characters="\0"), min_size=1, max_size=5),
        "int": st.integers(tree.get("ge", -(10**15)), 10**15),
        "float": st.floats(max_value=high, exclude_max="lt" in tree, allow_nan=False, allow_infinity=False),
    }[what]


@given(TREES)
def test_a_tree_comes_back_from_its_annotation(tree: dict[str, Any]) -> None:
    assert encode(decode(tree)) == tree
    assert json.loads(json.dumps(tree)) == tree
    assert words(tree)


@given(st.data())
def test_every_value_of_a_tree_passes_and_is_folded_to_itself(data: st.DataObject) -> None:
    tree = data.draw(TREES)
    value = data.draw(_values(tree))
    check(tree, value)
    folded = fold(tree, value, lambda _, item, __: item)
    assert json.dumps(folded) == json.dumps(value)


@given(st.data())
def test_a_value_that_is_wrong_inside_is_refused(data: st.DataObject) -> None:
    tree = data.draw(TREES.filter(lambda tree: tree["type"] != "mapping"))
    with pytest.raises(Mismatch):
        check(tree, {"a": datetime.date(2020, 1, 1)})


@pytest.mark.parametrize(
    ("annotation", "tree"),
    [
        (int, {"type": "int"}),
        (None, {"type": "none"}),
        (Optional[int], {"type": "union", "of": [{"type": "int"}, {"type": "none"}]}),  # noqa: UP045 - both ways of writing
        (int | None, {"type": "union", "of": [{"type": "int"}, {"type": "none"}]}),
        (PositiveInt, {"type": "int", "gt": 0}),
        (Annotated[int, "how many"], {"type": "int"}),
        (Annotated[int, Field(ge=1, lt=9, multiple_of=2)], {"type": "int", "ge": 1, "lt": 9, "multiple_of": 2}),
        (Annotated[float, annotated_types.Interval(gt=0, le=1)], {"type": "float", "gt": 0, "le": 1}),
        (Annotated[float, Field(ge=0, allow_inf_nan=False)], {"type": "float", "ge": 0}),
        (Annotated[str, Field(pattern="a+")], {"type": "str", "pattern": "a+"}),
        (Annotated[str, StringConstraints(min_length=1, pattern="a+")], {"type": "str", "min_length": 1, "pattern": "a+"}),
        (
            Annotated[list[int], annotated_types.Len(1, 3)],
            {"type": "list", "of": {"type": "int"}, "min_length": 1, "max_length": 3},
        ),
        (
            Annotated[int | None, Field(ge=1)],
            {"type": "union", "of": [{"type": "int", "ge": 1}, {"type": "none"}]},
        ),
        (Sequence[Metric], {"type": "list", "of": {"type": "component", "kind": "metrics"}}),
        (Mapping[str, Metric], {"type": "mapping", "of": {"type": "component", "kind": "metrics"}}),
        (Metric | None, {"type": "union", "of": [{"type": "component", "kind": "metrics"}, {"type": "none"}]}),
        (tuple[int, ...], {"type": "list", "as": "tuple", "of": {"type": "int"}}),
    ],
)
def test_annotations_are_read_as_they_are_meant(annotation: Any, tree: dict[str, Any]) -> None:
    assert encode(annotation) == tree


@pytest.mark.parametrize(
    "annotation",
    [
        Any,
        object,
        list,
        dict,
        set[int],
        dict[int, str],
        complex,
        bytes,
        [int],
        Literal[b"x"],
        Path | str,
        Metric | str,
        Metric | Floor,
        Annotated[int, annotated_types.Predicate(bool)],
        Annotated[str, Field(ge=1)],
        Annotated[int | str, Field(ge=1)],
        Annotated[Literal["a"], Field(min_length=1)],
        Annotated[Metric, Field(ge=1)],
    ],
    ids=str,
)
def test_what_has_no_place_in_an_experiment_is_refused(annotation: Any) -> None:
    with pytest.raises(TypeError):
        encode(annotation)


# Values.


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (int, True),
        (int, "3"),
        (int, 3.0),
        (int, None),
        (float, "3"),
        (float, True),
        (float, float("nan")),
        (float, float("inf")),
        (bool, 1),
        (bool, "true"),
        (str, 3),
        (Literal[1, 2], True),
        (Literal[1, 2], 1.0),
        (Literal["a"], "b"),
        (list[int], (1, "2")),
        (list[int], "12"),
        (tuple[int, int], [1]),
        (dict[str, int], {1: 1}),
        (Annotated[int, Field(ge=1)], 0),
        (Annotated[int | None, Field(ge=1)], 0),
        (Annotated[list[int], Field(min_length=1)], []),
        (Annotated[str, Field(pattern="^a+$")], "b"),
        (str, datetime.date(2020, 1, 1)),
        (str, "\ud800"),
        (Path, 3),
        (tuple[Metric, ...], "bleu"),
    ],
    ids=str,
)
def test_values_are_exactly_what_is_asked_for(annotation: Any, value: Any) -> None:
    with pytest.raises(Mismatch):
        check(encode(annotation), value)


def test_a_value_inside_itself_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(Mismatch):
        check(encode(list[int]), value)


@pytest.mark.parametrize(
    ("annotation", "value", "place", "expected"),
    [
        (list[Annotated[int, Field(ge=1)]], [1, 0], "[1]", "int >= 1"),
        (dict[str, tuple[int, str]], {"a": [1, 2]}, ".a[1]", "str"),
        (dict[str, int], {"a": 1, "b": True}, ".b", "int"),
        (int | str, 1.5, "", "int or str"),
    ],
)
def test_a_mismatch_names_the_place_inside(annotation: Any, value: Any, place: str, expected: str) -> None:
    with pytest.raises(Mismatch) as caught:
        check(encode(annotation), value)
    assert caught.value.place == place
    assert words(caught.value.tree) == expected


@pytest.mark.parametrize(
    ("annotation", "value", "type_name"),
    [
        (int | float, 1, "int"),
        (float | int, 1, "int"),
        (float | None, 1, "float"),
        (Path | Literal["auto"], "auto", "literal"),
        (Path | Literal["auto"], "elsewhere", "path"),
        (Path | int, 3, "int"),
        (Metric | None, None, "none"),
        (Metric | Literal[False], False, "literal"),
        (Metric | Literal[False], {"name": "bleu"}, "component"),
    ],
)
def test_a_value_in_a_union_is_of_the_type_that_is_meant(annotation: Any, value: Any, type_name: str) -> None:
    assert fold(encode(annotation), value, lambda tree, item, place: tree["type"]) == type_name


# Signatures.


def _fusion(**annotations: Any) -> Any:
    """A fusion with these options, all without a default."""

    class Fusion:
        def __init__(self, dims: Any, memory_dim: int) -> None: ...

    import inspect

    own = list(inspect.signature(Fusion).parameters.values())
    options = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=a) for name, a in annotations.items()]
    Fusion.__signature__ = inspect.Signature([*own, *options])  # type: ignore[attr-defined]
    return Fusion


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
