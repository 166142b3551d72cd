"""A search with every component chosen and every mistake told: what trials are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

from rrgbench.catalogue import Catalogue, Component, did_you_mean
from rrgbench.cell import Cell, identity_of, resolve_cell
from rrgbench.errors import ConfigError, ManyErrors, RRGBenchError, collect, placed
from rrgbench.experiment import Experiment, Resolved
from rrgbench.identity import digest
from rrgbench.search.config import Search, SearchConfig
from rrgbench.search.dimensions import Dimension, Parameters, Space
from rrgbench.search.space import read_space

T = TypeVar("T")


@dataclass(frozen=True)
class Objective:
    """What is searched for: a metric's value on validate. ``written`` is the metric as the file has it."""

    value: str
    better: str
    written: Any
    metric: Component


@dataclass(frozen=True)
class ResolvedSearch:
    """A search that can run."""

    config: SearchConfig
    where: str
    space: Space
    objective: Objective
    start: Cell
    """The cell of the first value of every dimension."""
    code: Mapping[str, str]
    """Every component that a trial may be made of -> its content version."""

    def trial(self, catalogue: Catalogue, number: int, parameters: Parameters) -> Resolved:
        """The experiment of one trial: one cell, judged by the objective alone.

        Raises:
            ConfigError, PluginError, ManyErrors: the values do not go together.
        """
        base = self.space.cell(self.config.base, parameters)
        raw = self.config.experiment(base, [self.objective.written], self.config.seeds)
        resolved = Experiment.of(raw, f"trial {number}").resolve(catalogue)
        (cell,) = resolved.cells
        return replace(resolved, cells=(replace(cell, labels={"trial": str(number)}),))

    def exported(self, parameters: Parameters) -> dict[str, Any]:
        """The experiment that runs a trial's cell over fresh seeds, as plain data."""
        config = self.config
        raw = config.experiment(
            self.space.cell(config.base, parameters), config.best.metrics or config.metrics, config.fresh_seeds()
        )
        return raw | {"name": f"{config.name[:75]}-best", "question": config.question, "floors": list(config.best.floors)}

    def counted(self) -> dict[str, str]:
        """What decides the trials, by the words of the file: a digest each."""
        config = self.config
        base = dict(config.base)
        if isinstance(base.get("dataset"), Mapping):
            base["dataset"] = {key: value for key, value in base["dataset"].items() if key != "root"}
        return {
            "base": digest(base),
            **{f"space.{dimension.name}": digest(dimension.counted()) for dimension in self.space.dimensions},
            "seeds": digest(config.seeds),
            "objective": digest([self.objective.value, self.objective.metric.identity()["options"]]),
            "protocol": digest(config.protocol),
            "pruner": digest(config.pruner and config.pruner.model_dump()),
            "sampler": digest(config.sampler.model_dump()),
            **{f"the code of {name}": version for name, version in self.code.items()},
        }


