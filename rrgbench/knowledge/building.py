"""From the graphs of train reports to one knowledge graph: counted, merged, pruned."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Literal, NamedTuple

from rrgbench.errors import DataError
from rrgbench.findings import statements_of
from rrgbench.knowledge.graph import CO_OCCURS, RELATIONS, Graph, GraphEdge, GraphNode, Mentions
from rrgbench.types import ReportGraph

Kind = Literal["anatomy", "observation"]


class Key(NamedTuple):
    """What makes two mentions one node."""

    name: str
    kind: Kind


_Edge = tuple[Key, Key, str]

_LABELS: Mapping[str, tuple[Kind, str]] = {
    "ANAT-DP": ("anatomy", "present"),
    "OBS-DP": ("observation", "present"),
    "OBS-DA": ("observation", "absent"),
    "OBS-U": ("observation", "uncertain"),
    "Anatomy::definitely present": ("anatomy", "present"),
    "Anatomy::definitely absent": ("anatomy", "absent"),
    "Anatomy::uncertain": ("anatomy", "uncertain"),
    "Observation::definitely present": ("observation", "present"),
    "Observation::definitely absent": ("observation", "absent"),
    "Observation::uncertain": ("observation", "uncertain"),
}
"""Label of RadGraph or RadGraph-XL -> kind of node, and what is said of it. Measurements are no nodes: "5 mm" is no knowledge."""

_SHARE = 0.5
_SUPPORT = 3
"""A node says a finding if statements of it hold so large a share of the reports with the node, or of those with the finding, and
so many reports at least."""

_LONGEST = 100
"""Characters of a node's name: what is longer is no term."""


@dataclass(frozen=True)
class Pruning:
    """What is kept: nodes and edges that stand in so many train reports, and the most frequent nodes.

    ``co_occurrence``: two observations are joined where reports that state both are so many times as frequent as if they were
    independent; None joins none.
    """

    min_count: int = 5
    min_edge_count: int = 3
    max_nodes: int = 200
    co_occurrence: float | None = 2.0


@dataclass(frozen=True)
class _Report:
    """One report as sets: nodes with what is said of them, those that it states, edges, and nodes that say a finding."""

    told: frozenset[tuple[Key, str]]
    stated: frozenset[Key]
    edges: frozenset[_Edge]
    evidence: frozenset[tuple[str, Key]]


def build_graph(reports: Mapping[str, ReportGraph], annotator: str, pruning: Pruning) -> tuple[Graph, Mentions]:
    """The graph of a train split, and which of its nodes are active in each of its reports.

    A node is a name (lower case; a plural is its singular where reports have that too) with its kind; counts are of reports.

    Args:
        reports: study -> the graph of its report; train studies only.
        annotator: who annotated.
        pruning: what is kept.

    Raises:
        DataError: nothing is left.
    """
    same = _merged({key for graph in reports.values() for key in _keys(graph) if key is not None})
    read = {study: _read(graph, same) for study, graph in reports.items()}
    counts = Counter(key for report in read.values() for key in {key for key, _ in report.told})
    often = (key for key, count in counts.items() if count >= pruning.min_count)
    kept = sorted(often, key=lambda key: (-counts[key], key))[: pruning.max_nodes]
    if not kept:
        got = f"{len(counts)} nodes in {len(reports)} reports, none in more than {max(counts.values(), default=0)}"
        hint = "lower knowledge.min_count; or is the annotator not made for such reports?"
        raise DataError("the knowledge graph is empty", got=got, expected=f"a node in {pruning.min_count} reports", hint=hint)
    places = {key: place for place, key in enumerate(kept)}
    edges = Counter(edge for report in read.values() for edge in report.edges)
    edges.update(_co_occurrences(read.values(), kept, pruning.co_occurrence))
    states = Counter(pair for report in read.values() for pair in report.told)
    graph = Graph(
        annotator=annotator[:1000],
        reports=len(reports),
        pruned={"nodes": len(counts), "edges": len(edges)},
        nodes=tuple(_node(key, counts[key], states) for key in kept),
        edges=tuple(_edges(edges, places, pruning.min_edge_count)),
        evidence=_evidence(read.values(), places),
    )
    stated = {study: tuple(sorted(places[key] for key in report.stated if key in places)) for study, report in read.items()}
    return graph, Mentions(stated)


