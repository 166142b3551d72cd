"""What a table of rows says about a board: its values, their annotators, its floors, and what a reader must be warned of."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rrgbench.leaderboard import Board
from rrgbench.row import Row, Value
from rrgbench.types import Better

ARROWS: dict[Better, str] = {"higher": "↑", "lower": "↓", "neither": ""}
"""Which way a value is better."""

_NEARLY_CONSTANT = 0.05
"""A row that writes this share of different reports, or less, has all but stopped to look at its input."""

_NAMED = 3
"""More values than this are counted, not named."""


@dataclass(frozen=True)
class Column:
    """One value of a board: the metric (its key) that it belongs to, and whether it is that metric's first."""

    name: str
    metric: str
    better: Better
    annotator: str
    headline: bool

    @property
    def heading(self) -> str:
        """Name, the annotator that it stands on, and which way is better."""
        by = f" by {self.annotator}" if self.annotator else ""
        return f"{self.name}{by} {ARROWS[self.better]}".rstrip()


def columns(board: Board) -> list[Column]:
    """The values of a board, those of one metric side by side; a metric's first value is its headline."""
    found: dict[str, dict[str, Value]] = {}
    for row in board.rows:
        for name, value in row.values.items():
            found.setdefault(value.metric, {}).setdefault(name, value)
    return [
        Column(name, metric, value.better, annotator(value), headline=place == 0)
        for metric, values in found.items()
        for place, (name, value) in enumerate(values.items())
    ]


def annotator(value: Value) -> str:
    """The names of the annotators behind a value, without their options and versions; empty where there is none."""
    told = str(value.signature.get("metric_annotator", ""))
    bare = told
    while (shorter := re.sub(r"\([^()]*\)", "", bare)) != bare:
        bare = shorter
    return re.sub(r"@[^,\s]*", "", bare).strip() or told


def axes(rows: Sequence[Row]) -> list[str]:
    """The axes that the rows' cells lie on, in order."""
    return list(dict.fromkeys(axis for row in rows for axis in row.labels))


def number(value: float) -> str:
    """Three decimals below ten, one below a thousand, none above."""
    if abs(value) < 10 and value != int(value):
        return f"{value:.3f}"
    return f"{value:.1f}" if abs(value) < 1000 and value != int(value) else f"{value:.0f}"


def interval(value: Value) -> tuple[str, str]:
    """A value and its interval, with as many decimals each; the interval is empty where there is none."""
    if value.low is None or value.high is None:
        return number(value.value), ""
    digits = 3 if max(abs(value.value), abs(value.low), abs(value.high)) < 10 else 1
    return f"{value.value:.{digits}f}", f"[{value.low:.{digits}f}, {value.high:.{digits}f}]"


def floors(board: Board, name: str) -> dict[str, float]:
    """Floor -> its value of this name: from the board's rows, else as the cells were told it."""
    found = {row.title: row.values[name].value for row in board.rows if row.kind == "floor" and name in row.values}
    for row in board.rows:
        for floor, values in row.floors.items():
            if name in values and name in row.values:
                found.setdefault(floor, values[name])
    return found


def warnings(board: Board) -> list[list[str]]:
    """What a reader must know before believing a row, in the order of the rows: nearly constant, headlines below a floor."""
    judged = [column for column in columns(board) if column.headline and column.better != "neither"]
    levels = {column.name: floors(board, column.name) for column in judged}
    return [[] if row.kind == "floor" else [*_constant(row), *_below(row, judged, levels)] for row in board.rows]


def _constant(row: Row) -> list[str]:
    value = row.values.get("unique_share")
    if value is None or row.n < 2:
        return []
    fewest = round(min([value.value, *value.seeds]) * row.n)
    if fewest > max(1.0, _NEARLY_CONSTANT * row.n):
        return []
    where = " in one of its seeds" if len(set(value.seeds)) > 1 else ""
    reports = "report" if fewest == 1 else "different reports"
    return [f"nearly constant: {fewest} {reports} for {row.n} studies{where}"]


def _below(row: Row, judged: Sequence[Column], levels: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Headlines that a floor beats. One without an interval (how different the reports are) judges no reading of films."""
    lost: dict[str, list[str]] = {}
    for column in judged:
        value = row.values.get(column.name)
        if value is None or value.low is None:
            continue
        sign = 1 if column.better == "higher" else -1
        for floor, level in levels[column.name].items():
            if sign * (value.value - level) < 0:
                lost.setdefault(floor, []).append(column.name)
    scored = sum(column.name in row.values for column in judged)
    return [
        f"below floor {floor} on {', '.join(names) if len(names) <= _NAMED else f'{len(names)} of {scored} headline values'}"
        for floor, names in lost.items()
    ]


def visible(text: object) -> str:
    """Text from anywhere without characters that draw elsewhere: controls, directions and private signs show as �."""

    def shown(character: str) -> str:
        if character.isprintable() or character == "\n":
            return character
        return " " if character.isspace() else "�"

    return "".join(map(shown, str(text)))


def shortened(text: str, limit: int) -> str:
    """At most ``limit`` characters: what is too much goes from the middle, since titles differ at both ends."""
    flat = " ".join(visible(text).split())
    if len(flat) <= limit:
        return flat
    head = (limit - 1) * 2 // 3
    return f"{flat[:head]}…{flat[len(flat) - (limit - 1 - head) :]}"
