"""A plan: what is shared, what follows what, what a change runs anew, and that no step sees what it may not."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from rrgbench.errors import ConfigError, DataError, ManyErrors
from rrgbench.experiment import Experiment
from rrgbench.plan import Plan, make_plan
from rrgbench.store import Store


def _beside(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"rrgbench_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec and spec.loader
    module = sys.modules.setdefault(f"rrgbench_{name}", importlib.util.module_from_spec(spec))
    if not hasattr(module, "Path"):
        spec.loader.exec_module(module)
    return module


toy, step_code = _beside("toy_catalogue"), _beside("step_code")

SELECT = {"select": {"metric": "bleu_4"}}
GRID = SELECT | {
    "axes": {"fusion": ["concat", "gating"], "encoders.text": ["bert", None]},
    "seeds": [0, 1, 2],
    "metrics": ["bleu", "rouge", "novelty"],
    "floors": ["constant", "random", "blank"],
    "protocol": "learned",
    "base.stages": {"first": {"epochs": 2}, "second": {"epochs": 3, "rung": 2}},
}


def _of(plan: Plan, kind: str) -> list[Any]:
    return [step for step in plan.steps.values() if step.kind == kind]


# Sharing.


def test_what_runs_share_is_one_step(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = toy.plan(monkeypatch, GRID)
    films = _of(plan, "pixels")
    assert [step.payload["inputs"] for step in films] == ["train inputs", "validate inputs", "test inputs"]
    # Asked for by every train step, and by every generation of its split.
    assert [plan.uses[step.id] for step in films] == [4 * 3 * 3, 4 * 3 * 2, 4 * 3]
    assert len(_of(plan, "train")) == 4 * 3 * 3
    assert len(_of(plan, "floor")) == 1 + 3 + 1
    assert len(plan.rows) == 4 + 3
    ids = list(plan.steps)
    for place, step in enumerate(plan.steps.values()):
        assert step.needed <= set(ids[:place]), "a plan lists what a step needs before it"


def test_stages_before_the_axis_are_trained_once_where_the_model_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = toy.plan(
        monkeypatch,
        {"base.stages": {"first": {"epochs": 2}, "second": {"epochs": 3}}, "axes": {"stages.second.lr": [0.1, 0.2, 0.3]}},
    )
    first = [step for step in _of(plan, "train") if step.request()["payload"]["stage"]["name"] == "first"]
    assert len(first) == 1
    assert plan.uses[first[0].id] == 3


def test_decoding_is_no_reason_to_train_again(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = toy.plan(monkeypatch, {"axes": {"decoding.num_beams": [1, 2, 3]}})
    assert len(_of(plan, "train")) == 2  # rungs
    assert len(_of(plan, "generate")) == 3


# Chains.


def test_rungs_follow_one_another_over_stages_and_the_last_stage_s_are_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = toy.plan(monkeypatch, SELECT | {"base.stages": {"one": {"epochs": 3, "rung": 2}, "two": {"epochs": 2, "rung": 1}}})
    rungs = _of(plan, "train")
    assert [step.payload["epochs"] for step in rungs] == [[0, 2], [2, 3], [0, 1], [1, 2]]
    assert [step.payload["resume"] for step in rungs] == [False, True, False, True]
    assert [step.upstream["start"] for step in rungs] == [(), *((step.id,) for step in rungs[:-1])]
    (select,) = _of(plan, "select")
    assert select.upstream["candidates"] == (rungs[2].id, rungs[3].id)
    validated = [plan.steps[plan.steps[score].upstream["predictions"][0]] for score in select.upstream["scores"]]
    assert [step.upstream["checkpoint"] for step in validated] == [(rungs[2].id,), (rungs[3].id,)]
    assert {step.payload["inputs"] for step in validated} == {"validate inputs"}
    assert dict(select.payload) == {"value": "bleu_4", "better": "higher"}
    (test,) = [step for step in _of(plan, "generate") if step.payload["inputs"] == "test inputs"]
    assert test.upstream["select"] == (select.id,)
    assert test.upstream["candidates"] == select.upstream["candidates"]


def test_without_selection_the_last_rung_writes_the_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = toy.plan(monkeypatch)
    (test,) = _of(plan, "generate")
    assert test.upstream["checkpoint"] == (_of(plan, "train")[-1].id,)
    assert not _of(plan, "select")


def test_behind_a_step_is_all_that_it_rests_on_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = toy.plan(monkeypatch, GRID)
    for row in plan.rows:
        for seed, run in row.runs.items():
            behind = [plan.steps[step_id] for step_id in plan.behind(run)]
            assert {step.seed for step in behind} - {None} == ({seed} if row.kind == "cell" or "random" in row.title else set())


# No peeking.


def test_no_step_that_generates_knows_a_target_of_test(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = toy.plan(monkeypatch, GRID, toy.make_record(test_targets="SECRET"))
    assert "SECRET" in toy.text_of(plan, {"score"})
    assert "SECRET" not in toy.text_of(plan, {"pixels", "train", "generate", "floor", "select", "intervals"})
    judged = {step.id for step in _of(plan, "score") if step.payload["targets"] == "SECRET"}
    for kind in ("train", "generate", "select", "floor"):
        assert all(not judged & plan.behind(step.id) for step in _of(plan, kind))


def test_test_inputs_are_read_by_generation_alone_after_the_selection(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = toy.plan(monkeypatch, GRID, toy.make_record(test_inputs="FILMS"))
    for kind in ("train", "select", "score"):
        assert "FILMS" not in toy.text_of(plan, {kind})
    for step in _of(plan, "select"):
        assert all("FILMS" not in json.dumps(plan.steps[up].request()) for up in plan.behind(step.id))
    # Intervals read whose the studies are: subjects, no films.
    assert all(not step.folders for step in _of(plan, "intervals"))


@pytest.mark.parametrize(
    ("side", "kinds"),
    [
        ("test_targets", {"score", "intervals"}),
        ("validate_targets", {"score", "select", "generate", "intervals", "floor"}),
        ("test_inputs", {"pixels", "generate", "floor", "score", "intervals"}),
        ("train_targets", {"train", "generate", "floor", "score", "select", "intervals"}),
        ("train_inputs", {"pixels", "train", "generate", "floor", "score", "select", "intervals"}),
    ],
)
def test_a_change_of_the_data_runs_what_rests_on_it(side: str, kinds: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    before, after = toy.plan(monkeypatch, GRID), toy.plan(monkeypatch, GRID, toy.make_record(**{side: "corrected"}))
    old, new = toy.ids(before), toy.ids(after)
    assert {kind for kind in old if old[kind] != new[kind]} == kinds
    if side == "test_targets":
        both = [{step.id for step in _of(plan, "score") if "validate" in step.title} for plan in (before, after)]
        assert both[0] == both[1], "what was selected stays selected"
    assert [row.id for row in before.rows] == [row.id for row in after.rows]


# Additions.


def _added(monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]) -> tuple[Plan, list[Any]]:
    before, after = toy.plan(monkeypatch, GRID), toy.plan(monkeypatch, GRID | changes)
    assert set(before.steps) <= set(after.steps)
    return after, [step for step_id, step in after.steps.items() if step_id not in before.steps]


def test_a_new_metric_adds_its_scores_and_intervals_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    _, added = _added(monkeypatch, {"metrics": ["bleu", "rouge", "novelty", "length"]})
    assert {step.kind for step in added} == {"score", "intervals"}
    assert all(step.request()["payload"]["metric"]["$component"]["name"] == "length" for step in added)
    assert len([step for step in added if step.kind == "score"]) == 4 * 3 + 1 + 3 + 1


def test_a_new_fusion_adds_the_steps_of_its_cells_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    fusions = ["concat", "gating", {"name": "gating", "heads": 2}]
    _, added = _added(monkeypatch, {"axes": {"fusion": fusions, "encoders.text": ["bert", None]}})
    assert {step.kind for step in added} == {"train", "generate", "score", "select", "intervals"}
    assert len([step for step in added if step.kind == "train"]) == 2 * 3 * 3
    assert all("heads=2" in step.title for step in added)


def test_a_new_seed_adds_its_runs_and_the_intervals_over_all(monkeypatch: pytest.MonkeyPatch) -> None:
    before, after = toy.plan(monkeypatch, GRID), toy.plan(monkeypatch, GRID | {"seeds": [0, 1, 2, 3]})
    added = [step for step_id, step in after.steps.items() if step_id not in before.steps]
    assert {step.seed for step in added if step.kind in ("train", "generate", "floor")} == {3}
    assert {kind for kind, ids in toy.ids(before).items() if not ids <= set(after.steps)} == {"intervals"}


# What does not count.


def test_names_and_places_count_in_no_id(monkeypatch: pytest.MonkeyPatch) -> None:
    before = toy.plan(monkeypatch, GRID)
    moved = toy.make_record().model_copy(update={"folder": "/elsewhere", "state": "later", "files": ("x",)})
    after = toy.plan(monkeypatch, GRID | {"name": "renamed", "question": "another"}, moved)
    assert list(before.steps) == list(after.steps)
    assert [row.id for row in before.rows] == [row.id for row in after.rows]
    other = toy.plan(monkeypatch, GRID, toy.make_record("credentialed"))
    assert list(before.steps) == list(other.steps)


def test_the_licence_is_told_to_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    stages = {
        "unimodal": {"losses": {"seen": 1.0, "lungs": 1.0}},
        "fusion": {"train": ["text", "fusion", "decoder"], "losses": {"cross_entropy": 1.0, "contrastive": 0.1}},
    }
    stages["fusion"] |= {"augment": False, "cached": ["image"]}
    read = {"base.labels": "reader", "base.masks": "outline"}
    every = GRID | read | {"base.stages": stages, "metrics": ["bleu", "clip"]}
    every |= {"base.encoders": {"image": "cnn", "text": "bert", "knowledge": "gcn"}}
    plan = toy.plan(monkeypatch, every, toy.make_record("credentialed"))
    assert {step.kind for step in plan.steps.values()} == set(step_code.STEP_VERSIONS)
    assert {step.request()["license"] for step in plan.steps.values()} == {"credentialed"}


# Rows.


def test_floors_are_given_what_they_ask_for_and_seeds_where_they_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = toy.plan(monkeypatch, GRID)
    payloads = {step.title: step.payload for step in _of(plan, "floor")}
    assert list(payloads) == [
        "floor constant",
        "floor random, seed 0",
        "floor random, seed 1",
        "floor random, seed 2",
        "floor blank",
    ]
    given = {title: [key for key, value in payload.items() if value is not None] for title, payload in payloads.items()}
    assert given["floor constant"] == ["floor", "train", "validate", "protocol", "inputs"]
    assert given["floor random, seed 0"] == ["floor", "train", "inputs"]
    assert given["floor blank"] == ["floor", "inputs"]
    rows = {row.title: row for row in plan.rows}
    assert rows["random"].seeds == (0, 1, 2)
    assert rows["blank"].seeds == (0,)
    cells = [row for row in plan.rows if row.kind == "cell"]
    assert all(row.floors == {name: rows[name].intervals for name in ("constant", "random", "blank")} for row in cells)


def test_floors_of_one_name_are_told_apart_by_their_options(monkeypatch: pytest.MonkeyPatch) -> None:
    floors = ["random", {"name": "random", "distinct": True}, "blank"]
    plan = toy.plan(monkeypatch, {"floors": floors})
    assert [row.title for row in plan.rows if row.kind == "floor"] == ["random(distinct=false)", "random(distinct=true)", "blank"]
    assert len({row.id for row in plan.rows}) == 4


def test_a_metric_that_stands_twice_and_a_value_of_two_metrics_keep_names_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = toy.plan(monkeypatch, {"metrics": ["bleu", "rouge", {"name": "bleu", "smooth": True}, "length"]})
    assert plan.rows[0].names == {
        "bleu": {"bleu_1": "bleu_1", "bleu_4": "bleu_4"},
        "rouge": {"rouge_l": "rouge_l", "length": "length"},
        "bleu#2": {"bleu_1": "bleu#2.bleu_1", "bleu_4": "bleu#2.bleu_4"},
        "length": {"length": "length.length"},
    }
    assert all(len(set(row.intervals.values())) == 4 for row in plan.rows)


def test_what_a_floor_has_no_use_for_is_planned_as_not_applicable(monkeypatch: pytest.MonkeyPatch) -> None:
    stages = {"fusion": {"losses": {"cross_entropy": 1.0, "contrastive": 0.1}}}
    axes = {"encoders.text": ["bert", None]}
    plan = toy.plan(monkeypatch, {"metrics": ["bleu", "clip", "truth"], "base.stages": stages, "axes": axes})
    told = {row.title: (dict(row.not_applicable), list(row.intervals)) for row in plan.rows}
    floor = ({"clip": "a floor has no embeddings"}, ["bleu", "truth"])
    assert told == {
        "constant": floor,
        "random": floor,
        "text=bert": ({}, ["bleu", "clip", "truth"]),
        "text=none": ({"clip": "no stage trains embeddings of films and reports"}, ["bleu", "truth"]),
    }
    bare = toy.plan(monkeypatch, {"metrics": ["bleu", "truth"]}, toy.make_record(labels=()))
    assert {row.not_applicable["truth"] for row in bare.rows} == {"the data set has no labels of its own"}


@pytest.mark.parametrize(
    "changes",
    [
        {"seeds": [5]},
        {"protocol": "clean"},
        {"select": {"metric": "bleu_1"}},
        {"select": None},
        {"metrics": [{"name": "bleu", "smooth": True}]},
        {"base.dataset": {"name": "toy", "studies": 9}},
        {"base.decoding": {"num_beams": 2}},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_rows_of_other_questions_have_other_ids(changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def cells(plan: Plan) -> set[str]:
        return {row.id for row in plan.rows if row.kind == "cell"}

    assert not cells(toy.plan(monkeypatch, SELECT)) & cells(toy.plan(monkeypatch, SELECT | changes))


# Data sets.


def test_an_experiment_on_a_data_set_without_train_is_refused_before_anything_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    record = toy.make_record()
    alone = record.model_copy(update={"splits": {"test": record.splits["test"]}})
    with pytest.raises(ConfigError, match="data set toy has no train and no validate split; got splits test"):
        toy.plan(monkeypatch, SELECT, alone)


def test_each_data_set_is_read_once_and_the_mistakes_of_all_come_together(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def read(store: Store, component: Any, root: Path | None) -> Any:
        asked.append(component.options["studies"])
        raise DataError(f"{component.options['studies']} studies cannot be read")

    monkeypatch.setattr("rrgbench.plan.read_dataset", read)
    axes = {"dataset.studies": [3, 4], "fusion": ["concat", "gating"], "decoder.layers": [1, 2, 3]}
    resolved = Experiment.of(toy.tiny({"axes": axes})).resolve(toy.make_catalogue())
    with pytest.raises(ManyErrors, match=r"3 studies cannot be read .* 4 studies cannot be read"):
        make_plan(resolved, Store(Path("/nowhere")))
    assert asked == [3, 4]


# Speed.


def test_a_thousand_runs_are_planned_in_seconds_and_the_time_grows_with_the_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    def planned(rates: int) -> tuple[float, Plan]:
        axes = {
            "fusion": ["concat", "gating"],
            "decoder.layers": list(range(1, 11)),
            "stages.fusion.lr": [0.1 * n for n in range(1, rates)],
        }
        began = time.process_time()
        plan = toy.plan(monkeypatch, SELECT | {"axes": axes, "seeds": [0, 1, 2, 3, 4]})
        for row in plan.rows:
            for run in row.runs.values():
                plan.behind(run)
        return time.process_time() - began, plan

    small, _ = planned(3)
    large, plan = planned(11)
    assert len(plan.experiment.cells) == 200
    assert len(plan.steps) > 9000
    assert large < 15  # about two seconds alone on a core
    assert large < 5 * small * 3  # five times the cells; quadratic would be 25 times


# The code behind steps.


def test_a_step_whose_code_changed_has_a_higher_version_or_a_new_record() -> None:
    recorded = json.loads(step_code.RECORD.read_text(encoding="utf-8"))
    assert not (told := step_code.complaints(recorded, step_code.current())), "\n".join(told)


@pytest.mark.parametrize("kind", step_code.STEP_VERSIONS)
def test_every_module_that_a_step_runs_counts_or_has_its_reason(kind: str) -> None:
    counted = set(step_code.CODE[kind])
    assert all(step_code.file_of(module) for module in counted)
    # Modules that several kinds live in import what only the others run.
    shared = {module for other in step_code.CODE.values() for module in other}
    assert step_code.imported(kind) <= shared
    assert counted <= step_code.imported(kind)


def test_words_in_comments_are_no_change_and_code_is(tmp_path: Path) -> None:
    before = step_code.current()
    shutil.copytree(step_code.ROOT / "rrgbench", tmp_path / "rrgbench", ignore=shutil.ignore_patterns("__pycache__"))
    file = tmp_path / "rrgbench" / "statistics.py"
    file.write_text(file.read_text() + "\n# a remark\n")
    assert step_code.complaints(before, step_code.current(tmp_path)) == []
    file.write_text(file.read_text().replace("0.95", "0.90"))
    other, told = step_code.complaints(before, step_code.current(tmp_path))
    assert other.startswith("The code of the step `auroc` changed: rrgbench.statistics.")
    assert told.startswith("The code of the step `intervals` changed: rrgbench.statistics.")
    assert "raise STEP_VERSIONS['intervals']" in told
    assert told.endswith("python tests/step_code.py")
    raised = {**before, "intervals": {**before["intervals"], "version": 0}}
    assert step_code.complaints(raised, before) == [
        "The step `intervals` has another version than the record. Then: python tests/step_code.py"
    ]
