"""Predictions from outside become rows like everybody's: same steps, same store, same board, paid for once."""

from __future__ import annotations

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from rrgbench.catalogue import Catalogue, Component
from rrgbench.errors import ConfigError
from rrgbench.external import (
    Given,
    Source,
    below_floors,
    collapse,
    dataset_source,
    external_plan,
    installed,
    measures,
    publish,
    study_ids,
    why_not,
)
from rrgbench.leaderboard import boards, load_rows
from rrgbench.row import Row, row_path
from rrgbench.store import Store


def _beside(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"rrgbench_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec and spec.loader
    module = sys.modules.setdefault(f"rrgbench_{name}", importlib.util.module_from_spec(spec))
    if not hasattr(module, "Path"):
        spec.loader.exec_module(module)
    return module


toy = _beside("scored")
PHANTOM = {"name": "phantom", "studies": 60, "size": 32}


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return Catalogue.load()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    found: Store = toy.store_at(tmp_path_factory.mktemp("outside"))
    return found


@pytest.fixture(scope="module")
def phantom(store: Store, catalogue: Catalogue) -> Any:
    return dataset_source(store, catalogue.resolve("datasets", PHANTOM, "dataset"), None, "test")


# Rows.


def test_perfect_predictions_score_what_perfect_predictions_score(store: Store, catalogue: Catalogue) -> None:
    row = toy.score_here(store, toy.references(store), [toy.REFERENCES], catalogue)
    assert row.values["rouge_l"].value == 1.0
    assert row.values["bleu_4"].value == pytest.approx(1.0)
    assert (row.kind, row.n, row.subjects, row.seeds, row.labels) == ("external", 24, 24, [0], {})
    assert row.dataset == "reference-file"
    assert row.license == "credentialed", "nobody knows the rights in a reference file"
    assert row.parameters is None
    assert row.train_seconds is None
    assert row_path(store, row).is_file()


def test_the_same_predictions_are_scored_once_whatever_the_row_is_called(store: Store, catalogue: Catalogue) -> None:
    source = toy.references(store)
    runs = [toy.worse(3), toy.worse(4)]
    first = toy.score_here(store, source, runs, catalogue)
    steps = set((store.root / "steps").glob("*/*"))
    turned = [dict(reversed(run.items())) for run in runs]
    again = toy.score_here(store, source, turned, catalogue, title="renamed")
    assert set((store.root / "steps").glob("*/*")) == steps
    assert again.id == first.id
    assert again.title == "renamed"
    assert again.values == first.values
    assert [row.title for row in load_rows(store.root) if row.id == first.id] == ["renamed"]
    other = toy.score_here(store, source, runs[:1], catalogue)
    assert other.id != first.id
    assert other.steps["seed 0"] == first.steps["seed 0"]


def test_the_artifact_of_predictions_is_named_by_their_content(store: Store) -> None:
    source = toy.references(store)
    one, same = publish(store, source, toy.worse(3)), publish(store, source, dict(toy.worse(3)))
    changed = toy.worse(3) | {"s00": "Other."}
    assert one == same
    assert publish(store, source, changed) != one
    lines = (store.whole(one) / "predictions.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [{"study_id": s, "prediction": t} for s, t in toy.worse(3).items()]
    assert store.done(one).license == "credentialed"


def test_several_files_are_several_seeds(store: Store, catalogue: Catalogue) -> None:
    source = toy.references(store)
    alone = [toy.score_here(store, source, [toy.worse(every)], catalogue).values["rouge_l"].value for every in (3, 7)]
    both = toy.score_here(store, source, [toy.worse(3), toy.worse(7)], catalogue)
    assert both.seeds == [0, 1]
    assert both.values["rouge_l"].seeds == alone
    assert both.values["rouge_l"].value == pytest.approx(sum(alone) / 2)
    assert len(both.predictions) == len(set(both.predictions)) == 2


def test_what_a_reference_file_cannot_give_is_not_applicable_with_its_reason(store: Store, catalogue: Catalogue) -> None:
    source = toy.references(store)
    metrics = [catalogue.resolve("metrics", name, "metrics") for name in ("bleu", "diversity")]
    floors = [catalogue.resolve("floors", name, "floors") for name in ("constant", "random")]
    how = measures(source, catalogue.resolve("protocols", "raw", "protocol"), metrics, floors)
    assert [metric.name for metric in how.metrics] == ["bleu"]
    assert how.floors == ()
    reason = "a reference file has no train split"
    assert {
        name: why for name, why in how.missing.items() if name in ("unique", "floor constant", "floor random")
    } == dict.fromkeys(("unique", "floor constant", "floor random"), reason)
    plan = external_plan(source, how, Given("x", {0: publish(store, source, toy.worse(3))}))
    (row,) = toy.run_here(plan, store, catalogue).rows
    assert row.not_applicable == how.missing
    assert row.floors == {}


def test_a_data_set_without_train_or_validate_says_what_cannot_be_had_of_it(catalogue: Catalogue, phantom: Any) -> None:
    def lacking(*names: str) -> Source:
        splits = {name: data for name, data in phantom.record.splits.items() if name not in names}
        return replace(phantom, record=phantom.record.model_copy(update={"splits": splits}))

    floors = [catalogue.resolve("floors", name, "floors") for name in ("constant", "random")]
    metrics = [catalogue.resolve("metrics", name, "metrics") for name in ("bleu", "diversity")]
    raw = catalogue.resolve("protocols", "raw", "protocol")
    alone = lacking("train", "validate")
    how = measures(alone, raw, metrics, floors)
    assert [metric.name for metric in how.metrics] == ["bleu"]
    assert how.floors == ()
    assert how.missing["floor random"] == how.missing["unique"] == "phantom has no train split"
    half = lacking("validate")
    how = measures(half, raw, metrics, floors)
    assert [floor.name for floor in how.floors] == ["random"]
    assert how.missing == {"floor constant": "phantom has no validate split"}
    assert len(external_plan(half, how, Given("x", {0: "0" * 64})).rows) == 2
    with pytest.raises(ConfigError, match="protocol raw reads the train reports; got phantom has no train split"):
        measures(alone, replace(raw, values=("train_reports",)), metrics, floors)


def test_a_metric_that_needs_what_predictions_do_not_have_says_so(store: Store, catalogue: Catalogue, phantom: Any) -> None:
    bleu = catalogue.resolve("metrics", "bleu", "metrics")

    def needing(*needs: str, values: tuple[str, ...] = ()) -> Component:
        return replace(bleu, attributes={**bleu.attributes, "needs": list(needs)}, values=values)

    alone = toy.references(store)
    assert why_not(needing("texts"), alone) == ""
    assert why_not(needing("texts", "embeddings"), phantom) == "predictions alone have no embeddings"
    assert why_not(needing("texts", "labels"), alone) == "the references have no labels"
    assert why_not(needing("texts", "labels"), phantom) == ""
    assert why_not(needing("texts", values=("train_reports",)), alone) == "a reference file has no train split"
    assert why_not(needing("texts", values=("train_reports",)), phantom) == ""
    raw = catalogue.resolve("protocols", "raw", "protocol")
    with pytest.raises(ConfigError, match="none can be computed; got bleu: predictions alone have no embeddings"):
        measures(phantom, raw, [needing("embeddings")], [])


def test_what_is_installed_but_cannot_be_made_is_told(catalogue: Catalogue) -> None:
    found, left_out = installed(catalogue, "metrics")
    assert {"bleu", "rouge", "cider", "diversity"} <= {metric.name for metric in found}
    assert left_out == {}
    spec = catalogue.specs["metrics"]["bleu"][0]
    option = {"name": "weights", "tree": {"type": "path"}, "required": True}
    needy = spec.model_validate(spec.model_dump() | {"name": "needy", "options": [option]})
    twice = Catalogue(catalogue.records, {**catalogue.specs, "metrics": {"needy": (needy,), "bleu": (spec,)}})
    found, left_out = installed(twice, "metrics")
    assert [metric.name for metric in found] == ["bleu"]
    assert "needs this option" in left_out["needy"]


def test_a_row_on_validate_is_another_row_than_that_on_test(store: Store, catalogue: Catalogue, phantom: Any) -> None:
    validate = dataset_source(store, phantom.dataset, None, "validate")
    rows: list[Row] = []
    for source in (phantom, validate):
        texts = dict.fromkeys(study_ids(store, source), "The heart is normal.")
        rows.append(toy.score_here(store, source, [texts], catalogue))
    test, other = rows
    assert (test.split, other.split) == ("test", "validate")
    assert test.id != other.id
    assert (test.experiment, other.experiment) == ("external", "external-validate")
    assert (test.n, other.n) == (phantom.record.splits["test"].studies, validate.record.splits["validate"].studies)
    assert len(boards(rows)) == 2
    assert set(phantom.elsewhere) == {"train", "validate"}
    assert set(validate.elsewhere) == {"train", "test"}
    assert set(study_ids(store, validate)) == phantom.elsewhere["validate"]


# Warnings.


@pytest.mark.parametrize(
    ("counts", "told"),
    [
        ([1], ""),
        ([2], "nearly constant: 1 distinct reports for 2 studies, one of them 2 times (100%)"),
        ([590], "nearly constant: 1 distinct reports for 590 studies, one of them 590 times (100%)"),
        ([200, 200, 100, 90], "nearly constant: 4 distinct reports for 590 studies, one of them 200 times (34%)"),
        ([300, *[1] * 290], "nearly constant: 291 distinct reports for 590 studies, one of them 300 times (51%)"),
        ([280, *[1] * 310], ""),
        ([21] * 29, "nearly constant: 29 distinct reports for 609 studies, one of them 21 times (3%)"),
        ([10] * 58, ""),
        ([2, 1], ""),
        ([6, 1, 1, 1, 1], "nearly constant: 5 distinct reports for 10 studies, one of them 6 times (60%)"),
    ],
)
def test_predictions_that_are_nearly_all_the_same_are_told(counts: list[int], told: str) -> None:
    texts = [f"report {number}" for number, count in enumerate(counts) for _ in range(count)]
    assert collapse({str(number): text for number, text in enumerate(texts)}) == told


def test_case_and_spaces_make_no_difference_to_a_constant() -> None:
    assert collapse({"a": "The heart is normal.", "b": " the heart  is\nNORMAL."}).startswith("nearly constant: 1 distinct")


def test_a_value_below_a_floor_is_told_with_the_floor(store: Store, catalogue: Catalogue) -> None:
    row = toy.score_here(store, toy.references(store), [toy.worse(3)], catalogue)
    assert below_floors(row) == []
    rouge = row.values["rouge_l"].value
    above = row.model_copy(
        update={"floors": {"constant": {"rouge_l": rouge + 0.01, "bleu_4": 0.0}, "random": {"rouge_l": 0.9999}}}
    )
    assert below_floors(above) == [f"rouge_l {rouge:.4f} is worse than the floors constant {rouge + 0.01:.4f}, random 0.9999"]
    values = dict(above.values)
    for better, told in (("neither", 0), ("lower", 0)):
        values["rouge_l"] = values["rouge_l"].model_copy(update={"better": better})
        assert len(below_floors(above.model_copy(update={"values": values}))) == told
    under = above.model_copy(update={"values": values, "floors": {"constant": {"rouge_l": rouge - 0.01}}})
    assert len(below_floors(under)) == 1


# The command.


@pytest.mark.heavy
def test_a_system_stands_beside_floors_and_cells_and_costs_nothing_twice(
    tmp_path: Path, shell: Any, catalogue: Catalogue
) -> None:
    place = tmp_path / "store"
    first = toy.store_at(place)
    source = dataset_source(first, catalogue.resolve("datasets", PHANTOM, "dataset"), None, "test")
    ids = study_ids(first, source)
    path = tmp_path / "mine.csv"
    lines = [f"{study},The heart is normal. The lungs are clear.,x" for study in ids[1:]] + [f"{ids[0]},,x"]
    path.write_text("study_id,prediction,note\n" + "\n".join(lines))
    asked = ["score", path, "--dataset", "phantom", "--set", "studies=60", "--set", "size=32", "--store", place]
    asked += ["--floors", "constant,random", "--metrics", "bleu,rouge,diversity"]
    ran = shell(*asked, "--json")
    assert ran.code == 0, ran.err
    told = ran.json
    assert told["row"]["title"] == "mine"
    assert told["row"]["values"]["unique"]["value"] == 2
    assert set(told["row"]["floors"]) == {"constant", "random"}
    assert {row["title"] for row in told["floors"]} == {"constant", "random"}
    assert told["read"] == [{"path": str(path), "format": "CSV", "n": len(ids), "empty": [ids[0]], "ignored": ["note"]}]
    assert told["warnings"][0].startswith(f"{path}: nearly constant: 2 distinct reports for {len(ids)} studies")
    assert any("is worse than the floor" in warning for warning in told["warnings"])
    assert len([line for line in ran.err.splitlines() if line.startswith("warning: ")]) == len(told["warnings"])

    jsonl = tmp_path / "same.jsonl"
    reports = dict.fromkeys(ids, "The heart is normal. The lungs are clear.") | {ids[0]: ""}
    jsonl.write_text("".join(json.dumps({"study_id": s, "prediction": t}) + "\n" for s, t in reports.items()))
    again = shell(*[jsonl if word == path else word for word in asked], "--title", "mine", "--json")
    assert again.json["executed"] == {}
    assert again.json["row"] | {"written": ""} == told["row"] | {"written": ""}

    human = shell(*asked)
    assert human.code == 0
    assert "floor: constant" in human.out
    assert f"{path}: {len(ids)} predictions (CSV), 1 of them empty; not read: note" in human.err
    board = shell("leaderboard", "show", "--store", place)
    assert "mine" in board.out
    assert board.out.count("floor: random") == 1
    compared = shell("compare", "constant", "mine", "--store", place, "--json", "--resamples", "100")
    assert compared.code == 0, compared.err
    assert compared.json["subjects"] == told["row"]["subjects"] < told["row"]["n"], "studies of a subject stay together"


@pytest.mark.heavy
def test_an_experiment_says_how_to_score(tmp_path: Path, shell: Any, write_experiment: Any) -> None:
    changes = {"metrics": ["bleu", "rouge"], "floors": ["random"], "seeds": [3, 4], "axes": {}}
    path = write_experiment(tmp_path, changes)
    place = tmp_path / "store"
    ran = shell("run", path, "--store", place, "--json")
    assert ran.code == 0, ran.err
    cell = next(row for row in ran.json["rows"] if row["kind"] == "cell")
    for seed in (3, 4):
        out = shell(
            "leaderboard", "predictions", cell["id"], "--seed", str(seed), "--out", tmp_path / f"p{seed}.jsonl", "--store", place
        )
        assert out.code == 0, out.err
    scored = shell("score", tmp_path / "p3.jsonl", tmp_path / "p4.jsonl", "--like", path, "--store", place, "--json")
    assert scored.code == 0, scored.err
    row = scored.json["row"]
    assert row["predictions"] == cell["predictions"]
    assert {name: value["value"] for name, value in row["values"].items()} == {
        name: value["value"] for name, value in cell["values"].items()
    }
    assert row["floors"] == cell["floors"]
    assert "floor" not in scored.json["executed"], "the experiment's floors are its own"
    assert shell("leaderboard", "predictions", cell["id"], "--out", tmp_path / "p", "--store", place).code == 2
