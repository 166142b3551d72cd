"""Rows: one JSON file a cell over its seeds: values, intervals, signatures, cost and provenance."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rrgbench.catalogue import did_you_mean
from rrgbench.errors import ConfigError, StoreError
from rrgbench.plan import Plan, RowPlan
from rrgbench.store import Store, read_json, write_atomically
from rrgbench.types import Better, Split

FORMAT = 2


Number = Annotated[float, Field(ge=-1e12, le=1e12)]
"""A value of a metric: what lies further out is damage, and no plot can hold it."""


class Value(BaseModel):
    """One value of a row: the mean over seeds, its interval over subjects, and each seed's value."""

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)

    metric: str
    value: Number
    low: Number | None
    high: Number | None
    sd: Number | None
    seeds: list[Number]
    better: Better
    signature: dict[str, Any]


class FloorOrigin(BaseModel):
    """How a floor is made again: the identity of its component, and its seeds (None where it draws nothing)."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    component: dict[str, Any]
    seeds: list[int | None]


class Row(BaseModel):
    """One line of a leaderboard: a cell, a floor or an outside system's reports on the test split, over its seeds.

    ``protocol_options`` and ``metrics`` (key -> identity of the component) say how to score again. By seed, in order:
    ``predictions``, the SHA-256 of each predictions file, and ``scores``, metric -> steps with each report's statistics.
    ``aurocs``: stage -> mean AUROC over findings on validate, for each seed, where a stage teaches the image encoder findings.
    ``inputs``: the digest of the split's inputs in the store, which name the subjects. ``floor_origins``: how floors are made.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    format: int
    id: str
    kind: Literal["cell", "floor", "external"]
    title: str
    labels: dict[str, str]
    experiment: str
    question: str
    dataset: str
    dataset_options: dict[str, Any]
    license: str
    protocol: str
    protocol_options: dict[str, Any]
    metrics: dict[str, dict[str, Any]]
    n: int
    subjects: int
    seeds: list[int]
    baseline: bool
    values: dict[str, Value]
    not_applicable: dict[str, str]
    floors: dict[str, dict[str, float]]
    parameters: int | None
    trainable: int | None
    train_seconds: float | None
    config: dict[str, Any]
    steps: dict[str, str]
    predictions: list[str]
    scores: dict[str, list[str]]
    aurocs: dict[str, list[float]]
    split: Split = "test"
    inputs: str = ""
    floor_origins: dict[str, FloorOrigin] = {}
    provenance: dict[str, Any]
    written: str


def make_row(plan: Plan, row: RowPlan, store: Store) -> Row:
    """A row from the artifacts of its finished steps.

    Raises:
        StoreError: an artifact cannot be read.
    """
    trained = [store.done(step_id) for step_id in _steps(plan, row, "train") if store.is_done(step_id)]
    generated = [store.done(step_id) for step_id in row.runs.values() if store.is_done(step_id)]
    parameters = [done.provenance.get("parameters", {}).get("model", {}) for done in trained]
    test, aurocs = row.record.splits["test"], _aurocs(row, store)
    floors = _floor_values(row, store)
    return Row(
        format=FORMAT,
        id=row.id,
        kind=row.kind,
        title=row.title,
        labels=dict(row.labels),
        experiment=plan.experiment.name,
        question=plan.experiment.question,
        dataset=row.dataset.name,
        dataset_options=row.dataset.identity()["options"],
        license=row.record.license,
        protocol=plan.experiment.protocol.name,
        protocol_options=plan.experiment.protocol.identity()["options"],
        metrics={key: metric.identity() for key, metric in row.metrics.items()},
        n=test.studies,
        subjects=test.subjects,
        seeds=list(row.seeds),
        baseline=row.kind == "cell" and row.title == plan.experiment.baseline,
        values=_values(row, store),
        not_applicable=dict(row.not_applicable) | _without_auroc(row, aurocs),
        floors=floors,
        parameters=max((int(count.get("total", 0)) for count in parameters), default=None),
        trainable=max((int(count.get("trainable", 0)) for count in parameters), default=None),
        train_seconds=sum(float(done.provenance.get("cost", {}).get("seconds", 0.0)) for done in trained) if trained else None,
        config=dict(row.config),
        steps={f"seed {seed}": step_id for seed, step_id in row.runs.items()},
        predictions=[done.files["predictions.jsonl"] for done in generated],
        scores={key: list(plan.steps[step_id].upstream["scores"]) for key, step_id in row.intervals.items()},
        aurocs=aurocs,
        split=row.split,
        inputs=test.inputs,
        floor_origins={floor: _floor_origin(plan, row.floors[floor]) for floor in floors},
        provenance={
            "libraries": generated[0].provenance.get("libraries", {}) if generated else {},
            "numerics": [domain for done in generated if (domain := done.domain) is not None][:1],
        },
        written=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    )


