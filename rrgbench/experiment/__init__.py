"""An experiment: one question, a base, axes, seeds and what is measured. Read from YAML."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field

from rrgbench.catalogue import Catalogue, Component, did_you_mean
from rrgbench.cell import Cell, resolve_cell
from rrgbench.errors import ConfigError, ManyErrors, RRGBenchError, collect, placed
from rrgbench.experiment.designs import Combination, Excluded, combinations, exclude, value_labels, where_matching
from rrgbench.experiment.paths import ABSENT, get_path, set_path
from rrgbench.experiment.yaml import parse_yaml, read_yaml
from rrgbench.identity import digest
from rrgbench.strict import Strict, parse

T = TypeVar("T")


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
    seeds: Annotated[list[Annotated[int, Field(ge=0, lt=2**63)]], Field(min_length=1)] = [0]
    design: Literal["grid", "zip", "one_at_a_time", "leave_one_out"] = "grid"
    metrics: Annotated[list[Any], Field(min_length=1)]
    protocol: Any = "raw"
    select: SelectConfig | None = None
    floors: list[Any] = []
    baseline: dict[str, Any] | Literal["base"] = {}
    profiles: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$")], dict[str, Any]] = {}
    """Name -> dotted path -> value: the same question at other sizes."""


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
    def load(cls, path: str | Path, overrides: Sequence[str] = (), profile: str | None = None) -> Experiment:
        """Read an experiment file; ``overrides`` are ``dotted.path=value`` (the value is YAML), set after those of the profile.

        Raises:
            ConfigError, ManyErrors: unreadable, or not an experiment.
        """
        path = Path(path)
        return cls.of(read_yaml(path), str(path), overrides, profile)

    @classmethod
    def of(cls, raw: Any, where: str = "experiment", overrides: Sequence[str] = (), profile: str | None = None) -> Experiment:
        """An experiment from plain data. Under a profile its name is ``name.profile``, so that rows of both stay apart.

        Raises:
            ConfigError, ManyErrors: it is not an experiment, or it has no such profile.
        """
        if not isinstance(raw, Mapping):
            raise ConfigError(where, got=type(raw).__name__, expected="a mapping with name, base, axes, metrics ..")
        if profile is not None:
            raw = _profiled(raw, where, profile)
        for override in overrides:
            path, sign, text = override.partition("=")
            if not sign or not path.strip():
                raise ConfigError("--set", got=repr(override), expected="dotted.path=value")
            raw = set_path(raw, path.strip(), parse_yaml(text, f"--set {path.strip()}"), f"--set {override}")
        config: ExperimentConfig = parse(ExperimentConfig, raw, where)
        if len(set(config.seeds)) != len(config.seeds):
            raise ConfigError(f"{where}: seeds", got=config.seeds, expected="each seed once")
        for override in overrides:
            _reaches_a_cell(config, override)
        return cls(config, where)

    def resolve(self, catalogue: Catalogue) -> Resolved:
        """Choose every component of every cell.

        Raises:
            ConfigError, PluginError, ManyErrors: every mistake of every cell, before anything runs.
        """
        config, attempt = self.config, _Attempt(self.where)
        designed = attempt(lambda: combinations(config.design, config.axes, config.base)) or []
        split = attempt(lambda: exclude(designed, config.exclude, config.base)) if designed else None
        found, excluded = split or (designed or [Combination({}, {})], [])  # base's mistakes are told all the same
        made = [attempt(partial(self._cell, catalogue, combination)) for combination in found]
        cells = [cell for cell in made if cell is not None]
        metrics = self._chosen(attempt, catalogue, "metrics", config.metrics)
        floors = self._chosen(attempt, catalogue, "floors", config.floors)
        protocol = attempt(lambda: catalogue.resolve("protocols", config.protocol, "protocol"))
        select = attempt(lambda: _select(config.select, metrics)) if len(metrics) == len(config.metrics) else None
        distinct = _distinct(cells, lambda cell: cell.id)
        if config.design == "leave_one_out" and len(distinct) < len(cells):
            attempt(lambda: _nothing_left_out(cells))
        baseline = attempt(lambda: self._baseline(found)) if split else None
        collect(attempt.errors)
        assert protocol is not None
        return Resolved(
            name=config.name,
            question=config.question,
            cells=tuple(distinct.values()),
            excluded=tuple(excluded),
            seeds=tuple(config.seeds),
            metrics=tuple(_distinct(metrics, _identity).values()),
            protocol=protocol,
            select=select,
            floors=tuple(_distinct(floors, _identity).values()),
            baseline=None if baseline is None else distinct[cells[baseline].id].title,
        )

    @staticmethod
    def _chosen(attempt: _Attempt, catalogue: Catalogue, kind: str, values: Sequence[Any]) -> list[Component]:
        found = (attempt(partial(catalogue.resolve, kind, value, f"{kind}[{place}]")) for place, value in enumerate(values))
        return [component for component in found if component is not None]

    def _cell(self, catalogue: Catalogue, combination: Combination) -> Cell:
        raw = combination.applied(self.config.base)
        try:
            return resolve_cell(catalogue, raw, combination.labels)
        except ManyErrors as error:
            raise ManyErrors([self._written(one) for one in error.errors]) from error
        except RRGBenchError as error:
            raise self._written(error) from error

    def _written(self, error: RRGBenchError) -> RRGBenchError:
        """A mistake at the place in the file where its value was written: an axis, or base."""
        place = re.split(r"[^\w.-]", error.what, maxsplit=1)[0]
        inside = any(f"{place}.".startswith(f"{axis}.") for axis in self.config.axes)
        above = any(axis.startswith(f"{place}.") for axis in self.config.axes) and get_path(self.config.base, place) is ABSENT
        return placed(error, "axes." if inside or above else "base.")

    def _baseline(self, found: Sequence[Combination]) -> int | None:
        """The place of the cell that others are compared with."""
        rule = self.config.baseline
        if not rule:
            return None
        if rule == "base":
            if self.config.design not in ("one_at_a_time", "leave_one_out"):
                expected = "values of axes: this design has no cell that is base unchanged"
                raise ConfigError(f"baseline in design {self.config.design}", got="base", expected=expected)
            values = {path: get_path(self.config.base, path) for path in self.config.axes}
            rule = {path: None if value is ABSENT else value for path, value in values.items()}
        hits = where_matching(found, rule, self.config.base, "baseline")
        if len(hits) > 1:
            titles = " | ".join(found[hit].title for hit in hits[:3])
            raise ConfigError(f"baseline matches {len(hits)} cells", got=titles, expected="one", hint="name the other axes too")
        return hits[0]


def _profiled(raw: Mapping[str, Any], where: str, profile: str) -> Any:
    """The experiment with the values of a profile in their places."""
    written: ExperimentConfig = parse(ExperimentConfig, raw, where)
    if profile not in written.profiles:
        known = ", ".join(written.profiles) or "none"
        hint = did_you_mean(profile, list(written.profiles)) if written.profiles else ""
        raise ConfigError(f"{where} has no profile {profile!r}", expected=f"of its profiles: {known}", hint=hint)
    made: Any = {**raw, "name": f"{written.name}.{profile}"}
    for path, value in written.profiles[profile].items():
        made = set_path(made, path, value, f"{where}: profiles.{profile}.{path}")
    return made


class _Attempt:
    """Does what may be a mistake, keeping every mistake and saying in which file it is."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.errors: list[RRGBenchError] = []

    def __call__(self, make: Callable[[], T]) -> T | None:
        try:
            return make()
        except RRGBenchError as error:
            self.errors.append(placed(error, f"{self.where}: "))
            return None


