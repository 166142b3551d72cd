"""Rows: what a cell's finished steps say, written whole and only when it changed."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from rrgbench.errors import StoreError
from rrgbench.plan import Plan
from rrgbench.row import Row, make_row, read_rows, row_path, write_row
from rrgbench.store import Done, Store, write_json

_spec = importlib.util.spec_from_file_location("rrgbench_toy_catalogue", Path(__file__).with_name("toy_catalogue.py"))
toy = sys.modules.setdefault("rrgbench_toy_catalogue", importlib.util.module_from_spec(_spec))
if not hasattr(toy, "tiny"):
    _spec.loader.exec_module(toy)

CHANGES = {
    "axes": {"encoders.text": ["bert", None]},
    "seeds": [3, 5],
    "metrics": ["bleu", "rouge", {"name": "bleu", "smooth": True}, "clip", "length"],
    "base.stages": {"fusion": {"epochs": 2, "rung": 1, "losses": {"cross_entropy": 1.0, "contrastive": 0.1}}},
    "floors": ["constant", "random"],
    "baseline": {"encoders.text": None},
    "question": "Does it help?",
}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    place = Store(tmp_path / "store")
    place.create()
    return place


def _intervals(step: Any) -> dict[str, Any]:
    metric = step.payload["metric"].value
    values = {
        name: {"value": 0.5, "low": 0.4, "high": 0.6, "seeds": [0.4, 0.6], "sd": 0.1, "better": better}
        for name, better in metric.attributes["values"].items()
    }
    signature = {"metric": metric.name, "n": 4, "references": "r" * 16, "protocol": "raw"}
    return {"values": values, "order": list(values), "signature": signature, "subjects": 3}


def _finish(plan: Plan, store: Store) -> None:
    """Publish what the row-makers read of every step, as the workers would."""
    for step in plan.steps.values():
        provenance: dict[str, Any] = {"libraries": {"numpy": "1"}}
        if step.kind == "train":
            provenance |= {
                "cost": {"seconds": 2.5},
                "parameters": {"model": {"total": 100 + int(step.seed or 0), "trainable": 60}},
            }
        with store.draft(step.id) as draft:
            if step.kind == "intervals":
                write_json(draft / "intervals.json", _intervals(step))
            if step.kind in ("generate", "floor"):
                (draft / "predictions.jsonl").write_text(step.id)
            told = {"id": step.id, "kind": step.kind, "title": step.title, "license": step.license, "seconds": 1.0, "files": {}}
            done = Done.model_validate({"format": 1, **told, "domain": {"device": "cpu"}, "provenance": provenance})
            store.publish(draft, done)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Row]:
    """The rows of an experiment whose steps are all done."""
    store = Store(tmp_path_factory.mktemp("finished"))
    with pytest.MonkeyPatch.context() as monkeypatch:
        plan = toy.plan(monkeypatch, CHANGES, toy.make_record("credentialed"))
    _finish(plan, store)
    return {row.title: make_row(plan, row, store) for row in plan.rows}


def test_a_row_says_what_its_cell_came_to(rows: dict[str, Row]) -> None:
    row = rows["text=bert"]
    assert (row.kind, row.experiment, row.question, row.dataset, row.protocol) == ("cell", "tiny", "Does it help?", "toy", "raw")
    assert (row.n, row.subjects, row.seeds, row.license) == (4, 3, [3, 5], "credentialed")
    assert row.labels == {"text": "bert"}
    assert row.dataset_options == {"studies": 3, "style": "plain"}
    assert row.train_seconds == 2 * 2 * 2.5  # two seeds, two rungs
    assert (row.parameters, row.trainable) == (105, 60)
    assert row.provenance == {"libraries": {"numpy": "1"}, "numerics": [{"device": "cpu"}]}
    assert list(row.steps) == ["seed 3", "seed 5"]
    assert row.config["model"]["encoders"]["text"]["name"] == "bert"
    value = row.values["bleu_4"]
    assert (value.metric, value.value, value.low, value.high, value.sd, value.seeds) == ("bleu", 0.5, 0.4, 0.6, 0.1, [0.4, 0.6])
    assert value.signature["n"] == 4


def test_values_of_one_name_stand_side_by_side_and_the_metric_s_order_is_kept(rows: dict[str, Row]) -> None:
    told = ["bleu_1", "bleu_4", "rouge_l", "length", "bleu#2.bleu_1", "bleu#2.bleu_4", "length.length"]
    assert list(rows["text=bert"].values) == [*told[:6], "clip", told[6]]
    assert list(rows["text=none"].values) == told
    assert list(rows["constant"].values) == told
    assert rows["constant"].not_applicable == {"clip": "a floor has no embeddings"}


def test_floors_stand_in_every_cell_and_one_cell_is_the_baseline(rows: dict[str, Row]) -> None:
    for title in ("text=bert", "text=none"):
        assert set(rows[title].floors) == {"constant", "random"}
        assert set(rows[title].floors["constant"]) == set(rows["constant"].values)
    assert [title for title, row in rows.items() if row.baseline] == ["text=none"]
    floor = rows["random"]
    assert (floor.kind, floor.seeds, floor.parameters, floor.train_seconds, floor.floors) == ("floor", [3, 5], None, None, {})


def test_a_row_is_written_when_it_changed_and_only_then(rows: dict[str, Row], store: Store) -> None:
    row = rows["text=bert"]
    path = row_path(store, row)
    assert path == store.root / "rows" / "toy" / "tiny" / f"{row.id}.json"
    assert write_row(store, row)
    before = path.stat().st_mtime_ns
    assert not write_row(store, row.model_copy(update={"written": "later"}))
    assert path.stat().st_mtime_ns == before
    assert read_rows(store.root / "rows") == [row]
    assert write_row(store, row.model_copy(update={"question": "Another?"}))
    assert [one.question for one in read_rows(store.root / "rows")] == ["Another?"]
    path.write_text("half a r")
    assert write_row(store, row)
    assert [item.name for item in path.parent.iterdir()] == [path.name]


def test_experiments_that_share_a_cell_keep_a_row_each(rows: dict[str, Row], store: Store) -> None:
    row = rows["text=bert"]
    other = row.model_copy(update={"experiment": "another", "values": {"bleu_4": row.values["bleu_4"]}})
    assert write_row(store, row)
    assert write_row(store, other)
    assert not write_row(store, row)
    assert {one.experiment: len(one.values) for one in read_rows(store.root / "rows")} == {"tiny": 8, "another": 1}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda raw: "", "is not a row: the whole"),
        (lambda raw: "[]", "is not a row: the whole"),
        (lambda raw: json.dumps(raw)[:-9], "is not a row: the whole"),
        (lambda raw: json.dumps({k: v for k, v in raw.items() if k != "seeds"}), "is not a row: seeds; got {"),
        (lambda raw: json.dumps(raw | {"n": "four"}), "is not a row: n; got 'four'"),
        (lambda raw: json.dumps(raw | {"kind": "model"}), "is not a row: kind; got 'model'"),
        (lambda raw: json.dumps(raw).replace('"value": 0.5', '"value": NaN', 1), "is not a row"),
        (lambda raw: json.dumps(raw | {"format": 1}), "is not a row: format; got 1; expected 2"),
        (lambda raw: "\ud800", "is not a row"),
    ],
    ids=["nothing", "a list", "cut", "no seeds", "n a word", "kind unknown", "NaN", "another format", "a surrogate"],
)
def test_a_file_that_is_no_row_is_one_line(change: Any, told: str, rows: dict[str, Row], store: Store) -> None:
    row = rows["text=bert"]
    write_row(store, row)
    path = row_path(store, row)
    path.write_bytes(change(json.loads(path.read_text())).encode("utf-8", "surrogatepass"))
    with pytest.raises(StoreError) as caught:
        read_rows(store.root / "rows")
    assert str(caught.value).startswith(f"{path} {told}")
    assert str(caught.value).isprintable()
    assert "delete it and run the experiment again" in str(caught.value)


def test_an_artifact_that_cannot_be_read_says_what_to_delete(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = toy.plan(monkeypatch, {"floors": ["blank"]})
    _finish(plan, store)
    row = plan.rows[0]
    folder = store.artifact(next(iter(row.intervals.values())))
    (folder / "intervals.json").write_text("{")
    with pytest.raises(StoreError, match=f"intervals.json cannot be read; .*delete the folder {folder}"):
        make_row(plan, row, store)


def test_no_rows_are_no_mistake(tmp_path: Path) -> None:
    assert read_rows(tmp_path / "nowhere") == []
    (tmp_path / "file").write_text("")
    assert read_rows(tmp_path / "file") == []
