"""A search: trials are cells of the store, judged on validate alone; killed, it goes on as if nothing had happened."""

from __future__ import annotations

import csv
import dataclasses
import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import sqlalchemy

import rrgbench.search
from rrgbench.errors import ConfigError, StoreError
from rrgbench.experiment import Experiment
from rrgbench.experiment.yaml import dump_yaml, parse_yaml
from rrgbench.plan import make_plan
from rrgbench.search import Search, SearchResult
from rrgbench.search.study import Study
from rrgbench.search.trials import plan_trial


def _toys() -> ModuleType:
    spec = importlib.util.spec_from_file_location("rrgbench_toy_search", Path(__file__).with_name("toy_search.py"))
    assert spec and spec.loader
    module = sys.modules.setdefault("rrgbench_toy_search", importlib.util.module_from_spec(spec))
    if not hasattr(module, "go"):
        spec.loader.exec_module(module)
    return module


toys = _toys()
STOP = {"pruner": {"startup": 2, "warmup": 0}}


@pytest.fixture(autouse=True, scope="module")
def no_waiting_for_disks() -> Iterator[None]:
    """What is killed here is the search, not the machine: nothing needs to reach the disk."""

    def relax(connection: Any, _: Any) -> None:
        connection.execute("PRAGMA synchronous=OFF")

    sqlalchemy.event.listen(sqlalchemy.Engine, "connect", relax)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda descriptor: None)
        yield
    sqlalchemy.event.remove(sqlalchemy.Engine, "connect", relax)


RECORD = toys.toy.make_record(test_inputs="TEST FILMS", test_targets="TEST REPORTS")
"""A data set that nobody reads; the sides of test have names that would show."""


def _use(patch: pytest.MonkeyPatch, record: Any) -> None:
    for module in ("plan", "search"):
        patch.setattr(f"rrgbench.{module}.read_dataset", lambda store, component, root: record)


