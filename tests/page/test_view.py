"""What the tables say about a board: headings, intervals, floors, warnings, and text that cannot draw elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rrgbench.leaderboard import Board, boards
from rrgbench.leaderboard.view import annotator, columns, floors, interval, shortened, visible, warnings
from rrgbench.row import Row, Value

MakeRow = Callable[..., Row]
MakeValue = Callable[..., dict[str, Any]]


def _board(*rows: Row) -> Board:
    (board,) = boards(rows)
    return board


def test_values_of_one_metric_stand_together_and_the_first_is_its_headline(make_row: MakeRow, make_value: MakeValue) -> None:
    one = {"bleu_4": make_value(0.1), "rouge": make_value(0.2, metric="rouge"), "bleu_1": make_value(0.3)}
    found = columns(_board(make_row("a", one), make_row("b", {"bleu_2": make_value(0.1)})))
    assert [(column.name, column.headline) for column in found] == [
        ("bleu_4", True),
        ("bleu_1", False),
        ("bleu_2", False),
        ("rouge", True),
    ]


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ("lexicon()@12345678", "lexicon"),
        ("lexicon(a=(1, 2),b=x)@1234, other(c=@)@5", "lexicon, other"),
        ("lexicon", "lexicon"),
        ("(@)", "(@)"),
    ],
)
def test_an_annotator_is_named_without_its_options_and_version(make_value: MakeValue, told: str, name: str) -> None:
    assert annotator(Value.model_validate(make_value(0.1, annotator=told))) == name


def test_a_heading_names_the_annotator_and_the_better_way(make_row: MakeRow, make_value: MakeValue) -> None:
    values = {
        "radgraph": make_value(0.1, annotator="lexicon()@1"),
        "rank": make_value(3.0, metric="rank", better="lower"),
        "length": make_value(30.0, metric="length", better="neither"),
    }
    assert [c.heading for c in columns(_board(make_row("a", values)))] == ["radgraph by lexicon ↑", "rank ↓", "length"]


@pytest.mark.parametrize(
    ("value", "low", "high", "shown"),
    [
        (0.12345, 0.1, 0.2, ("0.123", "[0.100, 0.200]")),
        (0.0, 0.0, 0.0, ("0.000", "[0.000, 0.000]")),
        (9.5, 4.0, 12.25, ("9.5", "[4.0, 12.2]")),
        (121.0, None, None, ("121", "")),
        (0.25, None, None, ("0.250", "")),
    ],
)
def test_a_value_and_its_interval_have_as_many_decimals(
    make_value: MakeValue, value: float, low: float | None, high: float | None, shown: tuple[str, str]
) -> None:
    assert interval(Value.model_validate(make_value(value, low=low, high=high))) == shown


def test_floors_are_the_boards_rows_and_else_what_the_cells_were_told(make_row: MakeRow, make_value: MakeValue) -> None:
    cell = make_row("a", {"v": make_value(0.5)}, floors={"constant": {"v": 0.9}, "nearest": {"v": 0.3, "gone": 1.0}})
    board = _board(cell, make_row("f", {"v": make_value(0.2)}, kind="floor", title="constant"))
    assert floors(board, "v") == {"constant": 0.2, "nearest": 0.3}
    assert floors(board, "gone") == {}


# Warnings.


def test_a_row_below_a_floor_on_a_headline_is_warned_of(make_row: MakeRow, make_value: MakeValue) -> None:
    def values(first: float, rank: float) -> dict[str, Any]:
        return {"v": make_value(first), "v2": make_value(first - 5), "rank": make_value(rank, metric="rank", better="lower")}

    board = _board(
        make_row("good", values(0.5, 3.0)),
        make_row("bad", values(0.1, 9.0)),
        make_row("f", values(0.3, 5.0), kind="floor", title="constant"),
        make_row("g", values(0.2, 20.0), kind="floor", title="random"),
    )
    assert [row.id for row in board.rows] == ["good", "f", "g", "bad"]
    assert warnings(board) == [[], [], [], ["below floor constant on v, rank", "below floor random on v"]]


def test_many_lost_headlines_are_counted(make_row: MakeRow, make_value: MakeValue) -> None:
    def values(level: float) -> dict[str, Any]:
        return {f"v{number}": make_value(level, metric=f"m{number}") for number in range(5)}

    board = _board(make_row("a", values(0.1)), make_row("f", values(0.3), kind="floor", title="constant"))
    assert warnings(board)[1] == ["below floor constant on 5 of 5 headline values"]


def test_how_different_reports_are_judges_no_reading_of_films(make_row: MakeRow, make_value: MakeValue) -> None:
    def row(name: str, unique: float, **more: Any) -> Row:
        return make_row(name, {"v": make_value(0.5), "unique": make_value(unique, metric="diversity", spread=None)}, **more)

    assert warnings(_board(row("a", 60.0), row("f", 99.0, kind="floor"))) == [[], []]


@pytest.mark.parametrize(
    ("seeds", "told"),
    [
        ([0.01, 0.01], ["nearly constant: 1 report for 100 studies"]),
        ([0.05, 0.9], ["nearly constant: 5 different reports for 100 studies in one of its seeds"]),
        ([0.06, 0.06], []),
    ],
)
def test_a_row_that_is_nearly_constant_is_warned_of(
    make_row: MakeRow, make_value: MakeValue, seeds: list[float], told: list[str]
) -> None:
    share = make_value(sum(seeds) / 2, metric="diversity", spread=None, seeds=seeds)
    assert warnings(_board(make_row("a", {"unique_share": share}))) == [told]
    assert warnings(_board(make_row("a", {"unique_share": share}, kind="floor"))) == [[]]


# Text.


def test_characters_that_draw_elsewhere_are_made_visible() -> None:
    assert visible("a\u202eb\x00c\u2028d\ne\u200f") == "a�b�c d\ne�"
    assert visible("ירוק 你好 😀 é") == "ירוק 你好 😀 é"


def test_a_long_text_loses_its_middle(hostile_texts: tuple[str, ...]) -> None:
    assert shortened("one\n two", 20) == "one two"
    assert shortened("begin" + "x" * 100 + "end", 12) == "beginxx…xend"
    assert all(len(shortened(text, 40)) <= 40 for text in hostile_texts)
