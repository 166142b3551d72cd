"""Options as data: annotations to trees and back, and values that are exactly what a tree asks for."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Optional

import annotated_types
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, PositiveInt, StringConstraints

from rrgbench import Floor, Metric
from rrgbench.catalogue.schema import Mismatch, check, decode, encode, fold, words

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