@pytest.fixture(autouse=True)
def data(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The data set; called, it becomes another one."""
    _use(monkeypatch, RECORD)
    monkeypatch.setattr(rrgbench.search, "PATIENCE", 0.0)
    return lambda record: _use(monkeypatch, record)


def _told(result: SearchResult) -> list[tuple[Any, ...]]:
    """Everything of every trial, by number."""
    found = sorted(result.trials, key=lambda record: record.number)
    return [(r.number, r.state, r.value, r.values, dict(r.parameters), r.reason, r.cell) for r in found]


# Test stays closed.


def test_no_step_of_any_trial_names_test(tmp_path: Path) -> None:
    paper = toys.Paper(store := toys.make_store(tmp_path))
    search = toys.resolve(trials=5, seeds=[0, 1], **STOP)
    result = toys.go(store, search, paper)
    assert len(result.trials) == 5
    text = json.dumps(list(paper.known.values()))
    assert "validate inputs" in text
    assert "validate targets" in text
    assert "TEST" not in text
    assert "test" not in text.lower()
    for record in result.trials:  # nor would a step that was done already
        plan = plan_trial(search, toys.make_catalogue(), store, record.number, record.parameters).plan
        assert "test" not in json.dumps([step.request() for step in plan.steps.values()]).lower()
        assert not plan.rows


# The same store, the same steps.


def test_a_trial_is_what_an_experiment_of_its_cell_does_before_it_opens_test(tmp_path: Path) -> None:
    store, search = toys.make_store(tmp_path), toys.resolve()
    catalogue, parameters = toys.make_catalogue(), search.space.first({"fusion": "bounded"})
    trial = plan_trial(search, catalogue, store, 7, parameters)
    raw = search.exported(parameters) | {"seeds": search.config.seeds}
    whole = make_plan(Experiment.of(raw).resolve(catalogue), store)
    assert set(trial.plan.steps) < set(whole.steps)
    assert {whole.steps[step_id].kind for step_id in set(whole.steps) - set(trial.plan.steps)} <= {
        "pixels",
        "select",
        "generate",
        "score",
        "intervals",
    }
    assert [len(scores) for scores in trial.rungs] == [1, 1]


def test_a_trial_that_was_run_before_costs_nothing(tmp_path: Path) -> None:
    store = toys.make_store(tmp_path)
    first = toys.go(store)
    assert first.executed["train"] == 2 * len({record.cell for record in first.trials})
    again = toys.go(store)
    assert not again.executed
    assert _told(again) == _told(first)
    other = toys.go(store, toys.resolve(name="another"))
    assert not other.executed
    assert _told(other) == _told(first)


def test_a_cell_that_is_proposed_twice_is_run_once(tmp_path: Path) -> None:
    store = toys.make_store(tmp_path)
    result = toys.go(store, toys.resolve(space={"decoder.layers": {"choices": [1, 2]}}, trials=6))
    assert len(result.trials) == 6
    assert result.executed == {"pixels": 2, "train": 4, "generate": 4, "score": 4}


def test_workers_stay_warm_over_all_trials(tmp_path: Path) -> None:
    paper = toys.Paper(store := toys.make_store(tmp_path))
    toys.go(store, paper=paper)
    assert paper.closed == 1
    failing = toys.Paper(store)
    with pytest.raises(ConfigError):
        toys.go(store, toys.resolve(trials=2), failing)
    assert failing.closed == 1


# What a trial is worth.


def test_the_better_part_of_the_space_is_found(tmp_path: Path) -> None:
    result = toys.go(toys.make_store(tmp_path), toys.resolve(trials=16))
    assert result.best is not None
    assert result.best.parameters["decoder.layers"] == "3"
    assert result.best.parameters["fusion"] == "bounded"
    assert [record.value for record in result.trials] == sorted((r.value for r in result.trials), reverse=True)


def test_where_lower_is_better_the_lowest_is_best(tmp_path: Path) -> None:
    search = toys.resolve(trials=6, objective={"metric": "errors"}, metrics=["errors"])
    result = toys.go(toys.make_store(tmp_path), search)
    values = [record.value for record in result.trials]
    assert values == sorted(values)
    assert all(record.values[-1] == min(record.values) for record in result.trials)


def test_the_value_is_the_mean_over_seeds_of_each_one_s_best_rung(tmp_path: Path) -> None:
    curves = {0: [0.1, 0.4, 0.2], 5: [0.3, 0.2, 0.5]}

    def judge(train: Any) -> float:
        return curves[train["seed"]][train["payload"]["epochs"][1] // 2 - 1]

    search = toys.resolve(trials=1, seeds=[0, 5], base__stages={"fusion": {"epochs": 6, "rung": 2}})
    store = toys.make_store(tmp_path)
    (record,) = toys.go(store, search, toys.Paper(store, judge)).trials
    assert record.values == pytest.approx([0.2, 0.35, 0.45])
    assert record.value == pytest.approx(0.45)


def test_only_rungs_of_the_last_stage_are_judged(tmp_path: Path) -> None:
    search = toys.resolve(
        trials=1, space={"decoder.layers": {"choices": [1, 2]}}, base__stages={"a": {"epochs": 4, "rung": 1}, "b": {}}
    )
    result = toys.go(toys.make_store(tmp_path), search)
    assert result.executed == {"pixels": 2, "train": 5, "generate": 1, "score": 1}


def test_a_trial_below_the_median_is_stopped_by_not_asking_for_its_next_rung(tmp_path: Path) -> None:
    values = iter([5.0, 6.0, 5.0, 6.0, 1.0, 9.0, 9.0])

    def judge(train: Any) -> float:
        return next(values)

    space = {"stages.fusion.lr": {"low": 1e-4, "high": 1e-2}}
    store = toys.make_store(tmp_path)
    result = toys.go(store, toys.resolve(trials=4, space=space, **STOP), toys.Paper(store, judge))
    by_number = {record.number: record for record in result.trials}
    assert [by_number[number].state for number in range(4)] == ["complete", "complete", "pruned", "complete"]
    assert by_number[2].values == (1.0,)
    assert result.executed["train"] == 2 + 2 + 1 + 2
    assert [record.number for record in result.trials] == [3, 0, 1, 2], "stopped trials stand behind complete ones"


@pytest.mark.parametrize(
    ("pruner", "stopped"), [({"startup": 2}, 1), ({"startup": 3}, 0), ({"startup": 2, "warmup": 1}, 0), (None, 0)]
)
def test_startup_and_warmup_spare_trials(pruner: Any, stopped: int, tmp_path: Path) -> None:
    values = iter([5.0, 6.0, 5.0, 6.0, 1.0, 9.0])
    store = toys.make_store(tmp_path)
    search = toys.resolve(trials=3, space={"stages.fusion.lr": {"low": 1e-4, "high": 1e-2}}, pruner=pruner)
    result = toys.go(store, search, toys.Paper(store, lambda train: next(values)))
    assert [record.state for record in result.trials].count("pruned") == stopped


# Killed and resumed.


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> SearchResult:
    with pytest.MonkeyPatch.context() as patch:
        _use(patch, RECORD)
        return toys.go(toys.make_store(tmp_path_factory.mktemp("undisturbed")), toys.resolve(**STOP))


@pytest.mark.heavy
@pytest.mark.parametrize("steps", [0, 4, 5, 13, 21])
def test_a_search_killed_in_a_step_goes_on_as_if_nothing_had_happened(
    steps: int, undisturbed: SearchResult, tmp_path: Path
) -> None:
    store = toys.make_store(tmp_path)
    paper = toys.Paper(store)
    paper.killed_at = steps
    with pytest.raises(KeyboardInterrupt):
        toys.go(store, toys.resolve(**STOP), paper)
    assert paper.closed == 1
    resumed = toys.go(store, toys.resolve(**STOP))
    assert _told(resumed) == _told(undisturbed)
    assert resumed.history.read_bytes() == undisturbed.history.read_bytes()
    assert resumed.exported and undisturbed.exported
    assert resumed.exported.read_bytes() == undisturbed.exported.read_bytes()


@pytest.mark.heavy
@pytest.mark.parametrize("method", ["_suggest", "report", "end", "_frozen", "_trial"])
@pytest.mark.parametrize("call", [1, 2, 6])
def test_a_search_killed_while_it_talks_to_the_database_goes_on_as_if_nothing_had_happened(
    method: str, call: int, undisturbed: SearchResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, real, calls = toys.make_store(tmp_path), getattr(Study, method), 0

    def killed(self: Study, *arguments: Any, **more: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call:
            raise KeyboardInterrupt
        return real(self, *arguments, **more)

    with monkeypatch.context() as patch:
        patch.setattr(Study, method, killed)
        with pytest.raises(KeyboardInterrupt):
            toys.go(store, toys.resolve(**STOP))
    assert _told(toys.go(store, toys.resolve(**STOP))) == _told(undisturbed)


def test_more_trials_go_on_where_fewer_ended(undisturbed: SearchResult, tmp_path: Path) -> None:
    store = toys.make_store(tmp_path)
    first = toys.go(store, toys.resolve(trials=3, **STOP))
    assert len(first.trials) == 3
    assert _told(toys.go(store, toys.resolve(**STOP))) == _told(undisturbed)


def test_proposals_do_not_depend_on_what_else_is_in_the_database(undisturbed: SearchResult, tmp_path: Path) -> None:
    store, url = toys.make_store(tmp_path / "store"), f"sqlite:///{tmp_path / 'shared.db'}"
    toys.go(store, toys.resolve(name="earlier", sampler={"seed": 8}), storage=url)
    assert _told(toys.go(store, toys.resolve(**STOP), storage=url)) == _told(undisturbed)
    assert not (store.root / "searches" / "small" / "optuna.db").exists()


def test_another_seed_proposes_other_trials(undisturbed: SearchResult, tmp_path: Path) -> None:
    other = toys.go(toys.make_store(tmp_path), toys.resolve(sampler={"seed": 4, "startup": 3}, **STOP))
    assert _told(other)[0][4] != _told(undisturbed)[0][4]


def test_one_process_drives_a_search(tmp_path: Path) -> None:
    store = toys.make_store(tmp_path)
    lease = store.lease("search-small")
    assert lease is not None
    with lease, pytest.raises(ConfigError, match="another process is at work on the search 'small'"):
        toys.go(store)
    assert len(toys.go(store).trials) == 6


# Another search under the same name.


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A store in which the search has two trials."""
    with pytest.MonkeyPatch.context() as patch:
        _use(patch, RECORD)
        toys.go(store := toys.make_store(tmp_path_factory.mktemp("begun")), toys.resolve(trials=2))
    return store


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"base__decoder": {"name": "rnn", "layers": 1}}, "changed: base;"),
        ({"space__fusion": {"components": ["concat", "gating", "bounded"], "options": True}}, "changed: space.fusion"),
        ({"space__decoder.layers": {"choices": [1, 2]}}, "changed: space.decoder.layers;"),
        ({"space": {"decoder.layers": {"choices": [1, 2, 3]}}}, "changed: space.fusion, space.fusion.bounded.mode"),
        ({"seeds": [0, 1]}, "changed: seeds;"),
        ({"objective": {"metric": "bleu_1"}}, "changed: objective;"),
        ({"metrics": [{"name": "bleu", "smooth": True}]}, "changed: objective;"),
        ({"protocol": "clean"}, "changed: protocol"),
        ({"pruner": {"startup": 3}}, "changed: pruner;"),
        ({"sampler": {"seed": 4, "startup": 3}}, "changed: sampler;"),
        ({"trials": 1}, "trials of the search 'small' .*; got 1; expected 2 as before, or more"),
    ],
)
def test_a_changed_search_under_the_same_name_is_refused_with_the_reason(changes: Any, said: str, begun: Any) -> None:
    with pytest.raises(ConfigError, match=said):
        toys.go(begun, toys.resolve(**{"trials": 2, **changes}))


