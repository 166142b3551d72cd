"""From an experiment to steps: what runs share is one step. A step's id is the hash of everything that decides its result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from rrgbench.catalogue import Component
from rrgbench.cell import Cell, Stage, identity_of, request_of
from rrgbench.data import DataRecord, read_dataset
from rrgbench.errors import RRGBenchError, collect
from rrgbench.experiment import Resolved
from rrgbench.identity import digest
from rrgbench.store import Store
from rrgbench.types import Split

STEP_VERSIONS: Mapping[str, int] = {"pixels": 1, "train": 1, "generate": 1, "floor": 1, "score": 1, "select": 1, "intervals": 1}
"""Raise a number when a step's code changes what it gives; a test holds these against recorded hashes of the code."""

TENSOR_STEPS = frozenset({"train", "generate"})
"""Steps whose bytes depend on the numerics domain."""

RESAMPLES = 1000


@dataclass(frozen=True)
class Step:
    """One piece of work. ``payload`` holds data and components, ``upstream`` the ids it reads from by role.

    ``folders`` (inputs digest -> where its images are), ``title`` and ``license`` do not count in the id.
    """

    kind: str
    title: str
    payload: Mapping[str, Any]
    upstream: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    seed: int | None = None
    folders: Mapping[str, str] = field(default_factory=dict)
    license: str = "open"

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
    kind: str
    title: str
    labels: Mapping[str, str]
    dataset: Component
    record: DataRecord
    config: Mapping[str, Any]
    seeds: tuple[int, ...]
    intervals: Mapping[str, str]
    runs: Mapping[int, str]
    not_applicable: Mapping[str, str]
    floors: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """For a cell: floor -> its intervals steps by metric, on the same data set."""


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
            if current not in found:
                found.add(current)
                waiting += self.steps[current].needed
        return frozenset(found)


class _Compiler:
    def __init__(self, experiment: Resolved) -> None:
        self.experiment = experiment
        self.steps: dict[str, Step] = {}
        self.uses: dict[str, int] = {}

    def add(self, step: Step) -> str:
        self.steps.setdefault(step.id, step)
        self.uses[step.id] = self.uses.get(step.id, 0) + 1
        return step.id

    def pixels(self, cell: Cell, record: DataRecord, split: Split) -> dict[str, tuple[str, ...]]:
        """The prepared films of a split, for cells that look at films."""
        if "image" not in cell.encoders:
            return {}
        inputs = record.splits[split].inputs
        payload = {"image_encoder": cell.encoders["image"], "inputs": inputs}
        title = f"films of {cell.dataset.name} {split} for {cell.encoders['image'].name}"
        step = Step("pixels", title, payload, folders={inputs: record.folder}, license=record.license)
        return {"pixels": (self.add(step),)}

    def train(self, cell: Cell, record: DataRecord, seed: int) -> list[str]:
        """Every stage, cut into rungs; the ids of the rungs of the last stage."""
        start: tuple[str, ...] = ()
        rungs: list[str] = []
        for stage in cell.stages:
            rungs = []
            for first, last in _cuts(stage):
                payload = {
                    "model": cell.model(),
                    "stage": {"name": stage.name, "recipe": stage.recipe(), "adapters": stage.adapters, "losses": stage.losses},
                    "epochs": [first, last],
                    "resume": bool(rungs),
                    "train": _both_sides(record, "train"),
                    "labels": record.splits["train"].labels,
                }
                upstream = self.pixels(cell, record, "train") | {"start": start}
                title = f"train {stage.name} {first + 1}-{last} of {cell.title}, seed {seed}"
                step = Step("train", title, payload, upstream, seed, _folders(record, "train"), record.license)
                rungs.append(self.add(step))
                start = (rungs[-1],)
        return rungs

    def generate(self, cell: Cell, record: DataRecord, split: Split, source: Mapping[str, tuple[str, ...]], seed: int) -> str:
        """Reports for one split, from inputs alone. ``source``: a checkpoint, or a selection among candidates."""
        payload = {
            "model": cell.model(),
            "train": _both_sides(record, "train"),
            "inputs": record.splits[split].inputs,
            "decoding": cell.decoding.model_dump(mode="json"),
        }
        upstream = self.pixels(cell, record, split) | dict(source)
        title = f"generate {split} of {cell.title}, seed {seed}"
        return self.add(Step("generate", title, payload, upstream, seed, _folders(record, split), record.license))

    def score(self, record: DataRecord, split: Split, metric: Component, predictions: str, title: str) -> str:
        protocol = self.experiment.protocol
        asked = metric.asked_values() | protocol.asked_values()
        payload = {
            "metric": metric,
            "protocol": protocol,
            "targets": record.splits[split].targets,
            "train_targets": record.splits["train"].targets if "train_reports" in asked else None,
        }
        step = Step(
            "score",
            f"score {metric.name} on {split} of {title}",
            payload,
            {"predictions": (predictions,)},
            license=record.license,
        )
        return self.add(step)

    def run(self, cell: Cell, record: DataRecord, seed: int) -> str:
        """One cell with one seed, up to its reports on test."""
        rungs = self.train(cell, record, seed)
        if self.experiment.select is None:
            return self.generate(cell, record, "test", {"checkpoint": (rungs[-1],)}, seed)
        value, metric = self.experiment.select
        validated = [self.generate(cell, record, "validate", {"checkpoint": (rung,)}, seed) for rung in rungs]
        title = f"{cell.title}, seed {seed}"
        scores = tuple(self.score(record, "validate", metric, predictions, title) for predictions in validated)
        payload = {"value": value, "better": metric.attributes["values"][value]}
        upstream = {"scores": scores, "candidates": tuple(rungs)}
        select = self.add(Step("select", f"select by {value} for {title}", payload, upstream, license=record.license))
        return self.generate(cell, record, "test", {"select": (select,), "candidates": tuple(rungs)}, seed)

    def floor(self, floor: Component, record: DataRecord, seed: int | None) -> str:
        asked = floor.asked_values()
        payload = {
            "floor": floor,
            "train": _both_sides(record, "train") if asked & {"train", "train_reports", "protocol"} else None,
            "validate": _both_sides(record, "validate") if "validate" in asked else None,
            "protocol": self.experiment.protocol if "protocol" in asked else None,
            "inputs": record.splits["test"].inputs,
        }
        folders = _folders(record, "train") | _folders(record, "validate") | _folders(record, "test")
        title = f"floor {floor.name}" + (f", seed {seed}" if seed is not None else "")
        return self.add(Step("floor", title, payload, seed=seed, folders=folders, license=record.license))

    def row(self, kind: str, about: Cell | Component, dataset: Component, record: DataRecord, runs: Mapping[int, str]) -> RowPlan:
        """Scores of all seeds, and their intervals, metric by metric."""
        title = about.title if isinstance(about, Cell) else about.name
        intervals: dict[str, str] = {}
        missing: dict[str, str] = {}
        for metric in self.experiment.metrics:
            if kind == "floor" and "embeddings" in metric.attributes["needs"]:
                missing |= dict.fromkeys(metric.attributes["values"], "a floor has no embeddings")
                continue
            scores = tuple(self.score(record, "test", metric, predictions, title) for predictions in runs.values())
            payload = {"metric": metric, "inputs": record.splits["test"].inputs, "resamples": RESAMPLES}
            step = Step(
                "intervals", f"intervals of {metric.name} of {title}", payload, {"scores": scores}, license=record.license
            )
            intervals[_key(metric, intervals)] = self.add(step)
        select = self.experiment.select[0] if self.experiment.select else None
        config = about.payload() if isinstance(about, Cell) else {"floor": about}
        identity = {
            "config": identity_of(config),
            "dataset": dataset.identity(),
            "seeds": list(runs),
            "protocol": self.experiment.protocol.identity(),
            "select": select,
        }
        return RowPlan(
            id=digest(identity)[:24],
            kind=kind,
            title=title,
            labels=about.labels if isinstance(about, Cell) else {},
            dataset=dataset,
            record=record,
            config=identity_of(config),
            seeds=tuple(runs),
            intervals=intervals,
            runs=runs,
            not_applicable=missing,
        )


