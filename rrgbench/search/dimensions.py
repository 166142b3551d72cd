"""What a search may change: dimensions over the values of a cell, some of which exist only beside a certain component."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rrgbench.catalogue import Spec, words
from rrgbench.experiment import value_labels
from rrgbench.experiment.paths import set_path

Parameters = Mapping[str, Any]
"""Dimension -> what a trial has there: the label of a choice, or a number. Dimensions that do not apply are not in it."""


@dataclass(frozen=True)
class Dimension:
    """One thing that a trial decides: one of several values, or a number.

    ``name`` is unique, ``path`` is where the value stands in a cell. ``when``: the dimension and the label of it that this one
    needs, as the options of a component need the component.
    """

    name: str
    path: str
    choices: tuple[Any, ...] = ()
    labels: tuple[str, ...] = ()
    low: float = 0
    high: float = 0
    step: float | None = None
    log: bool = False
    whole: bool = False
    when: tuple[str, str] | None = None
    declared: bool = False
    """Whether it was read from a component's signature, and not from the search file."""

    def applies(self, parameters: Parameters) -> bool:
        """Whether a trial with these parameters has it."""
        return self.when is None or parameters.get(self.when[0]) == self.when[1]

    def value(self, told: Any) -> Any:
        """What a cell has at the path for a trial's parameter."""
        return self.choices[self.labels.index(told)] if self.labels else told

    def extremes(self) -> tuple[Any, ...]:
        """The parameters that a check tries: every label, or both ends."""
        return self.labels or (self.low, self.high)

    def words(self) -> str:
        """Its values for people."""
        if self.labels:
            return " | ".join(self.labels)
        more = (", log" if self.log else "") + (f", step {self.step:g}" if self.step else "")
        return f"{'int' if self.whole else 'float'} {self.low:g} .. {self.high:g}{more}"

    def counted(self) -> dict[str, Any]:
        """What makes it another dimension if it changes, as JSON data."""
        numbers = {"low": self.low, "high": self.high, "step": self.step, "log": self.log, "whole": self.whole}
        what = {"choices": list(self.choices), "labels": list(self.labels)} if self.labels else numbers
        return {"path": self.path, "when": list(self.when or ()), **what}


@dataclass(frozen=True)
class Left:
    """An option of a searched component, or a component, that the search leaves as it is, and why."""

    name: str
    why: str


@dataclass(frozen=True)
class Space:
    """Every dimension of a search, those that need another after it."""

    dimensions: tuple[Dimension, ...]
    left: tuple[Left, ...] = ()

    def first(self, chosen: Parameters) -> dict[str, Any]:
        """The parameters of the trial that takes the first of everything, but for what is chosen."""
        parameters: dict[str, Any] = {}
        for dimension in self.dimensions:
            if dimension.applies(parameters):
                parameters[dimension.name] = chosen.get(dimension.name, dimension.extremes()[0])
        return parameters

    def cell(self, base: Any, parameters: Parameters) -> Any:
        """The base with a trial's values in place.

        Raises:
            ConfigError: a path leads nowhere.
        """
        for dimension in self.dimensions:
            if dimension.name in parameters:
                base = set_path(base, dimension.path, dimension.value(parameters[dimension.name]), f"space.{dimension.name}")
        return base

    def values(self, parameters: Parameters) -> dict[str, Any]:
        """Parameters as data: plain values as they are, components and other structures by their labels."""
        named = {d.name: (d.value(parameters[d.name]), parameters[d.name]) for d in self.dimensions if d.name in parameters}
        return {name: told if isinstance(value, (Mapping, list)) else value for name, (value, told) in named.items()}

    def told(self, parameters: Parameters) -> str:
        """Parameters for people, in the order of the dimensions."""
        named = ((d.name, parameters[d.name]) for d in self.dimensions if d.name in parameters)
        return ", ".join(f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value}" for name, value in named)


def declared_dimensions(
    spec: Spec, place: str, component: tuple[str, str], fixed: Mapping[str, Any]
) -> tuple[list[Dimension], list[Left]]:
    """The options of a component that its signature bounds, as dimensions; the others, and why they keep their defaults.

    Args:
        spec: the component.
        place: where it stands in a cell.
        component: the dimension that chooses it, and its label there.
        fixed: options that the search file gives.
    """
    taken: list[Dimension] = []
    left: list[Left] = []
    for option in spec.options:
        name = f"{component[0]}.{component[1]}.{option.name}"
        if option.name in fixed:
            left.append(Left(name, "given in the search file"))
            continue
        found = _bounded(option.tree)
        if isinstance(found, str):
            left.append(Left(name, found))
        else:
            taken.append(Dimension(name=name, path=f"{place}.{option.name}", when=component, declared=True, **found))
    return taken, left


def _bounded(tree: Mapping[str, Any]) -> dict[str, Any] | str:
    """The values of an option whose type bounds them; else why not."""
    what = tree["type"]
    if what == "bool":
        return {"choices": (False, True), "labels": ("false", "true")}
    if what == "literal":
        choices = tuple(tree["values"])
        return {"choices": choices, "labels": labels_of(choices)} if len(choices) > 1 else "it has one value"
    if what not in ("int", "float") or (what == "float" and "multiple_of" in tree):
        return f"no range can be read from: {words(dict(tree))}"
    low, high = _limit(tree, "ge", "gt", math.inf), _limit(tree, "le", "lt", -math.inf)
    if low is None or high is None:
        return f"not bounded: {words(dict(tree))}"
    step = tree.get("multiple_of") if what == "int" else None
    if step:
        low, high = math.ceil(low / step) * step, math.floor(high / step) * step
    if low >= high:
        return "it has one value"
    return {"low": low, "high": high, "step": step, "whole": what == "int"}


def _limit(tree: Mapping[str, Any], inside: str, outside: str, towards: float) -> float | None:
    """The outermost value that a type allows on one side; an open end is one step away from it."""
    if inside in tree:
        return int(tree[inside]) if tree["type"] == "int" else float(tree[inside])
    if outside not in tree:
        return None
    if tree["type"] == "int":
        return int(tree[outside]) + (1 if towards > 0 else -1)
    return math.nextafter(float(tree[outside]), towards)


def labels_of(values: tuple[Any, ...]) -> tuple[str, ...]:
    """A word or two for each value."""
    return tuple(value_labels(list(values)))
