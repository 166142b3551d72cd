"""From an experiment to steps: what runs share is one step. A step's id is the hash of everything that decides its result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

from rrgbench.catalogue import Component
from rrgbench.cell import Cell, Part, Stage, identity_of, request_of
from rrgbench.data import DataRecord, read_dataset
from rrgbench.errors import RRGBenchError, collect
from rrgbench.experiment import Resolved, value_labels
from rrgbench.identity import digest
from rrgbench.store import Store
from rrgbench.types import Split

STEP_VERSIONS: Mapping[str, int] = {"pixels": 1, "train": 1, "generate": 1, "floor": 1, "score": 1, "select": 1, "intervals": 1}
"""Raise a number when a step's code changes what it gives; a test holds these against recorded hashes of the code."""

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
    split: Split = "test"
    """Which split of the data set stands in ``record`` as test."""


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


class _Compiler:
    def __init__(self, experiment: Resolved) -> None:
        self.experiment = experiment
        self.protocol = Part(experiment.protocol)
        self.metrics = {key: Part(metric) for key, metric in _keys(experiment.metrics).items()}
        self.names = _value_names({key: part.value for key, part in self.metrics.items()})
        self.steps: dict[str, Step] = {}
        self.uses: dict[str, int] = {}
        self._pixels: dict[tuple[str, Split], Step] = {}

    def add(self, step: Step) -> str:
        self.steps.setdefault(step.id, step)
        self.uses[step.id] = self.uses.get(step.id, 0) + 1
        return step.id

    def pixels(self, cell: Cell, record: DataRecord, split: Split) -> dict[str, tuple[str, ...]]:
        """The prepared films of a split, for cells that look at films."""
        if "image" not in cell.encoders:
            return {}
        if (cell.id, split) not in self._pixels:
            inputs = record.splits[split].inputs
            payload = {"image_encoder": cell.encoders["image"], "inputs": inputs}
            title = f"films of {cell.dataset.name} {split} for {cell.encoders['image'].name}"
            step = Step("pixels", title, payload, folders={inputs: record.folder}, license=record.license)
            self._pixels[cell.id, split] = step
        return {"pixels": (self.add(self._pixels[cell.id, split]),)}

    def train(self, cell: Cell, record: DataRecord, seed: int) -> list[str]:
        """Every stage, cut into rungs; the ids of the rungs of the last stage."""
        start: tuple[str, ...] = ()
        rungs: list[str] = []
        for stage in cell.stages:
            rungs = []
            for first, last in _cuts(stage):
                payload = {
                    "model": cell.model,
                    "stage": stage.part,
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
            "model": cell.model,
            "train": _both_sides(record, "train"),
            "inputs": record.splits[split].inputs,
            "decoding": cell.decoding.model_dump(mode="json"),
        }
        upstream = self.pixels(cell, record, split) | dict(source)
        title = f"generate {split} of {cell.title}, seed {seed}"
        return self.add(Step("generate", title, payload, upstream, seed, _folders(record, split), record.license))

    def score(self, record: DataRecord, split: Split, metric: Part, predictions: str, title: str) -> str:
        asked = metric.value.asked_values() | self.experiment.protocol.asked_values()
        payload = {
            "metric": metric,
            "protocol": self.protocol,
            "targets": record.splits[split].targets,
            "train_targets": record.splits["train"].targets if "train_reports" in asked else None,
        }
        step = Step(
            "score",
            f"score {metric.value.name} on {split} of {title}",
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
        part = next(part for part in self.metrics.values() if part.value is metric)
        scores = tuple(self.score(record, "validate", part, predictions, title) for predictions in validated)
        payload = {"value": value, "better": metric.attributes["values"][value]}
        upstream = {"scores": scores, "candidates": tuple(rungs)}
        select = self.add(Step("select", f"select by {value} for {title}", payload, upstream, license=record.license))
        return self.generate(cell, record, "test", {"select": (select,), "candidates": tuple(rungs)}, seed)

    def floor(self, floor: Component, title: str, record: DataRecord, seed: int | None) -> str:
        asked = floor.asked_values()
        payload = {
            "floor": floor,
            "train": _both_sides(record, "train") if asked & {"train", "train_reports", "protocol"} else None,
            "validate": _both_sides(record, "validate") if "validate" in asked else None,
            "protocol": self.protocol if "protocol" in asked else None,
            "inputs": record.splits["test"].inputs,
        }
        folders = _folders(record, "train") | _folders(record, "validate") | _folders(record, "test")
        title = f"floor {title}" + (f", seed {seed}" if seed is not None else "")
        return self.add(Step("floor", title, payload, seed=seed, folders=folders, license=record.license))

    def row(
        self, about: Cell | Component, title: str, dataset: Component, record: DataRecord, runs: Mapping[int, str]
    ) -> RowPlan:
        """Scores of all seeds, and their intervals, metric by metric."""
        intervals: dict[str, str] = {}
        missing: dict[str, str] = {}
        for key, metric in self.metrics.items():
            if isinstance(about, Component) and "embeddings" in metric.value.attributes["needs"]:
                missing |= dict.fromkeys(self.names[key].values(), "a floor has no embeddings")
                continue
            scores = tuple(self.score(record, "test", metric, predictions, title) for predictions in runs.values())
            payload = {"metric": metric, "inputs": record.splits["test"].inputs, "resamples": RESAMPLES}
            told = f"intervals of {metric.value.name} of {title}"
            intervals[key] = self.add(Step("intervals", told, payload, {"scores": scores}, license=record.license))
        select = self.experiment.select
        config = identity_of(about.payload() if isinstance(about, Cell) else {"floor": about})
        identity = {
            "config": config,
            "dataset": dataset.identity(),
            "seeds": list(runs),
            "protocol": self.protocol.digest,
            "select": [select[0], select[1].identity()] if select and isinstance(about, Cell) else None,
        }
        return RowPlan(
            id=digest(identity)[:24],
            kind="cell" if isinstance(about, Cell) else "floor",
            title=title,
            labels=about.labels if isinstance(about, Cell) else {},
            dataset=dataset,
            record=record,
            config=config,
            seeds=tuple(runs),
            intervals=intervals,
            runs=runs,
            not_applicable=missing,
            metrics={key: part.value for key, part in self.metrics.items()},
            names=self.names,
        )


def _keys(metrics: Sequence[Component]) -> dict[str, Component]:
    """Metrics by their names; with a number where one stands twice, with other options."""
    found: dict[str, Component] = {}
    for metric in metrics:
        earlier = sum(other.name == metric.name for other in found.values())
        found[f"{metric.name}#{earlier + 1}" if earlier else metric.name] = metric
    return found


def _value_names(metrics: Mapping[str, Component]) -> dict[str, dict[str, str]]:
    """The names of a row's values: those of its metrics, with the metric in front where an earlier one has the same."""
    taken: set[str] = set()
    names: dict[str, dict[str, str]] = {}
    for key, metric in metrics.items():
        values = list(metric.attributes["values"])
        names[key] = {value: f"{key}.{value}" if "#" in key or value in taken else value for value in values}
        taken |= set(names[key].values())
    return names


def _floor_titles(floors: Sequence[Component]) -> list[str]:
    """The names of floors; with the options that tell them apart where one stands twice."""
    options = [identity_of(floor.options) for floor in floors]
    values: list[Any] = []
    for floor, own in zip(floors, options, strict=True):
        others = [other for twin, other in zip(floors, options, strict=True) if twin.name == floor.name]
        values.append({"name": floor.name} | {key: item for key, item in own.items() if any(o[key] != item for o in others)})
    return value_labels(values)


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
    firsts: dict[str, Cell] = {}
    for cell in experiment.cells:
        firsts.setdefault(_dataset_key(cell), cell)
    records: dict[str, DataRecord] = {}
    errors: list[RRGBenchError] = []
    for key, cell in firsts.items():
        try:
            records[key] = read_dataset(store, cell.dataset, cell.root)
        except RRGBenchError as error:
            errors.append(error)
    collect(errors)
    compiler = _Compiler(experiment)
    rows: list[RowPlan] = []
    floors: dict[str, dict[str, Mapping[str, str]]] = {key: {} for key in records}
    for key, record in records.items():
        for floor, title in zip(experiment.floors, _floor_titles(experiment.floors), strict=True):
            seeds: Sequence[int | None] = experiment.seeds if floor.attributes["draws"] else [None]
            floor_runs = {seed or 0: compiler.floor(floor, title, record, seed) for seed in seeds}
            rows.append(compiler.row(floor, title, firsts[key].dataset, record, floor_runs))
            floors[key][title] = rows[-1].intervals
    for cell in experiment.cells:
        key = _dataset_key(cell)
        runs = {seed: compiler.run(cell, records[key], seed) for seed in experiment.seeds}
        row = compiler.row(cell, cell.title, cell.dataset, records[key], runs)
        rows.append(replace(row, floors=floors[key]))
    return Plan(experiment, compiler.steps, compiler.uses, tuple(rows))


def _dataset_key(cell: Cell) -> str:
    return digest([cell.dataset.identity(), str(cell.root)])