def _aurocs(row: RowPlan, store: Store) -> dict[str, list[float]]:
    """Stage -> its mean AUROC by seed, where validate has enough of any finding."""
    found = {
        stage: [read_json(store.artifact(step_id) / "auroc.json")["mean"] for step_id in steps]
        for stage, steps in row.aurocs.items()
    }
    return {stage: means for stage, means in found.items() if None not in means}


def _without_auroc(row: RowPlan, found: Mapping[str, Any]) -> dict[str, str]:
    reason = "validate has no finding with enough positives and negatives"
    return {f"AUROC after {stage}": reason for stage in row.aurocs if stage not in found}


def _values(row: RowPlan, store: Store) -> dict[str, Value]:
    values: dict[str, Value] = {}
    for key, step_id in row.intervals.items():
        told = read_json(store.artifact(step_id) / "intervals.json")
        for name in told["order"]:
            values[row.names[key][name]] = Value(metric=key, signature=told["signature"], **told["values"][name])
    return values


def _floor_values(row: RowPlan, store: Store) -> dict[str, dict[str, float]]:
    """Floor -> its values under the same signatures, for the floors that are done."""
    found: dict[str, dict[str, float]] = {}
    for floor, intervals in row.floors.items():
        for key, step_id in intervals.items():
            if store.is_done(step_id):
                told = read_json(store.artifact(step_id) / "intervals.json")["values"]
                values = {row.names[key][name]: value["value"] for name, value in told.items()}
                found.setdefault(floor, {}).update(values)
    return found


def _floor_origin(plan: Plan, intervals: Mapping[str, str]) -> FloorOrigin:
    scores = plan.steps[next(iter(intervals.values()))].upstream["scores"]
    written = [plan.steps[plan.steps[score].upstream["predictions"][0]] for score in scores]
    return FloorOrigin(component=written[0].payload["floor"].identity(), seeds=[step.seed for step in written])


def _steps(plan: Plan, row: RowPlan, kind: str) -> Iterator[str]:
    behind: frozenset[str] = frozenset().union(*(plan.behind(step_id) for step_id in row.runs.values()))
    return (step_id for step_id in sorted(behind) if plan.steps[step_id].kind == kind)


def row_path(store: Store, row: Row) -> Path:
    """Where a row is kept: experiments that share a cell have a row each, since labels and metrics are theirs."""
    return store.root / "rows" / row.dataset / row.experiment / f"{row.id}.json"


def write_row(store: Store, row: Row) -> bool:
    """Write a row unless the one that stands there says the same; whether it was written.

    Raises:
        StoreError: the disk is full.
    """
    path = row_path(store, row)
    try:
        there = Row.model_validate_json(path.read_bytes())
        if there.model_copy(update={"written": row.written}) == row:
            return False
    except (OSError, ValidationError):
        pass
    write_atomically(path, row.model_dump_json(indent=1).encode())
    return True


def read_rows(folder: Path) -> list[Row]:
    """Every row below a folder, in the order of their paths.

    Raises:
        StoreError: a file there is not a row.
    """
    try:
        paths = sorted(folder.rglob("*.json"))
    except OSError as error:
        raise StoreError(f"{folder} cannot be read", got=error.strerror) from error
    return [_read_row(path) for path in paths]


def no_rows(folder: Path, experiment: str | None) -> ConfigError:
    """What to tell whoever asks for the rows below a folder, or those of an experiment there, and there are none."""
    told, hint = "", "`rrgbench run EXPERIMENT` writes them; --store names another store"
    if experiment is not None:
        told, known = f" of experiment {experiment}", {row.experiment for row in read_rows(folder)}
        hint = did_you_mean(experiment, sorted(known)) if known else hint
    return ConfigError(f"no rows{told} in {folder}", hint=hint)


def _read_row(path: Path) -> Row:
    hint = "delete it and run the experiment again"
    try:
        row = Row.model_validate_json(path.read_bytes())
    except OSError as error:
        raise StoreError(f"{path} cannot be read", got=error.strerror) from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "the whole"
        raise StoreError(
            f"{path} is not a row: {field}", got=repr(first["input"])[:60], expected=first["msg"], hint=hint
        ) from error
    if row.format != FORMAT:
        raise StoreError(f"{path} is not a row: format", got=row.format, expected=FORMAT, hint=hint)
    return row
