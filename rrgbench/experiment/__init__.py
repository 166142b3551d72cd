"""An experiment: one question, a base, axes, seeds and what is measured. Read from YAML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from rrgbench.catalogue import Catalogue, Component, did_you_mean
from rrgbench.cell import Cell, Strict, parse, resolve_cell
from rrgbench.errors import ConfigError, RRGBenchError, collect
from rrgbench.experiment.designs import Combination, Excluded, combinations, exclude, same, value_labels
from rrgbench.experiment.paths import get_path, set_path
from rrgbench.experiment.yaml import parse_yaml, read_yaml


class SelectConfig(Strict):
    """Which checkpoint is taken: the best value of a metric on validate. Never test."""

    metric: str
    split: Literal["validate"] = "validate"


class ExperimentConfig(Strict):
    """An experiment file."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$")]
    question: str = ""
    base: dict[str, Any]
    axes: dict[str, Annotated[list[Any], Field(min_length=1)]] = {}
    exclude: list[dict[str, Any]] = []
    seeds: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)] = [0]
    design: Literal["grid", "zip", "one_at_a_time", "leave_one_out"] = "grid"
    metrics: Annotated[list[Any], Field(min_length=1)]
    protocol: Any = "raw"
    select: SelectConfig | None = None
    floors: list[Any] = []
    baseline: dict[str, Any] = {}


@dataclass(frozen=True)
class Resolved:
    """An experiment with every component chosen: what a plan is made of."""

    name: str
    question: str
    cells: tuple[Cell, ...]
    excluded: tuple[Excluded, ...]
    seeds: tuple[int, ...]
    metrics: tuple[Component, ...]
    protocol: Component
    select: tuple[str, Component] | None
    floors: tuple[Component, ...]
    baseline: str | None


@dataclass(frozen=True)
class Experiment:
    """An experiment as it was written, with overrides applied."""

    config: ExperimentConfig
    where: str

    @classmethod
    def load(cls, path: str | Path, overrides: Sequence[str] = ()) -> Experiment:
        """Read an experiment file; ``overrides`` are ``dotted.path=value`` (the value is YAML).

        Raises:
            ConfigError, ManyErrors: unreadable, or not an experiment.
        """
        path = Path(path)
        return cls.of(read_yaml(path), str(path), overrides)

    @classmethod
    def of(cls, raw: Any, where: str = "experiment", overrides: Sequence[str] = ()) -> Experiment:
        """An experiment from plain data.

        Raises:
            ConfigError, ManyErrors: it is not an experiment.
        """
        if not isinstance(raw, Mapping):
            raise ConfigError(where, got=type(raw).__name__, expected="a mapping with name, base, axes, metrics ..")
        for override in overrides:
            path, sign, text = override.partition("=")
            if not sign or not path.strip():
                raise ConfigError("--set", got=repr(override), expected="dotted.path=value")
            raw = set_path(raw, path.strip(), parse_yaml(text, f"--set {path}"), "--set")
        config: ExperimentConfig = parse(ExperimentConfig, raw, where)
        if len(set(config.seeds)) != len(config.seeds):
            raise ConfigError(f"{where}.seeds", got=config.seeds, expected="each seed once")
        return cls(config, where)

    def resolve(self, catalogue: Catalogue) -> Resolved:
        """Choose every component of every cell.

        Raises:
            ConfigError, PluginError, ManyErrors: every mistake of every cell, before anything runs.
        """
        config = self.config
        errors: list[RRGBenchError] = []
        found = combinations(config.design, config.axes, config.base)
        found, excluded = exclude(found, config.exclude, config.base)
        cells = _Collected(errors)
        for combination in found:
            cells.add(lambda combination=combination: self._cell(catalogue, combination))
        metrics = _Collected(errors)
        for index, value in enumerate(config.metrics):
            metrics.add(lambda index=index, value=value: catalogue.resolve("metrics", value, f"metrics[{index}]"))
        floors = _Collected(errors)
        for index, value in enumerate(config.floors):
            floors.add(lambda index=index, value=value: catalogue.resolve("floors", value, f"floors[{index}]"))
        protocols = _Collected(errors)
        protocols.add(lambda: catalogue.resolve("protocols", config.protocol, "protocol"))
        select = _Collected(errors)
        if config.select and len(metrics.items) == len(config.metrics):
            select.add(lambda: _select(config.select, metrics.items))
        baseline = _Collected(errors)
        baseline.add(lambda: self._baseline(found))
        collect(errors)
        return Resolved(
            name=config.name,
            question=config.question,
            cells=tuple({cell.id: cell for cell in reversed(cells.items)}.values())[::-1],
            excluded=tuple(excluded),
            seeds=tuple(config.seeds),
            metrics=tuple(metrics.items),
            protocol=protocols.items[0],
            select=select.items[0] if select.items else None,
            floors=tuple(floors.items),
            baseline=baseline.items[0],
        )

    def _cell(self, catalogue: Catalogue, combination: Combination) -> Cell:
        raw: Any = self.config.base
        for path, value in combination.values.items():
            raw = set_path(raw, path, value, f"axes.{path}")
        title = ", ".join(f"{axis}={label}" for axis, label in combination.labels.items())
        try:
            return resolve_cell(catalogue, raw, combination.labels)
        except RRGBenchError as error:
            error.add_note(title)
            raise

    def _baseline(self, found: Sequence[Combination]) -> str | None:
        """The title of the cell that others are compared with."""
        if not self.config.baseline:
            return None
        for cell in found:
            values = cell.values
            if all(
                same(value, values[path] if path in values else get_path(self.config.base, path))
                or same(value, _named(values.get(path)))
                for path, value in self.config.baseline.items()
            ):
                return ", ".join(f"{axis}={label}" for axis, label in cell.labels.items())
        raise ConfigError(
            "baseline matches no cell", got=self.config.baseline, hint=f"the axes are {', '.join(self.config.axes)}"
        )


def _named(value: Any) -> Any:
    return value.get("name") if isinstance(value, Mapping) else value


class _Collected:
    """Items that could be made; the mistakes of the others go to one list."""

    def __init__(self, errors: list[RRGBenchError]) -> None:
        self.items: list[Any] = []
        self.errors = errors

    def add(self, make: Any) -> None:
        try:
            self.items.append(make())
        except RRGBenchError as error:
            self.errors.append(error)


def _select(select: SelectConfig | None, metrics: Sequence[Component]) -> tuple[str, Component]:
    assert select is not None
    known = {name: metric for metric in metrics for name in metric.attributes["values"]}
    if select.metric not in known:
        raise ConfigError("select.metric", got=select.metric, hint=did_you_mean(select.metric, list(known)))
    if known[select.metric].attributes["values"][select.metric] == "neither":
        raise ConfigError("select.metric", got=select.metric, expected="a value of which one way is better")
    return select.metric, known[select.metric]


__all__ = ["Experiment", "ExperimentConfig", "Resolved", "value_labels"]
