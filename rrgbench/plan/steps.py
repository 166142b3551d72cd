"""Steps, rows to be, and plans: a step's id is the hash of everything that decides its result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from rrgbench.catalogue import Component
from rrgbench.cell import identity_of, request_of
from rrgbench.data import DataRecord
from rrgbench.experiment import Resolved
from rrgbench.identity import digest
from rrgbench.types import Split

STEP_VERSIONS: Mapping[str, int] = {
    "pixels": 2,
    "masks": 1,
    "labels": 1,
    "graph": 1,
    "active": 1,
    "train": 2,
    "features": 1,
    "auroc": 2,
    "generate": 2,
    "embed": 1,
    "floor": 1,
    "score": 3,
    "select": 1,
    "intervals": 1,
}
"""Raise a number when a step's code changes what it gives; a test holds these against recorded hashes of the code."""

RESAMPLES = 1000


@dataclass(frozen=True)
class Step:
    """One piece of work. ``payload`` holds data and components, ``upstream`` the ids it reads from by role.

    ``folders`` (inputs digest -> where its images are), ``title`` and ``license`` do not count in the id; ``alone`` does
    where it is set: it keeps a step to itself that could be shared.
    """

    kind: str
    title: str
    payload: Mapping[str, Any]
    upstream: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    seed: int | None = None
    folders: Mapping[str, str] = field(default_factory=dict)
    license: str = "open"
    alone: str = ""

    @cached_property
    def id(self) -> str:
        """SHA-256 over kind, version, payload, upstream and seed."""
        return digest(
            {
                "kind": self.kind,
                "version": STEP_VERSIONS[self.kind],
                "payload": identity_of(self.payload),
                "upstream": {role: list(ids) for role, ids in self.upstream.items()},
                "seed": self.seed,
            }
            | ({"alone": self.alone} if self.alone else {})
        )

    @property
    def needed(self) -> frozenset[str]:
        """The ids of the steps that must be done before."""
        return frozenset(step_id for ids in self.upstream.values() for step_id in ids)

    def request(self) -> dict[str, Any]:
        """What a worker needs to run it, as JSON data."""
        return {
            "id": self.id,
            "kind": self.kind,
            "title": self.title,
            "payload": request_of(self.payload),
            "upstream": {role: list(ids) for role, ids in self.upstream.items()},
            "seed": self.seed,
            "folders": dict(self.folders),
            "license": self.license,
        }


@dataclass(frozen=True)
class RowPlan:
    """One row to be: its intervals steps by metric, and what stands behind it."""

    id: str
    kind: Literal["cell", "floor", "external"]
    title: str
    labels: Mapping[str, str]
    dataset: Component
    record: DataRecord
    config: Mapping[str, Any]
    seeds: tuple[int, ...]
    intervals: Mapping[str, str]
    runs: Mapping[int, str]
    not_applicable: Mapping[str, str]
    metrics: Mapping[str, Component]
    names: Mapping[str, Mapping[str, str]]
    """Metric -> its values -> their names in the row."""
    floors: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """For a cell: floor -> its intervals steps by metric, on the same data set."""
    aurocs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """For a cell: stage -> the steps, one a seed, that say how well the image encoder tells findings on validate."""
    split: Split = "test"
    """Which split of the data set stands in ``record`` as test."""

    @property
    def wanted(self) -> tuple[str, ...]:
        """The steps that the row is made of."""
        return (*self.intervals.values(), *(step_id for steps in self.aurocs.values() for step_id in steps))


@dataclass(frozen=True)
class Plan:
    """An experiment as steps. ``uses`` counts how many runs ask for a step: what is above one is shared."""

    experiment: Resolved
    steps: Mapping[str, Step]
    uses: Mapping[str, int]
    rows: tuple[RowPlan, ...]

    def behind(self, step_id: str) -> frozenset[str]:
        """A step and everything it rests on."""
        found: set[str] = set()
        waiting = [step_id]
        while waiting:
            current = waiting.pop()
            if current not in found and current in self.steps:  # predictions from outside are no step
                found.add(current)
                waiting += self.steps[current].needed
        return frozenset(found)
