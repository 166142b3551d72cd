"""Predictions from outside as rows: they are published as an artifact, and scored by the same steps as everybody's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rrgbench.catalogue import Catalogue, Component
from rrgbench.data import DataRecord, load_targets, need_splits, read_dataset, record_references
from rrgbench.errors import ConfigError, RRGBenchError, collect
from rrgbench.experiment import Resolved
from rrgbench.identity import digest
from rrgbench.plan import Compiler, Plan, RowPlan, Written
from rrgbench.plan.naming import floor_titles, metric_keys, value_names
from rrgbench.predictions import TextFile
from rrgbench.row import Row
from rrgbench.steps.context import write_predictions
from rrgbench.store import Done, Store
from rrgbench.types import Split

EXPERIMENT = "external"
"""The name under which rows from outside and their floors are kept."""

REFERENCES = "reference-file"
"""What stands for the data set where there is none but the references."""

_FEW = 10
_SAME = 0.5
_DISTINCT = 0.05


@dataclass(frozen=True)
class Source:
    """What predictions are scored against: in ``record``, test is the split that is asked for."""

    dataset: Component
    record: DataRecord
    split: Split
    elsewhere: Mapping[str, frozenset[str]]

    @property
    def title(self) -> str:
        """The data set and its split, for people."""
        if self.dataset.name == REFERENCES:
            return "the references"
        return f"{self.dataset.name}, {self.split}"

    @property
    def whole(self) -> bool:
        """Whether there is a train split, and so floors."""
        return "train" in self.record.splits

    def lacks(self, split: Split) -> str:
        """Why there is no such split; empty where there is."""
        if split in self.record.splits:
            return ""
        return f"{'a reference file' if self.dataset.name == REFERENCES else self.dataset.name} has no {split} split"


@dataclass(frozen=True)
class Measures:
    """How predictions are scored. ``missing``: a value's name, or a floor's, -> why it cannot be had."""

    protocol: Component
    metrics: tuple[Component, ...]
    floors: tuple[Component, ...]
    missing: Mapping[str, str]


@dataclass(frozen=True)
class Given:
    """Predictions of one system: a title, and for each seed the id of the artifact that holds them."""

    title: str
    runs: Mapping[int, str]


def dataset_source(store: Store, dataset: Component, root: Path | None, split: Split) -> Source:
    """A split of a data set.

    Raises:
        ConfigError, DataError, StoreError: as the data set says.
    """
    record = read_dataset(store, dataset, root)
    need_splits(record, dataset.name, [split], f"the split {split}, to be scored")
    others: dict[str, frozenset[str]] = {
        name: frozenset(target.study_id for target in load_targets(store, data.targets))
        for name, data in record.splits.items()
        if name != split
    }
    return Source(dataset, record.model_copy(update={"splits": {**record.splits, "test": record.splits[split]}}), split, others)


def reference_source(store: Store, references: TextFile) -> Source:
    """References alone, without films, subjects or a train split.

    Raises:
        DataError, StoreError: an empty reference; the store cannot be written.
    """
    record = record_references(store, str(references.path), references.texts)
    component = Component("datasets", REFERENCES, "", "", "", (), {}, {"targets": record.splits["test"].targets})
    return Source(component, record, "test", {})


def study_ids(store: Store, source: Source) -> tuple[str, ...]:
    """The studies to be scored, in order."""
    return tuple(target.study_id for target in load_targets(store, source.record.splits["test"].targets))


def publish(store: Store, source: Source, predictions: Mapping[str, str]) -> str:
    """Make predictions an artifact whose id is the digest of their content and of the licence that they stand under; the id.

    Raises:
        StoreError: the store cannot be written.
    """
    content = digest([[study, report] for study, report in predictions.items()])
    step_id = digest({"kind": EXPERIMENT, "predictions": content, "license": source.record.license})
    if not store.is_done(step_id):
        with store.draft(step_id) as draft:
            write_predictions(draft / "predictions.jsonl", tuple(predictions), list(predictions.values()))
            done = Done(
                format=1,
                id=step_id,
                kind=EXPERIMENT,
                title=f"{len(predictions)} predictions from outside",
                license=source.record.license,
                seconds=0.0,
                files={},
            )
            store.publish(draft, done)
    return step_id


def why_not(metric: Component, source: Source) -> str:
    """Why a metric cannot be computed from predictions alone; empty where it can."""
    needs = metric.attributes["needs"]
    if "embeddings" in needs:
        return "predictions alone have no embeddings"
    if "labels" in needs and not source.record.splits["test"].labels:
        return "the references have no labels"
    if "train_reports" in metric.asked_values() and not source.whole:
        return source.lacks("train")
    return ""


def measures(source: Source, protocol: Component, metrics: Sequence[Component], floors: Sequence[Component]) -> Measures:
    """What of these applies; the rest with its reason.

    Raises:
        ConfigError: the protocol reads train reports that are not there, or no metric applies.
    """
    if "train_reports" in protocol.asked_values() and not source.whole:
        hint = "give --dataset with a train split, or a protocol that reads none"
        raise ConfigError(f"protocol {protocol.name} reads the train reports", got=source.lacks("train"), hint=hint)
    reasons = {key: why_not(metric, source) for key, metric in metric_keys(metrics).items()}
    names = value_names(metric_keys(metrics))
    applied = tuple(metric for key, metric in metric_keys(metrics).items() if not reasons[key])
    if not applied:
        told = "; ".join(f"{key}: {reason}" for key, reason in reasons.items())
        raise ConfigError("--metrics: none can be computed", got=told or "none", expected="at least one")
    there = {name for own in value_names(metric_keys(applied)).values() for name in own.values()}
    missing = {name: why for key, why in reasons.items() if why for name in names[key].values() if name not in there}
    reading = dict.fromkeys(floor_titles(floors), source.lacks("train")) if not source.whole else {}
    # What chose its sentence on these references is no floor for them.
    chosen_here = "it is chosen on validate, the split that is scored" if source.split == "validate" else ""
    if chosen_here or (source.whole and source.lacks("validate")):
        why = chosen_here or source.lacks("validate")
        pairs = zip(floor_titles(floors), floors, strict=True)
        reading |= {title: why for title, floor in pairs if "validate" in floor.asked_values()}
    missing |= {f"floor {title}": reason for title, reason in reading.items()}
    kept = tuple(floor for title, floor in zip(floor_titles(floors), floors, strict=True) if title not in reading)
    return Measures(protocol, applied, kept, missing)


def installed(catalogue: Catalogue, kind: str) -> tuple[tuple[Component, ...], dict[str, str]]:
    """Every installed component of a kind with its defaults; and those that cannot be made so, with the reason."""
    found, left_out = [], {}
    for name, specs in sorted(catalogue.specs[kind].items()):
        for spec in specs:
            full = f"{spec.distribution}/{name}" if len(specs) > 1 else name
            try:
                found.append(catalogue.resolve(kind, full, kind))
            except RRGBenchError as error:
                left_out[full] = str(error)
    return tuple(found), left_out


def chosen(catalogue: Catalogue, kind: str, values: Sequence[object], where: str) -> tuple[Component, ...]:
    """The components that are named, each once.

    Raises:
        ConfigError, PluginError, ManyErrors: no such component, wrong options.
    """
    found: dict[str, Component] = {}
    errors: list[RRGBenchError] = []
    for value in values:
        try:
            component = catalogue.resolve(kind, value, where)
            found.setdefault(digest(component.identity()), component)
        except RRGBenchError as error:
            errors.append(error)
    collect(errors)
    return tuple(found.values())


def external_plan(source: Source, how: Measures, given: Given, floor_seeds: Sequence[int] | None = None) -> Plan:
    """The steps that score one system's predictions and the floors beside it, and their rows.

    Args:
        source: what is scored against.
        how: protocol, metrics and floors that apply.
        given: the predictions, published.
        floor_seeds: the seeds of floors that draw; those of the predictions where nobody says.
    """
    seeds = tuple(given.runs)
    name = EXPERIMENT if source.split == "test" else f"{EXPERIMENT}-{source.split}"
    experiment = Resolved(
        name=name,
        question="",
        cells=(),
        excluded=(),
        seeds=seeds,
        metrics=how.metrics,
        protocol=how.protocol,
        select=None,
        floors=how.floors,
        baseline=None,
    )
    compiler = Compiler(experiment)
    rows: list[RowPlan] = []
    floors: dict[str, Mapping[str, str]] = {}
    for floor, title in zip(how.floors, floor_titles(how.floors), strict=True):
        drawn: Sequence[int | None] = (floor_seeds or seeds) if floor.attributes["draws"] else [None]
        runs = {seed or 0: Written(compiler.floor(floor, title, source.record, seed)) for seed in drawn}
        rows.append(_of_split(compiler.row(floor, title, source.dataset, source.record, runs), source.split))
        floors[title] = rows[-1].intervals
    written = {seed: Written(step_id) for seed, step_id in given.runs.items()}
    row = compiler.row(source.dataset, given.title, source.dataset, source.record, written)
    identity = {
        "config": (config := {EXPERIMENT: list(given.runs.values())}),
        "dataset": source.dataset.identity(),
        "seeds": list(seeds),
        "protocol": compiler.protocol.digest,
    }
    missing = {**row.not_applicable, **how.missing}
    row = replace(row, id=digest(identity)[:24], kind="external", config=config, floors=floors, not_applicable=missing)
    return Plan(experiment, compiler.steps, compiler.uses, (*rows, _of_split(row, source.split)))


def _of_split(row: RowPlan, split: Split) -> RowPlan:
    """A row of another split than test is another row."""
    return row if split == "test" else replace(row, id=digest([row.id, split])[:24], split=split)


def collapse(predictions: Mapping[str, str]) -> str:
    """A warning where nearly everybody is given the same report; empty where not."""
    counts: dict[str, int] = {}
    for report in predictions.values():
        plain = " ".join(report.split()).casefold()
        counts[plain] = counts.get(plain, 0) + 1
    n, distinct, most = len(predictions), len(counts), max(counts.values())
    if n > 1 and (distinct == 1 or (n >= _FEW and (distinct / n < _DISTINCT or most / n >= _SAME))):
        return f"nearly constant: {distinct} distinct reports for {n} studies, one of them {most} times ({most / n:.0%})"
    return ""


def below_floors(row: Row) -> list[str]:
    """A warning for each value with an interval that is worse than a floor's."""
    found = []
    for name, value in row.values.items():
        if value.better == "neither" or value.low is None:
            continue
        sign = 1 if value.better == "higher" else -1
        scores = {floor: values[name] for floor, values in row.floors.items() if name in values}
        above = {floor: score for floor, score in scores.items() if sign * (score - value.value) > 0}
        if above:
            told = ", ".join(f"{floor} {score:.4f}" for floor, score in above.items())
            found.append(f"{name} {value.value:.4f} is worse than the floor{'s' if len(above) > 1 else ''} {told}")
    return found
