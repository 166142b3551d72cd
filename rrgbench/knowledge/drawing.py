"""A picture of a knowledge graph: anatomy on the left, observations on the right, edges between and beside them."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rrgbench.knowledge.graph import CO_OCCURS, Graph, GraphEdge

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS: Mapping[str, str] = {"located_at": "#1f6fb4", "modify": "#8a8f98", "suggestive_of": "#c0392b", CO_OCCURS: "#e08a1e"}
_SIDES: Mapping[str, float] = {"anatomy": 0.3, "observation": 0.7}
_HEIGHT, _WIDTH = 0.27, 11.0
_EDGES = 160
"""Edges in a picture at most, the most frequent: more are a blur."""
_SPREAD = 0.2
"""How far an edge between two nodes of one side bends out, at most."""

_Position = tuple[float, float]


def draw(graph: Graph, most: int = 60) -> bytes:
    """A PNG of the ``most`` most frequent nodes and the most frequent edges between them.

    The width of an edge and the size of a node grow with the number of reports. Nodes of one side are ordered so that edges
    cross little.
    """
    # Imported here: it takes a second, and only a picture needs it.
    from matplotlib.figure import Figure

    shown = sorted(range(len(graph.nodes)), key=lambda place: (-graph.nodes[place].reports, place))[:most]
    edges = [edge for edge in graph.edges if edge.source in shown and edge.target in shown]
    edges = sorted(edges, key=lambda edge: (-edge.count, edge.source, edge.target, edge.relation))[:_EDGES]
    sides = {kind: [place for place in shown if graph.nodes[place].kind == kind] for kind in _SIDES}
    positions = _positions(_uncrossed(sides, edges))
    figure = Figure(figsize=(_WIDTH, _HEIGHT * max(map(len, sides.values())) + 1.4), layout="constrained")
    axes = figure.add_subplot()
    largest = max((edge.count for edge in edges), default=1)
    for edge in reversed(edges):
        _edge(axes, positions[edge.source], positions[edge.target], edge, largest)
    for place, (x, y) in positions.items():
        _node(axes, graph, place, x, y)
    _frame(axes, graph, len(shown), edges)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()


def _uncrossed(sides: Mapping[str, Sequence[int]], edges: Sequence[GraphEdge]) -> dict[str, list[int]]:
    """Each side in an order in which a node stands near the middle of those that it is joined to on the other side."""
    order = {kind: list(places) for kind, places in sides.items()}
    first, second = order
    joined: dict[int, dict[int, int]] = {place: {} for places in order.values() for place in places}
    for edge in edges:
        for one, other in ((edge.source, edge.target), (edge.target, edge.source)):
            joined[one][other] = joined[one].get(other, 0) + edge.count
    for kind, across in ((second, first), (first, second)) * 4:
        at = {place: number / max(len(order[across]), 1) for number, place in enumerate(order[across])}
        own = {place: number / max(len(order[kind]), 1) for number, place in enumerate(order[kind])}

        def middle(place: int, at: Mapping[int, float] = at, own: Mapping[int, float] = own) -> tuple[float, int]:
            weights = {other: count for other, count in joined[place].items() if other in at}
            total = sum(weights.values())
            return (sum(at[other] * count for other, count in weights.items()) / total if total else own[place], place)

        order[kind].sort(key=middle)
    return order


def _positions(order: Mapping[str, Sequence[int]]) -> dict[int, _Position]:
    """Both sides fill the height, the first node on top."""
    return {
        place: (_SIDES[kind], 1 - (number + 0.5) / len(places))
        for kind, places in order.items()
        for number, place in enumerate(places)
    }


def _edge(axes: Axes, start: _Position, end: _Position, edge: GraphEdge, largest: int) -> None:
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    share = edge.count / largest
    (x1, y1), (x2, y2) = start, end
    if x1 == x2:  # of one side: bent into the middle, the further apart the more
        bend = (1 if x1 < 0.5 else -1) * (0.02 + _SPREAD * abs(y1 - y2) ** 0.5)
        middle = [(x1 + bend, y1), (x2 + bend, y2)]
    else:
        middle = [((x1 + x2) / 2, y1), ((x1 + x2) / 2, y2)]
    path = Path([start, *middle, end], [Path.MOVETO, Path.CURVE4, Path.CURVE4, Path.CURVE4])
    style: dict[str, Any] = {"linewidth": 0.4 + 4.6 * share**0.5, "alpha": 0.25 + 0.5 * share**0.5}
    axes.add_patch(PathPatch(path, fill=False, edgecolor=_COLOURS[edge.relation], capstyle="round", **style))


def _node(axes: Axes, graph: Graph, place: int, x: float, y: float) -> None:
    node = graph.nodes[place]
    share = node.reports / graph.reports
    left = node.kind == "anatomy"
    counts = f"{node.reports}" if left else f"{node.present} / {node.uncertain} / {node.absent}"
    label = f"{node.name[:34]}  ({counts})"
    axes.scatter([x], [y], s=12 + 240 * share, color="#1f6fb4" if left else "#26323f", zorder=3, linewidths=0)
    axes.annotate(
        label,
        (x, y),
        xytext=(-11 if left else 11, 0),
        textcoords="offset points",
        ha="right" if left else "left",
        va="center",
        fontsize=8,
        parse_math=False,
    )


def _frame(axes: Axes, graph: Graph, shown: int, edges: Sequence[GraphEdge]) -> None:
    from matplotlib.lines import Line2D

    told = f"{shown} of {len(graph.nodes)} nodes, {len(edges)} of {len(graph.edges)} edges, from {graph.reports} train reports"
    axes.set_title(f"{told}\nannotator {graph.annotator[:60]}", fontsize=9, parse_math=False)
    present = [relation for relation in _COLOURS if any(edge.relation == relation for edge in edges)]
    keys = [Line2D([], [], color=_COLOURS[relation], linewidth=2.5, label=relation.replace("_", " ")) for relation in present]
    note = "anatomy (reports)   |   observations (reports: present / uncertain / absent)"
    axes.set_xlabel(note, fontsize=8)
    if keys:
        axes.legend(handles=keys, loc="upper center", bbox_to_anchor=(0.5, -0.03), ncols=len(keys), fontsize=8, frameon=False)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