class _Checker:
    """Looks for every mistake of a search before anything runs."""

    def __init__(self, catalogue: Catalogue, search: Search) -> None:
        self.catalogue, self.config, self.where = catalogue, search.config, search.where
        self.errors: list[RRGBenchError] = []
        self.code: dict[str, str] = {}
        self.space = Space(())

    def attempt(self, make: Callable[[], T]) -> T | None:
        try:
            return make()
        except RRGBenchError as error:
            self.errors.append(placed(error, f"{self.where}: "))
            return None

    def component(self, kind: str, value: Any, place: str) -> Component | None:
        return self.attempt(partial(self.catalogue.resolve, kind, value, place))

    def cell(self, parameters: Parameters) -> tuple[Cell | None, dict[str, RRGBenchError]]:
        """The cell of a trial, or its mistakes by their text."""
        try:
            cell = resolve_cell(self.catalogue, self.space.cell(self.config.base, parameters), {})
        except RRGBenchError as error:
            return None, {str(one): one for one in (error.errors if isinstance(error, ManyErrors) else (error,))}
        self.code |= dict(_versions(identity_of(cell.payload())))
        return cell, {}

    def dimensions(self) -> Cell | None:
        """Try every value of every dimension beside the first of the others; the cell of the first of all."""
        self.space, errors = read_space(self.catalogue, self.config.space)
        self.errors += [placed(error, f"{self.where}: ") for error in errors]
        self.space = every = replace(self.space, dimensions=tuple(map(self.numeric, self.space.dimensions)))
        start, known = self.cell(self.space.first({}))
        while wrong := {name for error in known.values() if (name := self.culprit(error))}:
            self.space = _without(self.space, wrong)
            start, known = self.cell(self.space.first({}))
        self.errors += [placed(error, f"{self.where}: base.") for error in known.values()]
        sound = {dimension.name for dimension in self.space.dimensions}
        for dimension in every.dimensions:
            if dimension.when is None or dimension.when[0] in sound:
                self.space = _without(every, {d.name for d in every.dimensions} - sound - {dimension.name})
                found = [error for told in dimension.extremes() for error in self.fresh(dimension, told, known)]
                self.errors += [placed(_in_space(error, dimension), f"{self.where}: ") for error in found]
        self.space = every
        return start

    def fresh(self, dimension: Dimension, told: Any, known: Mapping[str, RRGBenchError]) -> list[RRGBenchError]:
        """The mistakes that one value of a dimension brings."""
        _, found = self.cell(self.beside(dimension, told))
        return [error for text, error in found.items() if text not in known]

    def beside(self, dimension: Dimension, told: Any) -> dict[str, Any]:
        return self.space.first(dict([dimension.when] if dimension.when else []) | {dimension.name: told})

    def numeric(self, dimension: Dimension) -> Dimension:
        """A range between whole numbers is one of floats where the place takes floats, too."""
        if not dimension.whole or dimension.declared:
            return dimension
        _, whole = self.cell(self.beside(dimension, dimension.low))
        _, between = self.cell(self.beside(dimension, dimension.low + 0.5))
        return replace(dimension, whole=not between.keys() <= whole.keys())

    def culprit(self, error: RRGBenchError) -> str | None:
        """The dimension whose first value is a mistake of the first cell; None where the mistake is in base."""
        first = self.space.first({})
        present = [dimension for dimension in self.space.dimensions if dimension.name in first]
        inside = [d for d in present if _covers(d.path, error.what) or error.what.startswith(f"space.{d.name}:")]
        if inside:
            return max(inside, key=lambda d: len(d.path)).name
        for dimension in present:
            fewer = {name: value for name, value in first.items() if not f"{name}.".startswith(f"{dimension.name}.")}
            if str(error) not in self.cell(fewer)[1]:
                return dimension.name
        return None

    def objective(self) -> Objective | None:
        """The metric that has the objective's value."""
        config, value = self.config, self.config.objective.metric
        found = [self.component("metrics", item, f"metrics[{place}]") for place, item in enumerate(config.metrics)]
        pairs = [(raw, metric) for raw, metric in zip(config.metrics, found, strict=True) if metric is not None]
        hit = next(((raw, metric) for raw, metric in pairs if value in metric.attributes["values"]), None)
        if hit is None:
            if len(pairs) == len(found):
                known = [name for _, metric in pairs for name in metric.attributes["values"]]
                self.fail("objective.metric", got=repr(value), hint=did_you_mean(value, known))
            return None
        better = hit[1].attributes["values"][value]
        if better == "neither":
            self.fail("objective.metric", got=value, expected="a value of which one way is better")
            return None
        return Objective(value, better, *hit)

    def best(self) -> None:
        """What the exported experiment asks for."""
        for place, floor in enumerate(self.config.best.floors):
            self.component("floors", floor, f"best.floors[{place}]")
        if self.config.best.metrics is None:
            return
        items = enumerate(self.config.best.metrics)
        found = [self.component("metrics", item, f"best.metrics[{place}]") for place, item in items]
        value = self.config.objective.metric
        if None not in found and not any(value in metric.attributes["values"] for metric in found if metric):
            self.fail("best.metrics", got=f"none has {value}", expected="the objective among them: it chooses the checkpoint")

    def fail(self, what: str, **told: Any) -> None:
        self.errors.append(ConfigError(f"{self.where}: {what}", **told))


def resolve_search(search: Search, catalogue: Catalogue) -> ResolvedSearch:
    """Choose every component of a search.

    Raises:
        ConfigError, PluginError, ManyErrors: every mistake, before any trial.
    """
    checker = _Checker(catalogue, search)
    start = checker.dimensions()
    objective = checker.objective()
    if search.config.protocol is not None:
        checker.component("protocols", search.config.protocol, "protocol")
    checker.best()
    collect(checker.errors)
    assert start and objective
    found = ResolvedSearch(search.config, search.where, checker.space, objective, start, {})
    protocol = found.trial(catalogue, 0, found.space.first({})).protocol
    versions = checker.code | dict(_versions([objective.metric.identity(), protocol.identity()]))
    return replace(found, code=dict(sorted(versions.items())))


def _without(space: Space, names: set[str]) -> Space:
    """A space without these dimensions, and those that need them."""
    kept = [d for d in space.dimensions if d.name not in names and (d.when is None or d.when[0] not in names)]
    return replace(space, dimensions=tuple(kept))


def _covers(path: str, what: str) -> bool:
    place = what.partition(":")[0].partition("[")[0]
    return f"{place}.".startswith(f"{path}.")


def _in_space(error: RRGBenchError, dimension: Dimension) -> RRGBenchError:
    """A mistake that a dimension brings, under the dimension's name."""
    if error.what.startswith("space."):
        return error
    if not _covers(dimension.path, error.what):
        return placed(error, f"space.{dimension.name}: ")
    what = f"space.{dimension.name}{error.what[len(dimension.path) :]}"
    return type(error)(what, got=error.got, expected=error.expected, hint=error.hint)


def _versions(identity: Any) -> Iterator[tuple[str, str]]:
    """Every component in an identity, and its content version."""
    if isinstance(identity, Mapping):
        if {"kind", "name", "distribution", "version"} <= identity.keys():
            yield f"{identity['kind']}/{identity['distribution']}/{identity['name']}", str(identity["version"])
        for item in identity.values():
            yield from _versions(item)
    elif isinstance(identity, Sequence) and not isinstance(identity, str):
        for item in identity:
            yield from _versions(item)
