"""A board as pictures: every row with its interval and its seeds, floors as lines; and how a value goes along the axes."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from rrgbench.leaderboard import Board
from rrgbench.leaderboard.view import ARROWS, Column, axes, columns, floors, shortened
from rrgbench.row import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST = 6
"""Plots a board at most."""

_PANELS = 3
_TITLE = 64
_LABEL = 26
_KEY = (
    "each row's mean over seeds with its 95 % interval, every seed as a small dot below it, floors as dashed lines in the colour "
    "of their row. # is the row's place in the table."
)
_DASHES = ((4.0, 2.0), (1.2, 1.6), (7.0, 2.0, 1.2, 2.0), (9.0, 3.0))
_MARKERS = "osD^vPX*"
_SHAPES = {"cell": "o", "baseline": "D", "external": "s", "floor": "X"}
_WARM, _COOL = (1, 3, 4, 5), (0, 2, 9, 7, 6, 8)
# Colours that the page's style sheet decides, so that plots are readable on light and on dark; matplotlib wants some value.
_INK, _GRID = "#010101", "#020202"
_THEMED = {_INK: "currentColor", _GRID: "var(--grid)"}
_STYLE: Mapping[str, object] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same measures on every machine
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "rrgbench",
    "text.parse_math": False,  # a dollar sign in a title is a dollar sign
    "axes.unicode_minus": False,
    **dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color"), _INK),
    **dict.fromkeys(("axes.edgecolor", "grid.color"), _GRID),
}


@dataclass(frozen=True)
class Plot:
    """A picture as SVG elements for an HTML page, and what it shows."""

    svg: str
    caption: str


@dataclass(frozen=True)
class _Ink:
    """Colours of one board: seaborn's palette for the colour-blind; each floor has a colour and a dash of its own."""

    palette: Sequence[Any]
    floors: Mapping[str, tuple[Any, tuple[float, ...]]]


def plots(board: Board, prefix: str) -> list[Plot]:
    """The pictures of a board, ``MOST`` at most; ``prefix`` makes their ids different from those of another board's."""
    import matplotlib
    import seaborn

    style = {**seaborn.axes_style("whitegrid"), **seaborn.plotting_context("notebook", font_scale=0.8), **_STYLE}
    with matplotlib.rc_context(style):
        palette = seaborn.color_palette("colorblind")
        names = dict.fromkeys(floor for column in columns(board) for floor in floors(board, column.name))
        looks = [(palette[_WARM[i % len(_WARM)]], _DASHES[i % len(_DASHES)]) for i in range(len(names))]
        ink = _Ink(palette, dict(zip(names, looks)))
        drawn = islice(_figures(board, ink), MOST)
        return [
            Plot(_svg(figure, f"{prefix}-{place}", caption), caption) for place, (figure, caption) in enumerate(drawn, start=1)
        ]


