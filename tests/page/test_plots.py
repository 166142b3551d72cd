"""The plots of a board: every row, floors as lines, effects along the axes, and never too many."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from typing import Any

import matplotlib
import matplotlib.pyplot
import pytest

from rrgbench.leaderboard import boards
from rrgbench.leaderboard.plots import MOST, Plot, plots
from rrgbench.row import Row

MakeRow = Callable[..., Row]
MakeValue = Callable[..., dict[str, Any]]


def _plots(*rows: Row) -> list[Plot]:
    (board,) = boards(rows)
    return plots(board, "p")


def _texts(plot: Plot) -> list[str]:
    return re.findall(r"<text[^>]*>(.*?)</text>", plot.svg)


def _grid(make_row: MakeRow, make_value: MakeValue, axes: int, metrics: int) -> list[Row]:
    rows = []
    for place, labels in enumerate(itertools.product("ab", repeat=axes)):
        values = {f"v{metric}": make_value(0.1 * place + metric, metric=f"m{metric}") for metric in range(metrics)}
        rows.append(make_row(f"r{place}", values, labels={f"axis{axis}": label for axis, label in enumerate(labels)}))
    return [*rows, make_row("f", {"v0": make_value(0.05, metric="m0")}, kind="floor", title="constant")]


@pytest.mark.parametrize(
    ("axes", "metrics", "captions"),
    [
        (0, 1, ["v0 ↑:"]),
        (1, 1, ["v0 ↑:", "v0 ↑ by axis0 with"]),
        (2, 4, ["v0 ↑ and v1 ↑:", "v2 ↑ and v3 ↑,", "v0 ↑, v1 ↑ and v2 ↑ by axis"]),
        (3, 2, ["v0 ↑ and v1 ↑:", "v0 ↑ and v1 ↑ by axis", "v0 ↑ by axis0, axis1 and axis2, each alone"]),
    ],
)
def test_headlines_share_plots_evenly_and_axes_have_effects(
    make_row: MakeRow, make_value: MakeValue, axes: int, metrics: int, captions: list[str]
) -> None:
    found = _plots(*_grid(make_row, make_value, axes, metrics))
    assert len(found) == len(captions)
    for plot, caption in zip(found, captions, strict=True):
        assert plot.caption.startswith(caption)


def test_there_are_never_too_many(make_row: MakeRow, make_value: MakeValue) -> None:
    rows = [
        row.model_copy(update={"experiment": f"e{number}", "steps": {"seed 0": f"{row.id} {number}"}})
        for number in range(4)
        for row in _grid(make_row, make_value, 3, 30)
    ]
    assert len(_plots(*rows)) == MOST


def test_every_row_is_named_and_every_floor_is_a_line(make_row: MakeRow, make_value: MakeValue) -> None:
    rows = _grid(make_row, make_value, 2, 1)
    values, effect = _plots(*rows)
    named = [text.rpartition("  #")[0] for text in _texts(values) if "  #" in text]
    assert sorted(named) == sorted(["row r0", "row r1", "row r2", "row r3", "floor: constant"])
    dashed = r'<path[^>]*style="[^"]*stroke-dasharray'
    assert len(re.findall(dashed, values.svg)) == 1
    assert "floor: constant" in _texts(effect)
    without = _plots(*rows[:-1])
    assert not re.findall(dashed, without[0].svg)


def test_what_does_not_apply_is_said(make_row: MakeRow, make_value: MakeValue) -> None:
    values = {"v": make_value(0.2), "w": make_value(0.3, metric="w")}
    floor = make_row("f", {"v": make_value(0.1)}, kind="floor", not_applicable={"w": "none"})
    bare = make_row("b", {"v": make_value(0.1)})
    (plot,) = _plots(make_row("a", values), floor, bare)
    assert _texts(plot).count("not applicable") == 1
    assert _texts(plot).count("not scored") == 1


def test_the_annotator_stands_above_its_values(make_row: MakeRow, make_value: MakeValue) -> None:
    (plot,) = _plots(make_row("a", {"v": make_value(0.2, annotator="lexicon()@1")}))
    assert "by lexicon" in _texts(plot)
    assert plot.caption.startswith("v by lexicon ↑:")


def test_rows_in_which_nothing_applies_have_no_plot(make_row: MakeRow) -> None:
    assert _plots(make_row("a", {}, not_applicable={"v": "none"})) == []


def test_a_floor_that_only_cells_were_told_of_is_a_line_too(make_row: MakeRow, make_value: MakeValue) -> None:
    (plot,) = _plots(make_row("a", {"v": make_value(0.2)}, floors={"constant": {"v": 0.1}}))
    assert len(re.findall(r'style="[^"]*stroke-dasharray', plot.svg)) == 1


def test_drawing_leaves_no_trace_in_matplotlib(make_row: MakeRow, make_value: MakeValue) -> None:
    before = dict(matplotlib.rcParams)
    _plots(*_grid(make_row, make_value, 2, 2))
    assert dict(matplotlib.rcParams) == before
    assert matplotlib.pyplot.get_fignums() == []


def test_the_style_sheet_decides_the_ink(make_row: MakeRow, make_value: MakeValue) -> None:
    (plot,) = _plots(make_row("a", {"v": make_value(0.2)}, title="#010101"))
    assert "fill: currentColor" in plot.svg
    assert "var(--grid)" in plot.svg
    assert "#010101  #1" in _texts(plot)
