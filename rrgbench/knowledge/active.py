"""Which nodes of the graph are active for a study: by what its films show, or by what reports of similar studies say.

Nothing here is handed the report of the study in question. Arrays are numpy; n studies, G nodes, K findings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rrgbench.errors import DataError
from rrgbench.knowledge.graph import Graph, Mentions
from rrgbench.types import Inputs

Bools = np.ndarray[Any, np.dtype[np.bool_]]
Floats = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.int64]]

UNIT = 2.0**20
"""The length of a vector in whole steps: sums of products stay below 2**53, so that float64 adds them without rounding and which
train study is nearer is the same on every machine."""

_SIDE = 32
_FILMS = 256
_COMPARED = 2**23
"""Distances at once: memory hangs on it, results do not."""

Place = tuple[str, int]
"""The place of a film in its study: its view, and which of that view."""


@dataclass(frozen=True)
class Looks:
    """What studies look like: for each place of a film the studies that have one (ascending), and a vector each, (m, d)."""

    subjects: tuple[str, ...]
    rows: Mapping[Place, Ints]
    vectors: Mapping[Place, Floats]


def thumbnails(pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> Floats:
    """Films (n, C, H, W) as short vectors (n, at most 63 * 63) of their contrasts: brightness of a whole film does not count."""
    found = []
    for first in range(0, len(pixels), _FILMS):
        grey = np.asarray(pixels[first : first + _FILMS], dtype=np.float64).mean(axis=1)
        high, wide = (max(size // _SIDE, 1) for size in grey.shape[1:])
        rows, columns = grey.shape[1] // high, grey.shape[2] // wide
        blocks = grey[:, : rows * high, : columns * wide].reshape(len(grey), rows, high, columns, wide)
        flat = blocks.mean(axis=(2, 4)).reshape(len(grey), -1)
        found.append(flat - flat.mean(axis=1, keepdims=True))
    return np.concatenate(found)


def pooled(tokens: np.ndarray[Any, np.dtype[np.float32]]) -> Floats:
    """What an image encoder makes of films (n, N, D) as one vector each, (n, D): the mean of its tokens."""
    parts = [np.asarray(tokens[first : first + _FILMS], dtype=np.float64).mean(axis=1) for first in range(0, len(tokens), _FILMS)]
    return np.concatenate(parts)


def looks(inputs: Sequence[Inputs], films: Floats) -> Looks:
    """Vectors of films, in the order of studies and their films, by place.

    Raises:
        DataError: the films are not those of the studies.
    """
    expected = sum(len(study.images) for study in inputs)
    if expected != len(films):
        raise DataError("the films are not those of the studies", got=len(films), expected=expected)
    rows: dict[Place, list[int]] = {}
    numbers: dict[Place, list[int]] = {}
    number = 0
    for row, study in enumerate(inputs):
        for within, view in enumerate(study.views):
            place = view, study.views[:within].count(view)
            rows.setdefault(place, []).append(row)
            numbers.setdefault(place, []).append(number)
            number += 1
    return Looks(
        tuple(study.subject_id for study in inputs),
        {place: np.asarray(found) for place, found in rows.items()},
        {place: films[found] for place, found in numbers.items()},
    )


def nearest(asked: Looks, train: Looks, count: int) -> list[Ints]:
    """For each study the ``count`` nearest train studies of other subjects, the nearest first; of equally near ones the first.

    Films are compared with films at the same place by the angle between their vectors, of which the mean of train's was taken
    out; studies by the mean over the places that both have.

    Raises:
        DataError: a study has no film at a place where a train study of another subject has one.
    """
    vectors = {place: _units(found, train.vectors[place]) for place, found in asked.vectors.items() if place in train.vectors}
    others = {place: _units(train.vectors[place], train.vectors[place]) for place in vectors}
    subjects = np.asarray(train.subjects, dtype=object)
    found: list[Ints] = []
    step = max(_COMPARED // max(len(train.subjects), 1), 1)
    for first in range(0, len(asked.subjects), step):
        members = range(first, min(first + step, len(asked.subjects)))
        apart = _apart(asked.rows, vectors, train.rows, others, members, len(train.subjects))
        for row, number in zip(apart, members, strict=True):
            row[subjects == asked.subjects[number]] = np.inf
            found.append(_least(row, count))
            if not len(found[-1]):
                expected = "a train study of another subject with a film of one of its views"
                raise DataError(f"study {number + 1} of {len(asked.subjects)} has nothing to be compared with", expected=expected)
    return found


def _units(vectors: Floats, train: Floats) -> Floats:
    """Vectors (m, d), less the mean of train's and by their spread, of length ``UNIT``, in whole numbers."""
    spread = train.std(axis=0)
    scaled = (vectors - train.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    lengths = np.sqrt(np.square(scaled).sum(axis=1, keepdims=True))
    return np.asarray(np.round(scaled / np.where(lengths > 0, lengths, 1.0) * UNIT))


def _apart(
    rows: Mapping[Place, Ints],
    vectors: Mapping[Place, Floats],
    columns: Mapping[Place, Ints],
    others: Mapping[Place, Floats],
    members: range,
    count: int,
) -> Floats:
    """Mean distances (members, train); infinite where no place is shared. Sums of whole numbers: their order does not matter."""
    total, shared = np.zeros((2, len(members), count))
    for place, found in vectors.items():
        part = slice(*np.searchsorted(rows[place], (members.start, members.stop)))
        cells = np.ix_(rows[place][part] - members.start, columns[place])
        total[cells] += UNIT**2 - found[part] @ others[place].T
        shared[cells] += 1
    return np.where(shared > 0, total / np.maximum(shared, 1), np.inf)


def _least(row: Floats, count: int) -> Ints:
    """The places of the smallest numbers of a row that are finite, ascending; of equals the first."""
    limit = np.partition(row, min(count, len(row)) - 1)[min(count, len(row)) - 1] if len(row) else np.inf
    near = np.flatnonzero((row <= limit) & np.isfinite(row))
    return np.asarray(near[np.argsort(row[near], kind="stable")][:count])


def retrieved(neighbours: Sequence[Ints], studies: Sequence[str], mentions: Mentions, nodes: int, votes: int) -> Bools:
    """Nodes (n, G) that are active in ``votes`` of a study's neighbours at least, or in all where it has fewer.

    Args:
        neighbours: places in ``studies``, for each study in question.
        studies: the train studies.
        mentions: which nodes their reports state.
        nodes: G.
        votes: how many.
    """
    active = np.zeros((len(neighbours), nodes), dtype=np.bool_)
    for row, near in zip(active, neighbours, strict=True):
        said = np.zeros(nodes, dtype=np.int64)
        for place in near:
            said[list(mentions.studies[studies[place]])] += 1
        row[:] = said >= min(votes, len(near))
    return active


def finding_nodes(graph: Graph, findings: Sequence[str]) -> Bools:
    """(K, G): which nodes say a finding: those by which train reports say it, and those whose words are all in its name."""
    table = np.zeros((len(findings), len(graph.nodes)), dtype=np.bool_)
    for row, finding in zip(table, findings, strict=True):
        row[list(graph.evidence.get(finding, ()))] = True
        words = set(re.findall(r"\w+", finding.lower().replace("_", " ")))
        for place, node in enumerate(graph.nodes):
            row[place] |= set(re.findall(r"\w+", node.name)) <= words
    return table


def shares(labels: Sequence[Mapping[str, int] | None], findings: Sequence[str]) -> Floats:
    """(K,): how many of the train reports that say anything of a finding state it."""
    return np.asarray([_share([row[name] for row in labels if row is not None and name in row]) for name in findings])


def _share(values: Sequence[int]) -> float:
    return float(np.mean(values)) if values else 0.0


def thresholds(probabilities: Floats, wanted: Floats) -> Floats:
    """(K,): over it lie as many of these films' probabilities (n, K) as train reports state the finding (``wanted``, shares).

    The films are those of validate, without a label: what an encoder says of films that it was taught is surer than what it
    says of others, so that a threshold taken on train would be too high. Infinite where that is no study.
    """
    ranked = -np.sort(-probabilities, axis=0)
    counts = np.round(wanted * len(probabilities)).astype(np.int64)
    return np.asarray([ranked[count - 1, place] if count else np.inf for place, count in enumerate(counts)])


def seen(probabilities: Floats, limits: Floats, table: Bools) -> Bools:
    """Nodes (n, G) of the findings whose probability (n, K) reaches its limit (K,); ``table`` is (K, G)."""
    return np.asarray((probabilities >= limits) @ table, dtype=np.bool_)


def summary(active: Bools) -> Mapping[str, float]:
    """What is told of an array of active nodes."""
    counts = active.sum(axis=1)
    return {"nodes": active.shape[1], "mean": float(counts.mean()) if len(counts) else 0.0, "none": int((counts == 0).sum())}


def named(graph: Graph, active: Bools) -> Iterator[tuple[str, ...]]:
    """The names of each study's active nodes."""
    return (tuple(graph.nodes[place].name for place in np.flatnonzero(row)) for row in active)