def _figures(board: Board, ink: _Ink) -> Iterator[tuple[Figure, str]]:
    headlines = [column for column in columns(board) if column.headline]
    effects = [figure for rows in _experiments(board) for figure in _effects(board, rows, headlines, ink)]
    shown = headlines[: _PANELS * max(MOST - len(effects), MOST // 2)]
    count = math.ceil(len(shown) / _PANELS)
    for place in range(count):  # as evenly as can be: four headlines are two and two
        part = shown[place * len(shown) // count : (place + 1) * len(shown) // count]
        figure = _values(board, part, ink)
        names = _list([column.heading for column in part])
        yield figure, f"{names}, drawn in the same way." if place else f"{names}: {_KEY}"
    yield from effects


def _experiments(board: Board) -> list[list[Row]]:
    """The cells of each experiment that has axes."""
    names = dict.fromkeys(row.experiment for row in board.rows if row.labels)
    return [[row for row in board.rows if row.experiment == name and row.labels] for name in names]


# Every row.


def _values(board: Board, shown: Sequence[Column], ink: _Ink) -> Figure:
    count = len(board.rows)
    row_height = 0.27 if count <= 60 else 0.17
    figure, panels = _panels(len(shown), 1.1 + row_height * count, share_y=True)
    for panel, column in zip(panels, shown):
        _value_panel(panel, board, column, ink)
    first = panels[0]
    first.set_yticks(range(count), [f"{title}  #{place}" for place, title in enumerate(_titles(board.rows), start=1)])
    first.set_ylim(count - 0.4, -0.6)
    for label, row in zip(first.get_yticklabels(), board.rows):
        label.set_fontsize(8.5 if count <= 60 else 6.5)
        if row.kind == "floor":
            label.set_fontstyle("italic")
            label.set_color(ink.floors[row.title][0] if row.title in ink.floors else _INK)
        elif row.baseline:
            label.set_fontweight("bold")
    return figure


def _titles(rows: Sequence[Row]) -> list[str]:
    """What each row is called: cells on many axes by their labels alone, since the axes' names stand in the table."""
    along = [row for row in rows if row.labels]
    briefly = any(len(row.title) > _TITLE for row in along) and len(axes(along)) > 1
    titles = []
    for row in rows:
        title = f"floor: {row.title}" if row.kind == "floor" else row.title
        if briefly and row.labels:
            labels = list(row.labels.values())
            room = max(_TITLE // len(labels) - 3, 8)
            title = " · ".join(labels if sum(map(len, labels)) <= _TITLE else [shortened(label, room) for label in labels])
        titles.append(shortened(title, _TITLE + 8) + (" (baseline)" if row.baseline else ""))
    return titles


def _value_panel(panel: Axes, board: Board, column: Column, ink: _Ink) -> None:
    import seaborn

    _floor_lines(panel, board, column, ink)
    scored = [(place, row, row.values[column.name]) for place, row in enumerate(board.rows) if column.name in row.values]
    colours = {place: _colour(row, ink) for place, row, _ in scored}
    spans = [(place, value.low, value.high) for place, _, value in scored if value.low is not None and value.high is not None]
    if spans:
        places, lows, highs = zip(*spans)
        panel.hlines(places, lows, highs, colors=[colours[place] for place in places], linewidth=2.2, zorder=3)
    seeds = [(seed, place + 0.24, place) for place, _, value in scored for seed in value.seeds if len(value.seeds) > 1]
    means = [(value.value, place, place) for place, _, value in scored]
    for points, size, alpha, layer in ((seeds, 9, 0.75, 2), (means, 42, 1.0, 4)):
        if points:
            x, y, of = map(list, zip(*points))
            look: dict[str, Any] = (
                {"style": [_shape(board.rows[place]) for place in of], "markers": _SHAPES} if layer == 4 else {}
            )
            seaborn.scatterplot(
                x=x, y=y, hue=of, palette=colours, ax=panel, s=size, alpha=alpha, linewidth=0, zorder=layer, legend=False, **look
            )
    for place, row in enumerate(board.rows):
        if column.name not in row.values:
            words = "not applicable" if column.name in row.not_applicable else "not scored"
            panel.text(0.02, place, words, transform=panel.get_yaxis_transform(), fontsize=7.5, style="italic", va="center")
    _finish(panel, column)


def _floor_lines(panel: Axes, board: Board, column: Column, ink: _Ink) -> None:
    for floor, level in floors(board, column.name).items():
        colour, dash = ink.floors[floor]
        label = f"floor: {shortened(floor, _LABEL)}"
        panel.axvline(level, color=colour, linewidth=1.3, dashes=dash, zorder=1, label=label)


def _shape(row: Row) -> str:
    return "baseline" if row.baseline else row.kind


def _colour(row: Row, ink: _Ink) -> Any:
    if row.kind == "floor":
        return ink.floors[row.title][0]
    return ink.palette[2 if row.kind == "external" else 0]


def _finish(panel: Axes, column: Column) -> None:
    by = f"\nby {shortened(column.annotator, _LABEL)}" if column.annotator else ""
    panel.set_title(f"{shortened(column.name, _LABEL)} {ARROWS[column.better]}".rstrip() + by, loc="left", linespacing=1.5)
    panel.set_xlabel("")
    panel.set_ylabel("")
    panel.grid(visible=True, axis="x", linewidth=0.6)
    panel.grid(visible=False, axis="y")
    panel.tick_params(length=0)
    panel.margins(x=0.06)
    panel.locator_params(axis="x", nbins=5)
    for side in ("top", "right", "left"):
        panel.spines[side].set_visible(False)


# Along the axes.


def _effects(board: Board, rows: Sequence[Row], headlines: Sequence[Column], ink: _Ink) -> Iterator[tuple[Figure, str]]:
    """A headline a panel: its value by one axis, a line a label of another; with more axes, also each axis by itself."""
    ranked = [column for column in headlines if column.better != "neither"]
    shown = [column for column in ranked if any(column.name in row.values for row in rows)]
    told = [
        column for column in shown if any(row.values[column.name].low is not None for row in rows if column.name in row.values)
    ]
    shown = (told or shown)[:_PANELS]
    varied = [axis for axis in axes(rows) if len(_labels(rows, axis)) > 1]
    if not shown or not varied:
        return
    varied.sort(key=lambda axis: -_spread(rows, axis, shown[0].name))
    lines = varied[0] if len(varied) > 1 else None
    place = varied[1] if lines is not None else varied[0]
    height = 1.7 + 0.5 * len(_labels(rows, place))
    figure, panels = _panels(len(shown), height, share_y=True)
    for panel, column in zip(panels, shown):
        _effect_panel(panel, board, rows, column, place, lines, ink)
    _legend(figure, panels)
    others = [axis for axis in varied if axis not in (place, lines)]
    of = f"{_list([rows[0].experiment])}: " if len(_experiments(board)) > 1 else ""
    by = _list([place]) + (f", a line a label of {_list([lines])}" if lines is not None else "")
    mean = f", the mean over {_list(others)}; small dots are cells" if others else " with 95 % intervals"
    yield figure, f"{of}{_list([column.heading for column in shown])} by {by}{mean}; floors dashed."
    if others:
        alone = varied[: _PANELS + 1]
        figure, panels = _panels(len(alone), 1.7 + 0.4 * max(len(_labels(rows, axis)) for axis in alone))
        for panel, axis in zip(panels, alone):
            _effect_panel(panel, board, rows, shown[0], axis, None, ink)
            panel.set_title(shortened(axis, _LABEL), loc="left")
        _legend(figure, panels)
        name = _list([shown[0].heading])
        yield figure, f"{of}{name} by {_list(alone)}, each alone: the mean over its cells, cells as small dots, floors dashed."


def _labels(rows: Sequence[Row], axis: str) -> list[str]:
    return list(dict.fromkeys(row.labels[axis] for row in rows if axis in row.labels))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _spread(rows: Sequence[Row], axis: str, name: str) -> float:
    """How far the means of an axis' labels lie apart."""
    groups = [
        [r.values[name].value for r in rows if r.labels.get(axis) == label and name in r.values] for label in _labels(rows, axis)
    ]
    means = [_mean(group) for group in groups if group]
    return max(means) - min(means) if means else 0.0


def _effect_panel(
    panel: Axes, board: Board, rows: Sequence[Row], column: Column, axis: str, lines: str | None, ink: _Ink
) -> None:
    import seaborn

    _floor_lines(panel, board, column, ink)
    places = _labels(rows, axis)
    series = _labels(rows, lines) if lines is not None else [""]
    colours = {index: ink.palette[_COOL[index % len(_COOL)]] for index in range(len(series))}
    cells: list[tuple[float, float, int]] = []
    for index, name in enumerate(series):
        shift = (index - (len(series) - 1) / 2) * min(0.18, 0.6 / len(series))
        means = []
        for place, label in enumerate(places):
            here = [row for row in rows if row.labels.get(axis) == label and (lines is None or row.labels.get(lines) == name)]
            values = [row.values[column.name] for row in here if column.name in row.values]
            if values:
                means.append((_mean([value.value for value in values]), place + shift))
            if len(values) > 1:
                cells += [(value.value, place + shift, index) for value in values]
            elif values and values[0].low is not None and values[0].high is not None:
                panel.hlines(place + shift, values[0].low, values[0].high, colors=[colours[index]], linewidth=2.0, zorder=3)
        panel.plot(
            [x for x, _ in means],
            [y for _, y in means],
            marker=_MARKERS[index % len(_MARKERS)],
            color=colours[index],
            linewidth=1.2,
            label=None if lines is None else f"{shortened(lines, _LABEL)}: {shortened(name, _LABEL)}",
            zorder=4,
        )
    if cells:
        x, y, of = map(list, zip(*cells))
        seaborn.scatterplot(x=x, y=y, hue=of, palette=colours, ax=panel, s=10, alpha=0.6, linewidth=0, zorder=2, legend=False)
    panel.set_yticks(range(len(places)), [shortened(label, _LABEL) for label in places])
    panel.set_ylim(len(places) - 0.5, -0.5)
    _finish(panel, column)


def _legend(figure: Figure, panels: Sequence[Axes]) -> None:
    """One legend below the panels, whatever stands in several of them once."""
    found: dict[str, Any] = {}
    for panel in panels:
        for handle, label in zip(*panel.get_legend_handles_labels()):
            found.setdefault(label, handle)
    if found:
        figure.legend(
            list(found.values()),
            list(found),
            loc="outside lower center",
            ncols=min(len(found), 6),
            handlelength=3.5,
        )


# Pictures.


def _panels(count: int, height: float, share_y: bool = False) -> tuple[Figure, list[Axes]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11.5, height), layout="constrained")
    panels = figure.subplots(1, count, sharey=share_y, squeeze=False)
    return figure, list(panels[0])


def _list(names: Sequence[str]) -> str:
    told = [shortened(name, _TITLE) for name in names]
    return ", ".join(told[:-1]) + (" and " if told[:-1] else "") + told[-1]


def _svg(figure: Figure, prefix: str, caption: str) -> str:
    """SVG for inside a page: no document head or metadata, ids of its own, ink from the style sheet."""
    buffer = io.BytesIO()
    metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # the browser has fonts for what the measuring font lacks
        figure.savefig(buffer, format="svg", transparent=True, metadata=metadata)
    root = ElementTree.fromstring(buffer.getvalue())  # noqa: S314 - our own text, and no entity can stand in it
    size = (root.attrib.pop("width"), root.attrib.pop("height"))
    assert all(side.endswith("pt") for side in size), size
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        element.attrib = {key.rpartition("}")[2]: _attribute(key, value, prefix) for key, value in element.attrib.items()}
    root.attrib |= {"role": "img", "aria-label": caption}
    return ElementTree.tostring(root, encoding="unicode")


def _attribute(key: str, value: str, prefix: str) -> str:
    if key == "id":
        return f"{prefix}-{value}"
    if key.endswith("href"):
        return value.replace("#", f"#{prefix}-", 1)
    for colour, themed in _THEMED.items():
        value = value.replace(colour, themed)
    return value.replace("url(#", f"url(#{prefix}-")