def _keys(graph: ReportGraph) -> list[Key | None]:
    """The node of each entity; None where it is none."""
    found: list[Key | None] = []
    for entity in graph.entities:
        name = " ".join(word for word in entity.tokens.lower().split() if any(map(str.isalnum, word)))
        known = entity.label in _LABELS and 0 < len(name) <= _LONGEST
        found.append(Key(name, _LABELS[entity.label][0]) if known else None)
    return found


def _merged(keys: Collection[Key]) -> dict[Key, Key]:
    """Each node as it is called: a plural by its singular, where that is a node of the same kind."""
    found = {}
    for key in keys:
        singulars = (Key(name, key.kind) for name in _singulars(key.name))
        found[key] = next((singular for singular in singulars if singular in keys), key)
    return found


def _singulars(name: str) -> Iterator[str]:
    """What the singular of a name may be, if it is a plural."""
    for ending, instead in (("ies", "y"), ("es", ""), ("s", "")):
        if name.endswith(ending) and not name.endswith("ss") and len(name) > len(ending) + 2:
            yield name.removesuffix(ending) + instead


def _read(graph: ReportGraph, same: Mapping[Key, Key]) -> _Report:
    keys = [None if key is None else same[key] for key in _keys(graph)]
    told = {(key, _LABELS[entity.label][1]) for entity, key in zip(graph.entities, keys, strict=True) if key is not None}
    edges = set()
    for entity, source in zip(graph.entities, keys, strict=True):
        for relation, number in entity.relations:
            target = keys[number]
            if relation in RELATIONS and source is not None and target is not None and source != target:
                edges.add((source, target, relation))
    evidence = {
        (statement.finding, key)
        for statement in statements_of(graph)
        if statement.state != "absent"
        for key in (keys[number] for number in statement.entities)
        if key is not None
    }
    stated = frozenset(key for key, state in told if state != "absent")
    return _Report(frozenset(told), stated, frozenset(edges), frozenset(evidence))


def _co_occurrences(reports: Collection[_Report], kept: Collection[Key], least: float | None) -> dict[_Edge, int]:
    """Pairs of observations that reports state together more often than by chance, and in how many they do."""
    if least is None:
        return {}
    wanted = {key for key in kept if key.kind == "observation"}
    alone: Counter[Key] = Counter()
    both: Counter[tuple[Key, Key]] = Counter()
    for report in reports:
        stated = sorted(report.stated & wanted)
        alone.update(stated)
        both.update(combinations(stated, 2))
    return {
        (one, other, CO_OCCURS): count
        for (one, other), count in both.items()
        if count * len(reports) >= least * alone[one] * alone[other]
    }


def _node(key: Key, count: int, states: Mapping[tuple[Key, str], int]) -> GraphNode:
    said = {state: states.get((key, state), 0) for state in ("present", "uncertain", "absent")}
    return GraphNode(name=key.name, kind=key.kind, reports=count, **said)


def _edges(counts: Mapping[_Edge, int], places: Mapping[Key, int], least: int) -> Iterator[GraphEdge]:
    """The edges between kept nodes that are frequent enough, in the order of their ends and types."""
    rows = [
        (places[source], places[target], RELATIONS.index(relation), count)
        for (source, target, relation), count in counts.items()
        if count >= least and source in places and target in places
    ]
    for source, target, relation, count in sorted(rows):
        yield GraphEdge.model_validate({"source": source, "target": target, "relation": RELATIONS[relation], "count": count})


def _evidence(reports: Iterable[_Report], places: Mapping[Key, int]) -> dict[str, tuple[int, ...]]:
    """Finding -> the kept nodes that say it: most of their statements are of it, or most statements of it hold them."""
    finding: Counter[str] = Counter()
    node: Counter[Key] = Counter()
    both: Counter[tuple[str, Key]] = Counter()
    for report in reports:
        finding.update({name for name, _ in report.evidence})
        node.update(report.stated)
        both.update(report.evidence)
    found: dict[str, list[int]] = {}
    for (name, key), count in both.items():
        if key in places and count >= _SUPPORT and count >= _SHARE * min(finding[name], node[key]):
            found.setdefault(name, []).append(places[key])
    return {name: tuple(sorted(found[name])) for name in sorted(found)}