def test_what_does_not_decide_trials_may_change(begun: Any) -> None:
    store = begun
    before = toys.go(store, toys.resolve(trials=2))
    best = {"seeds": [7], "floors": ["constant"], "metrics": ["bleu"]}
    after = toys.go(store, toys.resolve(trials=2, question="Another?", best=best, metrics=["bleu", "novelty"]))
    assert not after.executed
    assert _told(after) == _told(before)


def test_changed_data_and_changed_code_are_another_search(data: Any, tmp_path: Path) -> None:
    store, search = toys.make_store(tmp_path), toys.resolve(trials=2)
    toys.go(store, search)
    data(toys.toy.make_record(validate_targets="corrected"))
    with pytest.raises(ConfigError, match=r"changed: the data; expected the same search, or more trials"):
        toys.go(store, search)
    data(toys.toy.make_record(test_targets="corrected"))
    assert not toys.go(store, search).executed, "what test says decides nothing"
    data(toys.toy.make_record())
    mended = {**search.code, "fusions/toys/bounded": "2"}
    with pytest.raises(ConfigError, match="changed: the code of fusions/toys/bounded;"):
        toys.go(store, dataclasses.replace(search, code=mended))


def test_a_moved_data_set_is_the_same(tmp_path: Path) -> None:
    store = toys.make_store(tmp_path)
    toys.go(store, toys.resolve(trials=2, base__dataset={"name": "rooted", "root": "/here"}))
    assert not toys.go(store, toys.resolve(trials=2, base__dataset={"name": "rooted", "root": "/there"})).executed


