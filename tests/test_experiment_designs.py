"""Which cells an experiment has: designs, labels, exclusions with their reason, the baseline."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

from rrgbench.errors import ManyErrors, RRGBenchError
from rrgbench.experiment import Experiment
from rrgbench.experiment.designs import combinations, exclude, value_labels
from rrgbench.experiment.paths import ABSENT

_spec = importlib.util.spec_from_file_location("rrgbench_toy_catalogue", Path(__file__).with_name("toy_catalogue.py"))
toy = sys.modules.setdefault("rrgbench_toy_catalogue", importlib.util.module_from_spec(_spec))
if not hasattr(toy, "tiny"):
    _spec.loader.exec_module(toy)

CATALOGUE = toy.make_catalogue()


def _resolve(changes: dict[str, Any] | None = None, overrides: tuple[str, ...] = ()) -> Any:
    return Experiment.of(toy.tiny(changes), "file.yaml", overrides).resolve(CATALOGUE)


def _mistakes(changes: dict[str, Any], overrides: tuple[str, ...] = ()) -> list[str]:
    with pytest.raises(RRGBenchError) as caught:
        _resolve(changes, overrides)
    errors = caught.value.errors if isinstance(caught.value, ManyErrors) else (caught.value,)
    assert all("\n" not in str(error) for error in errors)
    return [str(error) for error in errors]


# Designs.

BASE = toy.TINY["base"]


def _values(design: str, axes: dict[str, list[Any]], base: Any = BASE) -> list[tuple[Any, ...]]:
    return [tuple(cell.values.values()) for cell in combinations(design, axes, base)]


def test_without_axes_there_is_one_cell() -> None:
    for design in ("grid", "zip", "one_at_a_time", "leave_one_out"):
        assert [cell.title for cell in _resolve({"design": design}).cells] == ["base"]


def test_combinations_that_are_equal_stand_once_and_first() -> None:
    assert _values("grid", {"fusion": ["gating", {"name": "gating"}, "concat", "gating"]}) == [("gating",), ("concat",)]
    assert _values("zip", {"fusion": ["a", "b", "a"], "decoder.layers": [1, 2, 1]}) == [("a", 1), ("b", 2)]
    assert _values("grid", {"decoder.layers": [1, True, 1.0]}) == [(1,), (True,), (1.0,)]


def test_cells_that_are_equal_with_defaults_spelled_out_stand_once_and_first() -> None:
    found = _resolve({"axes": {"fusion": ["gating", {"name": "gating", "heads": 8}, "concat", {"name": "concat", "layers": 0}]}})
    assert [cell.fusion.name for cell in found.cells] == ["gating", "concat"]
    assert [cell.title for cell in found.cells] == ["fusion=gating", "fusion=concat"]


def test_one_at_a_time_leaves_alone_what_base_does_not_say() -> None:
    axes = {"decoder.vocabulary": [50, 200], "encoders.knowledge": [None, "gcn"]}
    found = _resolve({"design": "one_at_a_time", "axes": axes, "base.knowledge": {"annotator": "reader"}})
    assert [cell.title for cell in found.cells] == [
        "vocabulary=default, knowledge=none",
        "vocabulary=50, knowledge=none",
        "vocabulary=200, knowledge=none",
        "vocabulary=default, knowledge=gcn",
    ]
    assert [cell.decoder.options["vocabulary"] for cell in found.cells] == [100, 50, 200, 100]


def test_leave_one_out_refuses_what_leaves_nothing_out() -> None:
    assert _values("leave_one_out", {"encoders.text": [None], "fusion": ["gating"]}) == [
        ("bert", "concat"),
        (None, "concat"),
        ("bert", "gating"),
    ]
    for axes in (
        {"fusion": ["gating", "x"]},
        {"fusion": ["concat"]},
        {"fusion": [{"name": "concat"}]},
        {"encoders.knowledge": [None]},
    ):
        (line,) = _mistakes({"design": "leave_one_out", "axes": axes})
        assert "expected one value unlike base's" in line
    (line,) = _mistakes({"design": "leave_one_out", "axes": {"decoder.vocabulary": [100]}})
    assert "is the same cell as" in line


def test_labels_are_as_short_as_tells_values_apart() -> None:
    assert value_labels(["concat", {"name": "gating", "heads": 2}]) == ["concat", "gating"]
    assert value_labels([{"name": "g", "heads": 2}, {"name": "g", "heads": 4}]) == ["g(heads=2)", "g(heads=4)"]
    assert value_labels([None, 3, True, [1, 2], {"a": None}]) == ["none", "3", "true", "[1, 2]", "{a=none}"]
    for values in ([None, "none"], [1, "1"], [True, "true"], [None, "none", ABSENT, "default"]):
        labels = value_labels(values)
        assert len(set(labels)) == len(values), labels


def test_axes_that_end_alike_are_told_apart() -> None:
    axes = {"stages.fusion.lr": [0.1], "stages.fusion.epochs": [1], "encoders.text": [None], "encoders.image": ["cnn"]}
    (cell,) = _resolve({"axes": axes}).cells
    assert cell.title == "lr=0.1, epochs=1, text=none, image=cnn"
    axes = {"encoders.image.size": [1], "decoder.size": [2]}
    assert list(combinations("grid", axes, BASE)[0].labels) == ["image.size", "decoder.size"]


# Exclusions and the baseline.

AXES = {"fusion": ["concat", {"name": "gating", "heads": 2}, {"name": "gating", "heads": 4}], "encoders.text": ["bert", None]}


@pytest.mark.parametrize(
    ("rule", "left"),
    [
        ({"fusion": "gating"}, ["fusion=concat, text=bert", "fusion=concat, text=none"]),
        ({"fusion": {"name": "gating", "heads": 2}, "encoders.text": None}, 5),
        ({"fusion.heads": 2}, 4),
        ({"fusion.name": "gating", "encoders.text.name": "bert"}, 4),
        ({"encoders.text": None}, 3),
        ({"decoder.layers": 2, "fusion": "concat"}, 4),
    ],
)
def test_an_exclusion_takes_away_the_cells_that_it_names(rule: dict[str, Any], left: Any) -> None:
    found = _resolve({"axes": AXES, "exclude": [{**rule, "because": " it is so "}]})
    titles = [cell.title for cell in found.cells]
    assert titles == left if isinstance(left, list) else len(titles) == left
    assert {item.because for item in found.excluded} == {"it is so"}
    assert len(found.cells) + len(found.excluded) == 6


@pytest.mark.parametrize(
    ("rules", "told"),
    [
        ([{"fusion": "concat"}], "exclude[0].because; got nothing; expected the reason, in words"),
        ([{"fusion": "concat", "because": ""}], "exclude[0].because; got ''; expected the reason"),
        ([{"fusion": "concat", "because": 3}], "exclude[0].because; got 3; expected the reason"),
        ([{"because": "all"}], "exclude[0]; got a reason alone; expected the values"),
        ([{"fusion": "mean", "because": "x"}], "exclude[0] matches no cell; got {'fusion': 'mean'}"),
        (
            [{"encoder.text": None, "because": "x"}],
            "exclude[0]: no cell has anything at 'encoder.text'. Hint: the axes: did you mean",
        ),
        ([{"decoder.layers": 2, "because": "x"}], "exclude; got every cell excluded; expected at least one that stays"),
    ],
)
def test_an_exclusion_that_says_nothing_is_a_mistake(rules: list[dict[str, Any]], told: str) -> None:
    (line,) = _mistakes({"axes": AXES, "exclude": rules})
    assert f"file.yaml: {told}" in line, line


def test_the_first_reason_that_holds_is_told() -> None:
    found = combinations("grid", AXES, BASE)
    _, gone = exclude(found, [{"fusion": "concat", "because": "one"}, {"encoders.text": None, "because": "two"}], BASE)
    assert [item.because for item in gone] == ["one", "one", "two", "two"]


def test_the_baseline_is_one_cell() -> None:
    assert (
        _resolve({"axes": AXES, "baseline": {"fusion": "concat", "encoders.text": None}}).baseline == "fusion=concat, text=none"
    )
    assert _resolve({"axes": {"fusion": ["gating", "concat"]}, "baseline": {"fusion": "concat"}}).baseline == "fusion=concat"
    assert _resolve({"axes": AXES}).baseline is None
    for rule, told in (
        ({"fusion": "concat"}, "baseline matches 2 cells; got fusion=concat, text=bert | fusion=concat, text=none; expected one"),
        ({"fusion": "mean"}, "baseline matches no cell; got {'fusion': 'mean'}"),
        ({"fusoin": "concat"}, "baseline: no cell has anything at 'fusoin'. Hint: the axes: did you mean 'fusion'?"),
    ):
        (line,) = _mistakes({"axes": AXES, "baseline": rule})
        assert f"file.yaml: {told}" in line
    rules = [{"fusion": "concat", "encoders.text": None, "because": "x"}]
    (line,) = _mistakes({"axes": AXES, "exclude": rules, "baseline": {"fusion": "concat", "encoders.text": None}})
    assert "baseline matches no cell" in line


def test_base_itself_can_be_the_baseline() -> None:
    axes = {"fusion": ["gating"], "encoders.text": [None]}
    for design in ("leave_one_out", "one_at_a_time"):
        found = _resolve({"axes": axes, "design": design, "baseline": "base"})
        assert found.baseline == found.cells[0].title == "fusion=concat, text=bert"
    (line,) = _mistakes({"axes": AXES, "baseline": "base"})
    assert "baseline in design grid; got base; expected values of axes" in line
    (line,) = _mistakes({"axes": AXES, "baseline": "whole"})
    assert "baseline; got 'whole'; expected" in line


@pytest.mark.parametrize("turned", [False, True])
def test_a_part_of_a_part_can_be_left_out_as_the_part_can(turned: bool) -> None:
    base = {"stage": {"losses": {"a": 1.0, "b": 2.0}}, "fusion": "concat"}
    axes = {"stage": [None], "stage.losses.a": [None], "fusion": ["gating"]}
    made = combinations("leave_one_out", dict(reversed(axes.items())) if turned else axes, base)
    found = [each.applied(base) for each in made]
    less = {"stage": {"losses": {"a": None, "b": 2.0}}, "fusion": "concat"}
    expected = [base, {"stage": None, "fusion": "concat"}, less, base | {"fusion": "gating"}]
    assert len(found) == 4 and all(cell in expected for cell in found) and all(cell in found for cell in expected)
    (without,) = [each for each in made if each.values["stage"] is None]
    assert without.labels["a"] == "none"


def test_a_mapping_beside_nothing_has_a_short_label() -> None:
    assert value_labels([{"losses": {"cross_entropy": 1.0, "contrastive": 0.1}, "epochs": 3}, None]) == ["set", "none"]
    assert value_labels([{"epochs": 3}, {"epochs": 4}]) == ["{epochs=3}", "{epochs=4}"]


def test_a_baseline_that_is_the_same_cell_as_an_earlier_one_is_that_one() -> None:
    axes = {"fusion": ["gating", {"name": "gating", "heads": 8}, "concat"]}
    found = _resolve({"axes": axes, "baseline": {"fusion": {"name": "gating", "heads": 8}}})
    assert found.baseline == found.cells[0].title


def test_metrics_and_floors_that_stand_twice_stand_once() -> None:
    found = _resolve({"metrics": ["bleu", "rouge", {"name": "bleu", "smooth": False}], "floors": ["random", "random"]})
    assert [metric.name for metric in found.metrics] == ["bleu", "rouge"]
    assert [floor.name for floor in found.floors] == ["random"]
