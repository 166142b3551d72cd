"""The compiler: runs of cells, and floors, to steps. What runs share is one step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from rrgbench.catalogue import Component
from rrgbench.cell import EMBEDDINGS, MASKS, Cell, Part, Stage, carried, identity_of, is_credentialed, replaced
from rrgbench.data import DataRecord
from rrgbench.errors import ConfigError
from rrgbench.experiment import Resolved
from rrgbench.identity import digest
from rrgbench.plan.knowing import Finals, knowledge
from rrgbench.plan.naming import metric_keys, value_names
from rrgbench.plan.steps import RESAMPLES, RowPlan, Step
from rrgbench.plan.validating import validated
from rrgbench.types import Split


@dataclass(frozen=True)
class Trained:
    """A run after its training: each stage with its last rung, and every rung of the last stage."""

    finals: tuple[tuple[Stage, str], ...]
    rungs: tuple[str, ...]

    def before(self, *wanted: str) -> tuple[str, ...]:
        """The checkpoints of earlier stages that hold what is ``wanted`` and the last stage does not, in order."""
        last, _ = self.finals[-1]
        return checkpoints(self.finals[:-1], frozenset(wanted) - last.holds)


def checkpoints(finals: Finals, wanted: frozenset[str]) -> tuple[str, ...]:
    """The newest checkpoints that hold what is wanted, in the order of their stages."""
    found: list[str] = []
    for stage, final in reversed(finals):
        if stage.holds & wanted:
            found.insert(0, final)
            wanted -= stage.holds
    return tuple(found)


def adapted(finals: Finals, modules: Sequence[str]) -> dict[str, Any]:
    """The part of a payload that says under which adapters the checkpoints of these stages hold their modules; empty, and so in
    no id, where there are none."""
    found = carried([stage for stage, _ in finals], modules)
    return {"carried": found} if found else {}


@dataclass(frozen=True)
class Written:
    """What a run gives for a split: its reports, and its embeddings where a metric reads them."""

    predictions: str
    embeddings: str | None = None


class Compiler:
    """Steps of an experiment; each is there once, however many runs ask for it."""

    def __init__(self, experiment: Resolved, sharing: bool = True) -> None:
        self.experiment = experiment
        self.sharing = sharing
        self.alone = ""
        self.protocol = Part(experiment.protocol)
        self.metrics = {key: Part(metric) for key, metric in metric_keys(experiment.metrics).items()}
        self.names = value_names({key: part.value for key, part in self.metrics.items()})
        self.steps: dict[str, Step] = {}
        self.uses: dict[str, int] = {}

    def add(self, step: Step) -> str:
        if step.license == "open" and (is_credentialed(step.payload) or self.derives(step.needed)):
            step = replace(step, license="credentialed")
        if not self.sharing:
            step = replace(step, alone=self.alone)
        self.steps.setdefault(step.id, step)
        self.uses[step.id] = self.uses.get(step.id, 0) + 1
        return step.id

    def derives(self, step_ids: Iterable[str]) -> bool:
        """Whether one of these steps holds what is not open."""
        return any(self.steps[step_id].license != "open" for step_id in step_ids if step_id in self.steps)

    def pixels(self, cell: Cell, record: DataRecord, split: Split) -> dict[str, tuple[str, ...]]:
        """The prepared films of a split, for cells that look at films."""
        if "image" not in cell.encoders:
            return {}
        inputs = record.splits[split].inputs
        payload = {"image_encoder": cell.encoders["image"], "inputs": inputs}
        title = f"films of {cell.dataset.name} {split} for {cell.encoders['image'].name}"
        return {"pixels": (self.add(Step("pixels", title, payload, folders=_folders(record, split), license=record.license)),)}

    def films(
        self, cell: Cell, stage: Stage, record: DataRecord, split: Split, before: Finals, seed: int
    ) -> dict[str, tuple[str, ...]]:
        """What a stage reads of films: prepared, or through the frozen encoder that earlier stages (``before``) trained."""
        if not stage.is_cached:
            return self.pixels(cell, record, split) if "image" in stage.modules else {}
        return {"features": (self.features(cell, record, split, before, seed),)}

    def features(self, cell: Cell, record: DataRecord, split: Split, before: Finals, seed: int) -> str:
        """What the image encoder of earlier stages (``before``) makes of the films of a split."""
        payload = {"model": cell.parts(("image",), frozenset()), "inputs": record.splits[split].inputs}
        payload |= adapted(before, ("image",))
        upstream = {"checkpoint": checkpoints(before, frozenset({"image"})), **self.pixels(cell, record, split)}
        title = f"features of {split} films of {cell.dataset.name} by {cell.encoders['image'].name}, seed {seed}"
        return self.add(Step("features", title, payload, upstream, seed, _folders(record, split), record.license))

    def labels(self, cell: Cell, record: DataRecord, split: Split, asked: bool = True) -> dict[str, tuple[str, ...]]:
        """The findings that reports of a split state, by the cell's annotator; none where the data set's own are read."""
        if not asked or cell.annotator is None:
            return {}
        payload = {"annotator": cell.annotator, "targets": record.splits[split].targets}
        title = f"labels of {cell.dataset.name} {split} by {cell.annotator.name}"
        role = "labels" if split == "train" else "judged"
        return {role: (self.add(Step("labels", title, payload, license=record.license)),)}

    def masks(self, cell: Cell, record: DataRecord, split: Split, asked: bool) -> dict[str, tuple[str, ...]]:
        """The lungs on the prepared films of a split, by the cell's segmenter."""
        if not asked or cell.segmenter is None:
            return {}
        title = f"masks of {cell.dataset.name} {split} for {cell.encoders['image'].name} by {cell.segmenter.name}"
        payload = {"segmenter": cell.segmenter}
        step = Step("masks", title, payload, self.pixels(cell, record, split), license=record.license)
        return {"masks": (self.add(step),)}

    def own_labels(self, cell: Cell, record: DataRecord, asked: bool) -> tuple[str, ...] | None:
        """The names of the data set's own labels, where a stage reads them.

        Raises:
            ConfigError: it has none, and no annotator is named.
        """
        if not asked or cell.annotator is not None:
            return None
        if not record.splits["train"].labels:
            raise ConfigError(
                f"{cell.title}: a stage reads labels, and the data set {cell.dataset.name} has none",
                hint="name an annotator that makes them from the reports: base.labels",
            )
        return record.splits["train"].labels

    def train(self, cell: Cell, record: DataRecord, seed: int) -> Trained:
        """Every stage, cut into rungs. A stage starts from what earlier ones made of its modules, and hangs on nothing else."""
        finals: list[tuple[Stage, str]] = []
        rungs: list[str] = []
        for stage in cell.stages:
            asked = bool(stage.needs & {"labels", "finding_logits"})
            start = checkpoints(finals, stage.holds)
            held = adapted(finals, stage.modules)
            if merged := replaced(held.get("carried", {}), stage):
                held["merged"] = list(merged)
            rungs = []
            for first, last in _cuts(stage, record.splits["train"].studies):
                payload = {
                    "model": cell.parts(stage.modules, stage.needs),
                    "stage": stage.part,
                    "epochs": [first, last],
                    "resume": bool(rungs),
                    "train": _both_sides(record, "train"),
                    "labels": self.own_labels(cell, record, asked),
                    **held,
                }
                films = self.films(cell, stage, record, "train", finals, seed)
                films |= knowledge(self, cell, record, "train", stage.modules, finals, seed)
                upstream = films | self.labels(cell, record, "train", asked) | {"start": (rungs[-1],) if rungs else start}
                upstream |= self.masks(cell, record, "train", bool(stage.needs & MASKS))
                if stage.is_validated:
                    payload["validate"] = _both_sides(record, "validate")
                    upstream |= validated(self, cell, stage, record, finals, seed, asked)
                title = f"train {stage.name} {first + 1}-{last} of {_who(cell, stage)}, seed {seed}"
                folders = _folders(record, "train") | (_folders(record, "validate") if stage.is_validated else {})
                step = Step("train", title, payload, upstream, seed, folders, record.license)
                rungs.append(self.add(step))
            finals.append((stage, rungs[-1]))
        return Trained(tuple(finals), tuple(rungs))

    def aurocs(self, cell: Cell, record: DataRecord, trained: Trained, seed: int) -> dict[str, str]:
        """Stage -> how well its image encoder tells the findings of validate, for each stage that learns findings."""
        found: dict[str, str] = {}
        for place, (stage, final) in enumerate(trained.finals):
            if "finding_logits" in stage.needs:
                payload = {
                    "model": cell.parts(("image",), frozenset({"finding_logits"})),
                    **_both_sides(record, "validate"),
                    "labels": self.own_labels(cell, record, True),
                    **adapted(trained.finals[: place + 1], ("image",)),
                }
                upstream = {"checkpoint": (final,), **self.pixels(cell, record, "validate")}
                upstream |= self.labels(cell, record, "train") | self.labels(cell, record, "validate")
                title = f"findings on validate after {stage.name} of {_who(cell, stage)}, seed {seed}"
                step = Step("auroc", title, payload, upstream, seed, _folders(record, "validate"), record.license)
                found[stage.name] = self.add(step)
        return found

    def source(self, cell: Cell, record: DataRecord, trained: Trained, seed: int) -> dict[str, tuple[str, ...]]:
        """The checkpoint that writes reports: that of the last rung, or the one that was selected on validate."""
        before = trained.before(*_all(cell))
        if self.experiment.select is None:
            return {"checkpoint": (*before, trained.rungs[-1])}
        value, metric = self.experiment.select
        part = next(part for part in self.metrics.values() if part.value is metric)
        if reason := _inapplicable(metric, cell, record):
            raise ConfigError("select.metric", got=f"{value}, not applicable to {cell.title}: {reason}")
        title = f"{cell.title}, seed {seed}"
        scores = []
        for rung in trained.rungs:
            written = self.write(cell, record, "validate", trained, {"checkpoint": (*before, rung)}, seed, [metric])
            scores.append(self.score(record, "validate", part, written, title))
        payload = {"value": value, "better": metric.attributes["values"][value]}
        upstream = {"scores": tuple(scores), "candidates": trained.rungs}
        select = self.add(Step("select", f"select by {value} for {title}", payload, upstream, license=record.license))
        return {"select": (select,), "candidates": trained.rungs, "before": before}

    def write(
        self,
        cell: Cell,
        record: DataRecord,
        split: Split,
        trained: Trained,
        source: Mapping[str, tuple[str, ...]],
        seed: int,
        metrics: Sequence[Component],
    ) -> Written:
        """Reports for one split from its inputs alone, and what metrics read beside them.

        ``source``: a checkpoint, or a selection among candidates.
        """
        last = cell.stages[-1]
        films = self.films(cell, last, record, split, trained.finals[:-1], seed) or self.pixels(cell, record, split)
        films |= knowledge(self, cell, record, split, (*cell.encoders, "fusion", "decoder"), trained.finals, seed)
        payload = {
            "model": cell.model,
            "train": _both_sides(record, "train"),
            "inputs": record.splits[split].inputs,
            "decoding": cell.decoding.model_dump(mode="json"),
            **adapted(trained.finals, (*cell.encoders, "fusion", "decoder")),
        }
        title = f"generate {split} of {cell.title}, seed {seed}"
        generate = Step("generate", title, payload, films | dict(source), seed, _folders(record, split), record.license)
        predictions = self.add(generate)
        if not cell.embeds or not any("embeddings" in metric.attributes["needs"] for metric in metrics):
            return Written(predictions)
        return Written(predictions, self.embed(cell, record, split, trained, source, seed))

    def embed(
        self, cell: Cell, record: DataRecord, split: Split, trained: Trained, source: Mapping[str, tuple[str, ...]], seed: int
    ) -> str:
        """Films and reports embedded by the last stage that trained it; what later ones make of an encoder is not theirs."""
        place = max(place for place, (stage, _) in enumerate(trained.finals) if stage.needs >= EMBEDDINGS)
        stage = trained.finals[place][0]
        films = self.films(cell, stage, record, split, trained.finals[:place], seed)
        payload = {
            "model": cell.parts(("image", cell.reader), EMBEDDINGS),
            "train": _both_sides(record, "train"),
            **_both_sides(record, split),
            **adapted(trained.finals[: place + 1], ("image", cell.reader)),
        }
        if place + 1 < len(trained.finals):
            wanted = frozenset({"image", cell.reader, "head of embeddings"})
            source = {"checkpoint": checkpoints(trained.finals[: place + 1], wanted)}
        title = f"embed {split} after {stage.name} of {_who(cell, stage)}, seed {seed}"
        return self.add(Step("embed", title, payload, films | dict(source), seed, _folders(record, split), record.license))

    def score(self, record: DataRecord, split: Split, metric: Part, written: Written, title: str) -> str:
        asked = metric.value.asked_values() | self.experiment.protocol.asked_values()
        payload = {
            "metric": metric,
            "protocol": self.protocol,
            "targets": record.splits[split].targets,
            "train_targets": record.splits["train"].targets if "train_reports" in asked else None,
        }
        upstream: dict[str, tuple[str, ...]] = {"predictions": (written.predictions,)}
        if "embeddings" in metric.value.attributes["needs"]:
            assert written.embeddings is not None, "a metric that does not apply is not planned"
            upstream["embeddings"] = (written.embeddings,)
        told = f"score {metric.value.name} on {split} of {title}"
        return self.add(Step("score", told, payload, upstream, license=record.license))

    def run(self, cell: Cell, record: DataRecord, seed: int) -> tuple[Written, dict[str, str]]:
        """One cell with one seed, up to its reports on test; and what its stages are worth on validate."""
        self.alone = f"{cell.id}, seed {seed}"
        trained = self.train(cell, record, seed)
        source = self.source(cell, record, trained, seed)
        written = self.write(cell, record, "test", trained, source, seed, self.experiment.metrics)
        return written, self.aurocs(cell, record, trained, seed)

    def floor(self, floor: Component, title: str, record: DataRecord, seed: int | None) -> str:
        asked = floor.asked_values()
        payload = {
            "floor": floor,
            "train": _both_sides(record, "train") if asked & {"train", "train_reports", "protocol"} else None,
            "validate": _both_sides(record, "validate") if "validate" in asked else None,
            "protocol": self.protocol if "protocol" in asked else None,
            "inputs": record.splits["test"].inputs,
        }
        self.alone = f"floor {title}, seed {seed}"
        folders = _folders(record, "train") | _folders(record, "validate") | _folders(record, "test")
        title = f"floor {title}" + (f", seed {seed}" if seed is not None else "")
        return self.add(Step("floor", title, payload, seed=seed, folders=folders, license=record.license))

    def row(
        self,
        about: Cell | Component,
        title: str,
        dataset: Component,
        record: DataRecord,
        runs: Mapping[int, Written],
        aurocs: Mapping[str, tuple[str, ...]] = MappingProxyType({}),
    ) -> RowPlan:
        """Scores of all seeds, and their intervals, metric by metric."""
        intervals: dict[str, str] = {}
        missing: dict[str, str] = {}
        self.alone = f"row {title}"
        for key, metric in self.metrics.items():
            if reason := _inapplicable(metric.value, about, record):
                missing |= dict.fromkeys(self.names[key].values(), reason)
                continue
            scores = tuple(self.score(record, "test", metric, written, title) for written in runs.values())
            payload = {"metric": metric, "inputs": record.splits["test"].inputs, "resamples": RESAMPLES}
            told = f"intervals of {metric.value.name} of {title}"
            intervals[key] = self.add(Step("intervals", told, payload, {"scores": scores}, license=record.license))
        select = self.experiment.select
        if self.derives(intervals.values()):
            record = record.model_copy(update={"license": "credentialed"})
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
            runs={seed: written.predictions for seed, written in runs.items()},
            not_applicable=missing,
            metrics={key: part.value for key, part in self.metrics.items()},
            names=self.names,
            aurocs=aurocs,
        )