# Failures.


def test_a_trial_that_fails_is_told_with_its_reason_and_the_search_goes_on(tmp_path: Path) -> None:
    paper = toys.Paper(store := toys.make_store(tmp_path))
    paper.fails = lambda request: (
        ""
        if request["kind"] == "train" and request["payload"]["model"]["decoder"]["$component"]["options"]["layers"] == 2
        else None
    )
    result = toys.go(store, paper=paper)
    failed = [record for record in result.trials if record.state == "failed"]
    assert failed
    assert {record.parameters["decoder.layers"] for record in failed} == {"2"}
    assert all(record.reason == f"train fusion 1-2 of trial={record.number}, seed 0: it happened" for record in failed)
    assert [record.state for record in result.trials][-len(failed) :] == ["failed"] * len(failed)
    assert result.best and result.best.parameters["decoder.layers"] != "2"
    assert _told(toys.go(store)) == _told(result), "a failed trial is told and done"


def test_values_that_do_not_go_together_fail_their_trial(tmp_path: Path) -> None:
    space = {"decoding.min_new_tokens": {"choices": [0, 50]}, "decoding.max_new_tokens": {"choices": [60, 40]}}
    result = toys.go(toys.make_store(tmp_path), toys.resolve(space=space, trials=10))
    failed = [record for record in result.trials if record.state == "failed"]
    assert failed
    for record in failed:
        assert record.parameters == {"decoding.min_new_tokens": "50", "decoding.max_new_tokens": "40"}
        assert "min_new_tokens; got 50; expected at most max_new_tokens, 40" in record.reason


