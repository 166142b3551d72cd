"""The leaderboard: what may be ranked together is, floors among it, and nothing else ever."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas
import pytest

import rrgbench
from rrgbench.leaderboard import boards, load_rows
from rrgbench.row import FORMAT, Row, write_row
from rrgbench.store import Store

SIGNATURE = {
    "metric": "bleu 1",
    "metric_version": "1",
    "protocol": "raw()@1",
    "references_changed": False,
    "references": "r1",
    "studies": "s1",
    "n": 5,
}


def _value(
    value: float, metric: str = "bleu", better: str = "higher", resampled: bool = True, **signature: Any
) -> dict[str, Any]:
    low, high = (value - 0.1, value + 0.1) if resampled else (None, None)
    told = {"metric": metric, "value": value, "low": low, "high": high, "sd": None, "seeds": [value], "better": better}
    return told | {"signature": SIGNATURE | {"metric": f"{metric} 1"} | signature}


def _row(row_id: str, values: dict[str, dict[str, Any]], **changes: Any) -> Row:
    told = {
        "format": FORMAT,
        "id": row_id,
        "kind": "cell",
        "title": f"row {row_id}",
        "labels": {"fusion": row_id},
        "experiment": "e",
        "question": "",
        "dataset": "d",
        "dataset_options": {},
        "license": "open",
        "protocol": "raw",
        "protocol_options": {},
        "metrics": {},
        "n": 5,
        "subjects": 5,
        "seeds": [0],
        "baseline": False,
        "values": values,
        "not_applicable": {},
        "floors": {},
        "parameters": None,
        "trainable": None,
        "train_seconds": None,
        "config": {},
        "steps": {"seed 0": f"step {row_id}"},
        "predictions": [f"predictions {row_id}"],
        "scores": {},
        "aurocs": {},
        "provenance": {},
        "written": "now",
    }
    return Row.model_validate(told | changes)


def _ids(*rows: Row) -> list[list[str]]:
    return [[row.id for row in board.rows] for board in boards(rows)]


# Boards.


def test_floors_rank_among_the_cells_by_the_headline() -> None:
    rows = [_row("a", {"v": _value(0.2)}), _row("f", {"v": _value(0.3)}, kind="floor"), _row("b", {"v": _value(0.4)})]
    assert _ids(*rows) == [["b", "f", "a"]]


def test_less_is_better_where_the_metric_says_so_and_a_value_without_a_better_way_ranks_nothing() -> None:
    def rows(**more: dict[str, Any]) -> list[Row]:
        values = {"a": (0.3, 9.0), "b": (0.1, 1.0), "c": (0.2, 5.0)}
        return [
            _row(name, {"length": _value(length, "length", "neither"), **({"ter": _value(ter, "ter", "lower")} if more else {})})
            for name, (ter, length) in values.items()
        ]

    assert _ids(*rows(ter={})) == [["b", "c", "a"]]
    assert _ids(*rows()) == [["a", "b", "c"]]


def test_a_row_without_the_headline_stands_last() -> None:
    rows = [
        _row("x", {"w": _value(9.0, "rouge")}),
        _row("a", {"v": _value(0.2), "w": _value(1.0, "rouge")}),
        _row("b", {"v": _value(0.4)}),
    ]
    # The headline is the first value of the rows, in their order.
    assert _ids(rows[1], rows[0], rows[2]) == [["b", "a", "x"]]


@pytest.mark.parametrize("field", list(SIGNATURE))
def test_rows_with_another_signature_are_never_in_one_table(field: str) -> None:
    found = _ids(_row("a", {"v": _value(0.2)}), _row("b", {"v": _value(0.9, **{field: "other"})}), _row("c", {"v": _value(0.3)}))
    assert found == [["c", "a"], ["b"]]


@pytest.mark.parametrize("changes", [{"dataset": "other"}, {"dataset_options": {"x": 1}}])
def test_rows_of_another_data_set_are_never_in_one_table(changes: dict[str, Any]) -> None:
    assert _ids(_row("a", {"v": _value(0.2)}), _row("b", {"v": _value(0.2)}, **changes)) == [["a"], ["b"]]


def test_rows_with_more_metrics_stand_with_those_that_have_fewer_unless_one_is_computed_otherwise() -> None:
    few = _row("few", {"v": _value(0.2)})
    more = _row("more", {"v": _value(0.3), "w": _value(0.1, "rouge")})
    otherwise = _row("otherwise", {"v": _value(0.4), "w": _value(0.1, "rouge", metric_version="2")})
    assert _ids(few, more, otherwise) == [["more", "few"], ["otherwise"]]


def test_a_row_in_which_nothing_applies_is_no_accident() -> None:
    empty = _row("none", {}, not_applicable={"clip": "a floor has no embeddings"}, kind="floor")
    assert _ids(empty) == [["none"]]
    assert boards([empty])[0].references == ""
    assert _ids(empty, _row("a", {"v": _value(0.2)})) == [["a", "none"]]
    assert _ids(empty, _row("a", {"v": _value(0.2)}), _row("b", {"v": _value(0.2)}, protocol="other", n=6)) == [
        ["a", "none"],
        ["b"],
    ]


def test_a_cell_that_two_experiments_share_stands_once_with_the_values_of_both() -> None:
    one = _row("a", {"v": _value(0.2)})
    two = _row("a", {"v": _value(0.2), "w": _value(0.7, "rouge")}, experiment="other", title="another title")
    (board,) = boards([one, two])
    assert [row.title for row in board.rows] == ["row a"]
    assert board.values() == ["v", "w"]
    # Trained anew since, or scored against other references: both stand.
    for other in (
        two.model_copy(update={"steps": {"seed 0": "another step"}}),
        _row("a", {"v": _value(0.3)}, experiment="other"),
        _row("a", {"v": _value(0.2, references="r2")}, experiment="other"),
    ):
        assert sum(len(board.rows) for board in boards([one, other])) == 2


def test_no_rows_make_no_board() -> None:
    assert boards([]) == []


# The table.


def _store(folder: Path, *rows: Row) -> Path:
    for row in rows:
        write_row(Store(folder), row)
    return folder


COLUMNS = ["id", "kind", "title", "experiment", "dataset", "protocol", "n"]
VALUES = ["value_name", "value", "low", "high", "sd", "seeds", "better", "signature"]


def test_rows_are_a_table_of_one_line_a_value_with_types(tmp_path: Path) -> None:
    one = _row("a", {"v": _value(0.2), "u": _value(3.0, "diversity", resampled=False)})
    two = _row("b", {"v": _value(0.4)}, labels={"text": "none"}, experiment="f")
    table = rrgbench.rows(_store(tmp_path, one, two))
    assert list(table.columns) == [*COLUMNS, "axis.fusion", "axis.text", *VALUES]
    assert table["value"].tolist() == [0.2, 3.0, 0.4]
    assert table["value_name"].tolist() == ["v", "u", "v"]
    assert table["axis.fusion"].tolist() == ["a", "a", None]
    assert table["axis.text"].tolist() == [None, None, "none"]
    assert pandas.isna(table["low"]).tolist() == [False, True, False]
    assert {name: str(table[name].dtype) for name in ("value", "low", "high", "sd")} == dict.fromkeys(
        ("value", "low", "high", "sd"), "float64"
    )
    assert [str(table[name].dtype) for name in ("n", "seeds")] == ["int64", "int64"]
    assert table["signature"].nunique() == 2
    assert len(rrgbench.rows(tmp_path, experiment="f")) == 1


def test_an_empty_store_is_an_empty_table_with_the_same_columns(tmp_path: Path) -> None:
    for table in (rrgbench.rows(tmp_path / "nowhere"), rrgbench.rows(_store(tmp_path, _row("a", {})), experiment="other")):
        assert table.empty
        assert list(table.columns) == [*COLUMNS, *VALUES]
        assert str(table["value"].dtype) == "float64"
        assert table.groupby("title")["value"].mean().empty


def test_the_store_is_found_as_the_shell_finds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _store(tmp_path / "named", _row("a", {"v": _value(0.2)}))
    _store(tmp_path / "here" / "store", _row("b", {"v": _value(0.2)}))
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.delenv("RRGBENCH_STORE", raising=False)
    assert [row.id for row in load_rows()] == ["b"]
    monkeypatch.setenv("RRGBENCH_STORE", str(tmp_path / "named"))
    assert [row.id for row in load_rows()] == ["a"]


# The shell.


def test_the_shell_prints_what_applies_and_what_does_not(tmp_path: Path, shell: Any) -> None:
    values = {"v": _value(0.2), "v2": _value(0.5), "w": _value(0.7, "rouge")}
    missing = {"w": "a floor has none"}
    floor = _row("f", {"v": _value(0.3), "v2": _value(0.1)}, kind="floor", not_applicable=missing, title="constant")
    bare = _row("b", {"v": _value(0.1)}, baseline=True)
    place = _store(tmp_path, _row("a", values), floor, bare)
    shown = shell("leaderboard", "show", "--store", place)
    assert shown.code == 0, shown.err
    lines = [line for line in shown.out.splitlines() if "│" in line]
    titles = ["constant", "row a", "row b"]
    assert [next(title for title in titles if title in line) for line in lines] == titles
    assert "floor: constant" in lines[0]
    assert "not applicable" in lines[0]
    assert "0.700 [0.600, 0.800]" in lines[1]
    assert "(baseline)" in lines[2]
    assert "not scored" in lines[2]
    assert "v2" not in shown.out
    chosen = shell("leaderboard", "show", "e", "--store", place, "--values", "v2, w")
    assert "0.500 [0.400, 0.600]" in chosen.out
    assert "0.200 [0.100, 0.300]" not in chosen.out
    every = shell("leaderboard", "show", "--store", place, "--values", "all")
    assert all(name in every.out for name in ("v ↑", "v2 ↑", "w ↑"))
    wrong = shell("leaderboard", "show", "--store", place, "--values", "v3")
    assert (wrong.code, wrong.out) == (2, "")
    assert wrong.err.startswith("error: --values; got v3. Hint: did you mean")
    assert len(wrong.err.splitlines()) == 1


def test_the_shell_says_in_one_line_that_there_is_nothing_or_nothing_readable(tmp_path: Path, shell: Any) -> None:
    empty = shell("leaderboard", "show", "--store", tmp_path / "none")
    assert (empty.code, empty.out) == (2, "")
    assert empty.err.startswith(f"error: no rows in {tmp_path}/none/rows")
    assert shell("leaderboard", "show", "--store", tmp_path / "none", "--json").json == []
    place = _store(tmp_path, _row("a", {"v": _value(0.2)}))
    (name,) = {row.experiment for row in load_rows(place)}
    other = shell("leaderboard", "show", f"{name}x", "--store", place)
    assert other.code == 2
    assert other.err == f"error: no rows of experiment {name}x in {place}/rows. Hint: did you mean '{name}'? Known: {name}\n"
    next(place.rglob("a.json")).write_text('{"id": ')
    broken = shell("leaderboard", "show", "--store", place)
    assert (broken.code, broken.out) == (2, "")
    assert len(broken.err.splitlines()) == 1
    assert "a.json is not a row" in broken.err
