"""Names to components: what is found, what is asked back, and what counts in an id."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import pytest
from pydantic import Field

from rrgbench import ConfigError, ManyErrors, Metric, PluginError
from rrgbench.catalogue import Catalogue, Component, Spec
from rrgbench.catalogue.describe import Described
from rrgbench.catalogue.signature import read_signature
from rrgbench.identity import digest
from rrgbench.interfaces import KINDS


class Wide:
    """A fusion with an option of every type."""

    def __init__(
        self,
        dims: Mapping[str, int],
        memory_dim: int,
        *,
        heads: Annotated[int, Field(ge=1)] = 4,
        dropout: float = 0,
        bias: bool = True,
        mode: Literal["a", "b"] = "a",
        widths: tuple[int, ...] = (1, 2),
        pair: tuple[int, float] = (1, 2),
        rates: Mapping[str, float] = {"x": 1},
        weights: Path | None = None,
        files: list[Path] = [],  # noqa: B006 - read, never written
        both: tuple[Path, str] | None = None,
        where: Path | Literal["auto"] = "auto",
    ) -> None: ...


class Needy:
    def __init__(self, *, must: int) -> None: ...


class AMetric:
    values: ClassVar[Mapping[str, str]] = {"a": "higher"}
    needs: ClassVar[frozenset[str]] = frozenset({"texts"})
    resampled: ClassVar[bool] = True

    def __init__(self, *, n: int = 4) -> None: ...


class Reading(AMetric):
    def __init__(self, train_reports: Sequence[str]) -> None: ...


class Composed(AMetric):
    def __init__(
        self,
        *,
        one: Metric,
        maybe: Metric | None = None,
        several: Sequence[Metric] = ("a",),
        named: Mapping[str, Metric] = {"x": {"name": "a", "n": 2}},
    ) -> None: ...


def _spec(kind: str, name: str, factory: Any, distribution: str = "one", entry_point: str = "it") -> Spec:
    values, options, attributes = read_signature(KINDS[kind], factory)
    return Spec(
        kind=kind,
        name=name,
        distribution=distribution,
        entry_point=entry_point,
        summary="",
        values=values,
        options=options,
        attributes=attributes,
        version=f"v-{name}",
    )


def _record(distribution: str, *specs: Spec, entry_point: str = "it", error: str = "") -> Described:
    return Described(
        distribution=distribution, distribution_version="1", entry_point=entry_point, module="m", specs=specs, error=error
    )


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    one = _record(
        "one",
        _spec("fusions", "wide", Wide),
        _spec("fusions", "needy", Needy),
        _spec("metrics", "a", AMetric),
        _spec("metrics", "reading", Reading),
        _spec("metrics", "composed", Composed),
    )
    return Catalogue.of([one])


def _wide(catalogue: Catalogue, **options: Any) -> Component:
    return catalogue.resolve("fusions", {"name": "wide", **options}, "fusion")


def _mistake(catalogue: Catalogue, kind: str, value: Any) -> str:
    with pytest.raises((ConfigError, PluginError)) as caught:
        catalogue.resolve(kind, value, "place")
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Names.


def test_an_unknown_name_is_answered_with_what_is_meant(catalogue: Catalogue) -> None:
    said = _mistake(catalogue, "fusions", "wied")
    assert said.startswith("place: ")
    assert "got 'wied'" in said
    assert "did you mean 'wide'?" in said
    assert "Known: needy, wide" in said


@pytest.mark.parametrize("value", [None, 3, True, [], {}, {"name": None}, {"name": 3}, {"heads": 4}])
def test_what_names_no_component_is_refused(catalogue: Catalogue, value: Any) -> None:
    assert "expected the name of a fusions component" in _mistake(catalogue, "fusions", value)


@pytest.mark.parametrize("name", ["", "/", "wide/", "/wide/", "../wide", "one/../wide", "x" * 10_000, "\x1b[31m", "wide\0"])
def test_a_strange_name_finds_nothing(catalogue: Catalogue, name: str) -> None:
    said = _mistake(catalogue, "fusions", name)
    assert "\x1b" not in said
    assert len(said) < 2000


def test_a_name_offered_twice_is_asked_back_and_the_long_name_works() -> None:
    both = Catalogue.of(
        [_record(name, _spec("metrics", "a", factory, name)) for name, factory in (("one", AMetric), ("My_Two", Reading))]
    )
    said = _mistake(both, "metrics", "a")
    assert "'a' is offered twice, by the plugins My_Two/it and one/it" in said
    assert "write one of My_Two/a and one/a" in said
    assert both.resolve("metrics", "one/a", "").distribution == "one"
    assert (
        both.resolve("metrics", "My_Two/a", "").distribution == both.resolve("metrics", "my-two/a", "").distribution == "My_Two"
    )


def test_a_name_offered_twice_by_one_distribution_names_the_entry_points() -> None:
    specs = [_spec("metrics", "a", AMetric, "one", point) for point in ("x", "y")]
    twice = Catalogue.of([_record("one", spec, entry_point=spec.entry_point) for spec in specs])
    assert "one/x and one/y. Hint: block one with RRGBENCH_DISABLE_PLUGINS" in _mistake(twice, "metrics", "one/a")


def test_a_broken_plugin_is_named_where_it_could_be_meant() -> None:
    some = Catalogue.of([_record("one", _spec("metrics", "a", AMetric)), _record("two", error="it raised")])
    assert some.resolve("metrics", "a", "").name == "a"
    assert "Broken plugins: two/it" in _mistake(some, "metrics", "b")
    said = _mistake(some, "metrics", "two/b")
    assert "two/it is broken" in said
    assert "it raised" in said


def test_another_distribution_says_whose_it_is(catalogue: Catalogue) -> None:
    assert "expected one/wide" in _mistake(catalogue, "fusions", "two/wide")


# Options.


def test_defaults_are_filled_in(catalogue: Catalogue) -> None:
    options = _wide(catalogue).options
    assert options["heads"] == 4
    assert options["dropout"] == 0.0
    assert isinstance(options["dropout"], float)
    assert options["weights"] is None
    assert json.loads(json.dumps(_wide(catalogue).request()))


def test_all_mistakes_are_told_together(catalogue: Catalogue) -> None:
    with pytest.raises(ManyErrors) as caught:
        _wide(catalogue, heads=0, dropuot=0.1, widths=[1, "2"], weights="/no/such/file", bias=1)
    said = sorted(str(error) for error in caught.value.errors)
    assert said[0].startswith("fusion.bias; got 1; expected bool")
    assert said[1].startswith("fusion.heads; got 0; expected int >= 1")
    assert said[2].startswith("fusion.weights; got '/no/such/file'; expected an existing file or folder")
    assert said[3].startswith("fusion.widths[1]; got '2'; expected int")
    assert said[4].startswith("fusion: wide has no such option; got 'dropuot'. Hint: did you mean 'dropout'?")


@pytest.mark.parametrize(
    "options",
    [
        {"heads": True},
        {"heads": "3"},
        {"heads": 3.0},
        {"heads": None},
        {"dropout": "0.1"},
        {"dropout": float("nan")},
        {"dropout": 10**400},
        {"mode": "c"},
        {"widths": 1},
        {"pair": [1]},
        {"pair": [1, 2, 3]},
        {"rates": {"x": "1"}},
        {"rates": {1: 1}},
        {"weights": 3},
        {"weights": "\0"},
        {"weights": "~nobody-of-that-name/x"},
        {"weights": "/dev/null"},
        {"files": ["."] * 2 + ["/no/such/file"]},
        {"where": "nowhere"},
        {3: 3},
    ],
    ids=str,
)
def test_an_option_of_another_type_is_refused(catalogue: Catalogue, options: Mapping[Any, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        catalogue.resolve("fusions", {"name": "wide", **options}, "fusion")
    assert "\n" not in str(caught.value)


def test_a_required_option_is_asked_for(catalogue: Catalogue) -> None:
    assert "place.must: needy needs this option; expected int" in _mistake(catalogue, "fusions", "needy")
    assert catalogue.resolve("fusions", {"name": "needy", "must": 3}, "").options == {"must": 3}


# Ids.


def _id(component: Component) -> str:
    return digest(component.identity())


@pytest.mark.parametrize(
    "spelt",
    [
        {"heads": 4},
        {"dropout": 0},
        {"dropout": 0.0},
        {"widths": [1, 2]},
        {"widths": (1, 2)},
        {"pair": [1, 2.0]},
        {"rates": {"x": 1.0}},
        {"weights": None},
        {"where": "auto"},
        {"bias": True, "mode": "a", "files": []},
    ],
    ids=str,
)
def test_a_default_spelled_out_changes_no_id(catalogue: Catalogue, spelt: Mapping[str, Any]) -> None:
    assert _id(_wide(catalogue, **spelt)) == _id(catalogue.resolve("fusions", "wide", ""))


@pytest.mark.parametrize("changed", [{"heads": 5}, {"dropout": 0.1}, {"bias": False}, {"widths": [2, 1]}, {"rates": {}}], ids=str)
def test_every_option_counts(catalogue: Catalogue, changed: Mapping[str, Any]) -> None:
    assert _id(_wide(catalogue, **changed)) != _id(_wide(catalogue))


def test_one_and_one_point_nought_are_one_float(catalogue: Catalogue) -> None:
    assert _id(_wide(catalogue, dropout=1)) == _id(_wide(catalogue, dropout=1.0))
    assert _id(_wide(catalogue, rates={"y": 2, "x": 1})) == _id(_wide(catalogue, rates={"x": 1.0, "y": 2.0}))


def test_a_path_counts_by_what_it_names_and_not_by_its_place(catalogue: Catalogue, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name / "deep").mkdir(parents=True)
        (tmp_path / name / "deep" / "file").write_text("same")
    here, there = tmp_path / "a", tmp_path / "b"

    def ids(place: Path) -> list[str]:
        file = str(place / "deep" / "file")
        shapes: list[dict[str, Any]] = [
            {"weights": file},
            {"weights": str(place)},
            {"files": [file]},
            {"both": [file, "x"]},
            {"where": file},
        ]
        return [_id(_wide(catalogue, **shape)) for shape in shapes]

    before = ids(here)
    assert before == ids(there)
    assert len(set(before)) == 5
    (there / "deep" / "file").write_text("other")
    assert not set(before) & set(ids(there))
    (there / "deep" / "file").rename(there / "deep" / "moved")
    assert _id(_wide(catalogue, weights=str(there))) not in before


# Components inside components.


def test_choices_inside_options_are_resolved(catalogue: Catalogue) -> None:
    value = {"name": "composed", "one": {"name": "a", "n": 1}, "several": ["a", "reading"], "named": {"left": "one/a"}}
    composed = catalogue.resolve("metrics", value, "metrics[0]")
    assert composed.options["one"].options == {"n": 1}
    assert [inner.name for inner in composed.options["several"]] == ["a", "reading"]
    assert composed.options["maybe"] is None
    assert [inner.name for inner in composed.nested()] == ["a", "a", "reading", "a"]
    assert composed.asked_values() == {"train_reports"}
    request = json.loads(json.dumps(composed.request()))["$component"]
    assert request["options"]["named"]["left"]["$component"]["version"] == "v-a"


def test_a_choice_inside_counts_in_the_id_and_its_defaults_do_not(catalogue: Catalogue) -> None:
    plain = catalogue.resolve("metrics", {"name": "composed", "one": "a"}, "")
    spelt = {"name": "composed", "one": {"name": "a", "n": 4}, "maybe": None, "several": [{"name": "a"}]}
    assert _id(catalogue.resolve("metrics", spelt, "")) == _id(plain)
    for change in ({"one": {"name": "a", "n": 5}}, {"several": []}, {"maybe": "a"}, {"named": {"y": {"name": "a", "n": 2}}}):
        assert _id(catalogue.resolve("metrics", {"name": "composed", "one": "a", **change}, "")) != _id(plain)


@pytest.mark.parametrize(
    ("options", "place", "said"),
    [
        ({"one": "b"}, "m.one: ", "no metrics component of that name"),
        ({"one": None}, "m.one; ", "the name of a metrics component"),
        ({"one": {"name": "a", "n": "4"}}, "m.one.n; ", "expected int"),
        ({"one": "a", "several": "a"}, "m.several; ", "expected list of a component of kind metrics"),
        ({"one": "a", "several": ["a", {"name": "a", "m": 1}]}, "m.several[1]: ", "a has no such option"),
        ({"one": "a", "named": {"x": "wide"}}, "m.named.x: ", "no metrics component of that name"),
        ({"one": "a", "named": 4}, "m.named; ", "expected mapping of name to a component of kind metrics"),
        (
            {"one": "a", "named": "a"},
            "m.named; ",
            "got 'a'; expected mapping of name to a component of kind metrics. Hint: write {a: a}",
        ),
        ({"one": "a", "named": ["a", "dist/b"]}, "m.named; ", "of kind metrics. Hint: write {a: a, b: dist/b}"),
    ],
)
def test_a_mistake_inside_names_its_place(catalogue: Catalogue, options: Mapping[str, Any], place: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        catalogue.resolve("metrics", {"name": "composed", **options}, "m")
    assert str(caught.value).startswith(place)
    assert said in str(caught.value)


@pytest.mark.parametrize("value", [4, [], [4, "a"], ["a\n"], "", [{"name": "a"}]])
def test_what_is_not_the_name_of_a_component_alone_is_given_no_names(catalogue: Catalogue, value: Any) -> None:
    with pytest.raises(ConfigError, match=r"^m.named; got .*; expected mapping of name to a component of kind metrics$"):
        catalogue.resolve("metrics", {"name": "composed", "one": "a", "named": value}, "m")


class Endless(AMetric):
    def __init__(self, *, one: Metric = "endless") -> None: ...


def test_a_component_that_holds_itself_comes_to_an_end() -> None:
    endless = Catalogue.of([_record("one", _spec("metrics", "endless", Endless), _spec("metrics", "a", AMetric))])
    assert "too many components inside components, the last is endless" in _mistake(endless, "metrics", "endless")
    inside = endless.resolve("metrics", {"name": "endless", "one": {"name": "endless", "one": "a"}}, "m")
    assert inside.options["one"].options["one"].name == "a"