def _reaches_a_cell(config: ExperimentConfig, override: str) -> None:
    """An override of something in base that an axis replaces in every cell would change nothing, and say nothing.

    Raises:
        ConfigError: it is one.
    """
    place = override.partition("=")[0].strip().removeprefix("base.")
    for axis in config.axes:
        if config.design in ("grid", "zip") and override.startswith("base.") and f"{place}.".startswith(f"{axis}."):
            hint = f"set axes.{axis} instead"
            raise ConfigError(f"--set {override}: no cell would see it, since the axis {axis} replaces base.{axis}", hint=hint)


def _distinct(items: Iterable[T], key: Callable[[T], str]) -> dict[str, T]:
    """The first item of each key, in order."""
    found: dict[str, T] = {}
    for item in items:
        found.setdefault(key(item), item)
    return found


def _identity(component: Component) -> str:
    return digest(component.identity())


def _nothing_left_out(cells: Sequence[Cell]) -> None:
    """A cell without one part that is the cell with it: base did not have it."""
    taken: dict[str, Cell] = {}
    for cell in cells:
        other = taken.setdefault(cell.id, cell)
        if other is not cell:
            raise ConfigError("axes", got=f"{cell.title} is the same cell as {other.title}", expected="a value unlike base's")


def _select(select: SelectConfig | None, metrics: Sequence[Component]) -> tuple[str, Component] | None:
    if select is None:
        return None
    known = {name: metric for metric in reversed(metrics) for name in metric.attributes["values"]}
    if select.metric not in known:
        raise ConfigError("select.metric", got=repr(select.metric), hint=did_you_mean(select.metric, list(known)))
    if known[select.metric].attributes["values"][select.metric] == "neither":
        raise ConfigError("select.metric", got=select.metric, expected="a value of which one way is better")
    return select.metric, known[select.metric]


__all__ = ["Experiment", "ExperimentConfig", "Resolved", "value_labels"]