def test_a_trial_on_another_validate_split_is_no_trial_of_the_search(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Easier references would win."""

    def read(store: Any, component: Any, root: Any) -> Any:
        other = component.options["studies"] == 9
        return toys.toy.make_record(validate_targets="easier") if other else toys.toy.make_record()

    for module in ("plan", "search"):
        monkeypatch.setattr(f"rrgbench.{module}.read_dataset", read)
    search = toys.resolve(space={"dataset.studies": {"choices": [3, 9]}}, trials=6)
    result = toys.go(toys.make_store(tmp_path), search)
    states = {record.parameters["dataset.studies"]: record.state for record in result.trials}
    assert states == {"3": "complete", "9": "failed"}
    assert all("another validate split" in record.reason for record in result.trials if record.state == "failed")


def test_a_value_that_is_no_number_fails_its_trial(tmp_path: Path) -> None:
    store = toys.make_store(tmp_path)
    result = toys.go(store, toys.resolve(trials=2), toys.Paper(store, lambda train: float("nan")))
    assert [record.reason for record in result.trials] == ["bleu_4 on validate; got [nan]; expected a number"] * 2
    assert result.best is None
    assert result.exported is None
    assert result.history.read_text().count("failed") == 2


def test_a_store_that_fails_stops_the_search_and_leaves_the_trial_open(undisturbed: SearchResult, tmp_path: Path) -> None:
    paper = toys.Paper(store := toys.make_store(tmp_path))
    paper.fails = lambda request: "StoreError" if len(paper.ran) == 6 else None
    with pytest.raises(StoreError, match="StoreError happened"):
        toys.go(store, toys.resolve(**STOP), paper)
    assert paper.closed == 1
    assert _told(toys.go(store, toys.resolve(**STOP))) == _told(undisturbed)


# Databases.


@pytest.mark.parametrize(
    "url", ["nonsense", "nothing://host/base", "sqlite:////no/such/folder/x.db", "mysql://host:port/base", "sqlite:///{x}"]
)
def test_a_database_that_cannot_be_opened_is_one_line(url: str, tmp_path: Path) -> None:
    with pytest.raises((ConfigError, StoreError), match="--storage") as caught:
        toys.go(toys.make_store(tmp_path), storage=url)
    assert "\n" not in str(caught.value)


def test_the_store_may_have_any_name(tmp_path: Path) -> None:
    store = toys.make_store(tmp_path / "what? 100% {mine} #1 ä")
    first = toys.go(store, toys.resolve(trials=2))
    assert (store.root / "searches" / "small" / "optuna.db").is_file()
    assert _told(toys.go(store, toys.resolve(trials=2))) == _told(first)


def test_a_file_that_is_no_database_is_one_line(tmp_path: Path) -> None:
    store = toys.make_store(tmp_path)
    folder = store.root / "searches" / "small"
    folder.mkdir(parents=True)
    (folder / "optuna.db").write_text("something else, and long enough to be read as a header of a hundred bytes" * 9)
    with pytest.raises(StoreError, match=r"optuna.db, cannot be used; got .*not a database"):
        toys.go(store)


def test_a_study_of_somebody_else_is_not_touched(tmp_path: Path) -> None:
    import optuna

    url = f"sqlite:///{tmp_path / 'theirs.db'}"
    study = optuna.create_study(storage=url, study_name="small")
    study.tell(study.ask(), 1.0)
    with pytest.raises(ConfigError, match="was begun as another one"):
        toys.go(toys.make_store(tmp_path / "store"), storage=url)
    assert len(study.get_trials()) == 1


# What is left behind.


def test_the_best_cell_leaves_as_an_experiment_over_fresh_seeds(tmp_path: Path) -> None:
    best = {"seeds": [4, 5], "floors": ["constant", "random"], "metrics": ["bleu", "novelty"]}
    store, search = toys.make_store(tmp_path), toys.resolve(best=best, protocol="clean")
    result = toys.go(store, search)
    assert result.exported == store.root / "searches" / "small" / "best.yaml"
    resolved = Experiment.load(result.exported).resolve(toys.make_catalogue())
    assert [cell.id for cell in resolved.cells] == [result.best.cell]
    assert resolved.seeds == (4, 5)
    assert [floor.name for floor in resolved.floors] == ["constant", "random"]
    assert [metric.name for metric in resolved.metrics] == ["bleu", "novelty"]
    assert resolved.protocol.name == "clean"
    assert resolved.select[0] == "bleu_4"
    plan = make_plan(resolved, store)
    assert {step.seed for step in plan.steps.values() if step.kind == "train"} == {4, 5}
    assert len(plan.rows) == 3


def test_left_alone_the_exported_seeds_are_three_that_no_trial_had(tmp_path: Path) -> None:
    search = toys.resolve(seeds=[0, 2, 2**63 - 1], trials=1)
    result = toys.go(toys.make_store(tmp_path), search, export=tmp_path / "mine.yaml")
    assert result.exported == tmp_path / "mine.yaml"
    assert Experiment.load(result.exported).config.seeds == [1, 3, 4]


def test_the_history_has_a_line_a_trial(tmp_path: Path) -> None:
    result = toys.go(toys.make_store(tmp_path), toys.resolve(**STOP))
    lines = list(csv.DictReader(result.history.open()))
    assert [int(line["number"]) for line in lines] == list(range(6))
    by_number = {record.number: record for record in result.trials}
    for line in lines:
        record = by_number[int(line["number"])]
        assert float(line["bleu_4"]) == record.value
        assert float(line["stages.fusion.lr"]) == record.parameters["stages.fusion.lr"]
        assert (line["fusion.bounded.dropout"] == "") == (record.parameters["fusion"] != "bounded")


@pytest.mark.parametrize(
    "value",
    [
        {"a": "1e5", "b": "no", "c": "null", "d": "1_000", "e": "0x10", "f": "2020-01-01", "g": "", "h": "~", "i": "1:30"},
        {"a": 1e-5, "b": 1e22, "c": 0.1, "d": 3, "e": True, "f": None, "g": -0.0, "h": 123456789.123456789},
        ["ä\U0001f600", "two\nlines", "tab\t", " spaces ", "#", "- x", "a: b", "'", '"', "{x}", "&a", "*a", "!t", "%"],
        {"same": (shared := {"x": [1]}), "again": shared},
    ],
)
def test_what_is_written_as_yaml_is_read_as_the_same(value: Any) -> None:
    text = dump_yaml(value)
    assert parse_yaml(text, "here") == value
    assert "&" not in text.replace("'&a'", "")


# Light.


def test_importing_the_room_imports_neither_optuna_nor_torch() -> None:
    code = "import sys, rrgbench.search, rrgbench.cli.search; assert not {'optuna', 'torch', 'sqlalchemy'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_search_is_read_from_its_shipped_file() -> None:
    from rrgbench.catalogue import Catalogue
    from rrgbench.search import resolve_search

    files = sorted((Path(__file__).parent.parent / "experiments").glob("search_*.yaml"))
    assert files
    for file in files:
        search = resolve_search(Search.load(file), Catalogue.load())
        fusions = {dimension.when[1] for dimension in search.space.dimensions if dimension.when}
        assert {"concat", "cross_attention", "gating"} <= fusions