def _key(metric: Component, taken: Mapping[str, Any]) -> str:
    """A metric's name; with a number where the same metric stands twice with other options."""
    name, number = metric.name, 2
    while name in taken:
        name, number = f"{metric.name}#{number}", number + 1
    return name


def _cuts(stage: Stage) -> Iterator[tuple[int, int]]:
    rung = stage.config.rung or stage.config.epochs
    for first in range(0, stage.config.epochs, rung):
        yield first, min(first + rung, stage.config.epochs)


def _both_sides(record: DataRecord, split: Split) -> dict[str, str]:
    return {"inputs": record.splits[split].inputs, "targets": record.splits[split].targets}


def _folders(record: DataRecord, split: Split) -> dict[str, str]:
    return {record.splits[split].inputs: record.folder}


def make_plan(experiment: Resolved, store: Store) -> Plan:
    """Compile every run of every cell, and every floor, into distinct steps.

    Raises:
        ConfigError, DataError, ManyErrors: what is wrong with the data sets.
    """
    records: dict[str, DataRecord] = {}
    errors: list[RRGBenchError] = []
    for cell in experiment.cells:
        key = _dataset_key(cell)
        if key not in records:
            try:
                records[key] = read_dataset(store, cell.dataset, cell.root)
            except RRGBenchError as error:
                errors.append(error)
    collect(errors)
    compiler = _Compiler(experiment)
    rows: list[RowPlan] = []
    floors: dict[str, dict[str, Mapping[str, str]]] = {key: {} for key in records}
    for key, record in records.items():
        first = next(cell for cell in experiment.cells if _dataset_key(cell) == key)
        for floor in experiment.floors:
            seeds: Sequence[int | None] = experiment.seeds if floor.attributes["draws"] else [None]
            floor_runs = {seed or 0: compiler.floor(floor, record, seed) for seed in seeds}
            rows.append(compiler.row("floor", floor, first.dataset, record, floor_runs))
            floors.setdefault(key, {})[rows[-1].title] = rows[-1].intervals
    for cell in experiment.cells:
        record = records[_dataset_key(cell)]
        runs = {seed: compiler.run(cell, record, seed) for seed in experiment.seeds}
        row = compiler.row("cell", cell, cell.dataset, record, runs)
        rows.append(replace(row, floors=floors[_dataset_key(cell)]))
    return Plan(experiment, compiler.steps, compiler.uses, tuple(rows))


def _dataset_key(cell: Cell) -> str:
    return digest([cell.dataset.identity(), str(cell.root)])
