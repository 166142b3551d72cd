"""Intervals over subjects, scores with signatures, and rows that are compared only where they may be."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rrgbench
from rrgbench.errors import DataError, PluginError, StoreError
from rrgbench.leaderboard import boards, load_rows
from rrgbench.row import Row, row_path, write_row
from rrgbench.scoring import score
from rrgbench.statistics import bootstrap
from rrgbench.store import Store
from rrgbench.types import Targets, Texts


class Mean:
    """The mean of the first statistic."""

    values: Mapping[str, Any] = {"mean": "higher"}
    needs = frozenset({"texts"})
    resampled = True

    def score(self, texts: Texts) -> Any:
        return np.array([[float(len(p))] for p in texts.predictions])

    def aggregate(self, statistics: Any) -> dict[str, float]:
        return {"mean": float(statistics[:, 0].mean())}

    def signature(self) -> str:
        return "mean"


class Verbatim:
    changes_references = False

    def prepare(self, text: str, side: str) -> str:
        return text


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    random = np.random.default_rng(0)
    hits = 0
    for trial in range(200):
        sample = random.normal(3.0, 2.0, (60, 1))
        interval = bootstrap(Mean(), [sample], [str(i) for i in range(60)], resamples=200, seed=trial)["mean"]
        hits += interval.low <= 3.0 <= interval.high
    assert 0.88 <= hits / 200 <= 0.99


def test_studies_of_one_subject_are_drawn_together() -> None:
    random = np.random.default_rng(1)
    once = random.normal(0.0, 1.0, (50, 1))
    twins = np.repeat(once, 4, axis=0)
    apart = bootstrap(Mean(), [twins], [str(i) for i in range(200)])["mean"]
    together = bootstrap(Mean(), [twins], [str(i // 4) for i in range(200)])["mean"]
    assert (together.high - together.low) > 1.6 * (apart.high - apart.low)


def test_intervals_are_the_same_every_time_and_the_mean_over_seeds() -> None:
    runs = [np.arange(10.0).reshape(10, 1), np.arange(10.0).reshape(10, 1) + 1]
    subjects = [str(i) for i in range(10)]
    first, second = bootstrap(Mean(), runs, subjects), bootstrap(Mean(), runs, subjects)
    assert first == second
    assert first["mean"].value == 5.0


def _score(predictions: dict[str, str], metric: Any = None, references: tuple[str, ...] = ("x", "y")) -> Any:
    targets = [Targets(name, report) for name, report in zip("ab", references, strict=True)]
    return score(metric or Mean(), Verbatim(), predictions, targets, protocol_name="raw", metric_version="1")


def test_a_score_is_of_exactly_the_studies_and_signed() -> None:
    found = _score({"b": "yy", "a": "x"})
    assert found.statistics.tolist() == [[1.0], [2.0]]
    assert found.values == {"mean": 1.5}
    assert found.signature["n"] == 2
    assert _score({"b": "zz", "a": "q"}).signature == found.signature
    assert _score({"b": "yy", "a": "x"}, references=("x", "other")).signature["references"] != found.signature["references"]


@pytest.mark.parametrize("predictions", [{"a": "x"}, {"a": "x", "b": "y", "c": "z"}, {"a": "x", "c": "y"}, {}])
def test_predictions_of_other_studies_are_refused(predictions: dict[str, str]) -> None:
    with pytest.raises(DataError, match="predictions are not of the studies"):
        _score(predictions)


def test_a_metric_that_breaks_its_contract_is_named() -> None:
    class Short(Mean):
        pass

    for broken in (lambda self, t: np.zeros((1, 1)), lambda self, t: np.full((2, 1), np.nan), lambda self, t: np.zeros(2)):
        wrong = type("Wrong", (Short,), {"score": broken})()
        with pytest.raises(PluginError, match="metric Wrong: score"):
            _score({"a": "x", "b": "y"}, wrong)
    missing = type("Missing", (Short,), {"aggregate": lambda self, s: {}})()
    with pytest.raises(PluginError, match="metric Missing: aggregate"):
        _score({"a": "x", "b": "y"}, missing)


SIGNATURE = {"metric": "m 1", "metric_version": "1", "protocol": "raw", "references": "r1", "studies": "s1", "n": 5}


def _row(row_id: str, value: float, kind: str = "cell", **signature: Any) -> Row:
    told = {
        "metric": "m",
        "value": value,
        "low": value - 0.1,
        "high": value + 0.1,
        "sd": None,
        "seeds": [value],
        "better": "higher",
        "signature": SIGNATURE | signature,
    }
    return Row.model_validate(
        {
            "format": 1,
            "id": row_id,
            "kind": kind,
            "title": f"row {row_id}",
            "labels": {"fusion": row_id},
            "experiment": "e",
            "question": "",
            "dataset": "d",
            "dataset_options": {},
            "license": "open",
            "protocol": "raw",
            "n": 5,
            "subjects": 5,
            "seeds": [0],
            "baseline": False,
            "values": {"v": told},
            "not_applicable": {},
            "floors": {},
            "parameters": None,
            "trainable": None,
            "train_seconds": None,
            "config": {},
            "steps": {},
            "provenance": {},
            "written": "now",
        }
    )


def test_floors_rank_among_the_cells_by_the_headline() -> None:
    (board,) = boards([_row("a", 0.2), _row("f", 0.3, kind="floor"), _row("b", 0.4)])
    assert [row.id for row in board.rows] == ["b", "f", "a"]


@pytest.mark.parametrize("field", ["metric", "metric_version", "protocol", "references", "studies", "n"])
def test_rows_with_another_signature_never_stand_in_one_table(field: str) -> None:
    found = boards([_row("a", 0.2), _row("b", 0.4, **{field: "other"})])
    assert sorted(row.id for board in found for row in board.rows) == ["a", "b"]
    assert len(found) == 2


def test_an_unchanged_row_is_not_written_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    row = _row("a", 0.2)
    assert write_row(store, row)
    assert not write_row(store, row.model_copy(update={"written": "later"}))
    assert write_row(store, _row("a", 0.3))
    assert load_rows(tmp_path) == [_row("a", 0.3)]


def test_rows_as_a_data_frame(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for row in (_row("a", 0.2), _row("f", 0.3, kind="floor")):
        write_row(store, row)
    table = rrgbench.rows(tmp_path)
    assert table["value"].tolist() == [0.2, 0.3]
    assert table["kind"].tolist() == ["cell", "floor"]
    assert {"axis.fusion", "low", "high", "signature", "n", "protocol", "value_name"} <= set(table.columns)
    assert rrgbench.rows(tmp_path, experiment="other").empty


def test_a_file_that_is_no_row_is_one_line(tmp_path: Path) -> None:
    path = row_path(Store(tmp_path), _row("a", 0.1))
    path.parent.mkdir(parents=True)
    path.write_text(copy.copy('{"id": 3}'))
    with pytest.raises(StoreError, match="is not a row"):
        load_rows(tmp_path)