def _all(cell: Cell) -> tuple[str, ...]:
    """What writing and embedding read of a cell's checkpoints."""
    embedding = (cell.reader, "head of embeddings") if cell.embeds else ()
    return (*cell.encoders, "fusion", "decoder", *embedding)


def _who(cell: Cell, stage: Stage) -> str:
    """For whom a stage trains: the cell, or a part of it that many cells share."""
    return cell.title if "fusion" in stage.modules else f"{', '.join(m for m in stage.modules if m != 'heads')} alone"


def _inapplicable(metric: Component, about: Cell | Component, record: DataRecord) -> str:
    """Why a metric does not apply; empty where it does."""
    needs = metric.attributes["needs"]
    if "embeddings" in needs:
        if not isinstance(about, Cell):
            return "a floor has no embeddings"
        if not about.embeds:
            return "no stage trains embeddings of films and reports"
    if "labels" in needs and not record.splits["test"].labels:
        return "the data set has no labels of its own"
    return ""


def _cuts(stage: Stage, studies: int) -> Iterator[tuple[int, int]]:
    epochs = stage.epochs(studies)
    rung = stage.config.rung or epochs
    for first in range(0, epochs, rung):
        yield first, min(first + rung, epochs)


def _both_sides(record: DataRecord, split: Split) -> dict[str, str]:
    return {"inputs": record.splits[split].inputs, "targets": record.splits[split].targets}


def _folders(record: DataRecord, split: Split) -> dict[str, str]:
    return {record.splits[split].inputs: record.folder} if split in record.splits else {}
