"""From axes to cells: which combinations a design asks for, and which of them the experiment excludes."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rrgbench.errors import ConfigError, RRGBenchError, collect
from rrgbench.experiment.paths import get_path


@dataclass(frozen=True)
class Combination:
    """One cell to be: the values of the axes by path, and their labels by short name."""

    values: Mapping[str, Any]
    labels: Mapping[str, str]


@dataclass(frozen=True)
class Excluded:
    """A cell that the experiment leaves out, and why."""

    labels: Mapping[str, str]
    because: str


def short_names(paths: Sequence[str]) -> dict[str, str]:
    """The shortest tail of each path that is not also a tail of another."""
    names = {}
    for path in paths:
        parts = path.split(".")
        for length in range(1, len(parts) + 1):
            tail = ".".join(parts[-length:])
            if sum(other == tail or other.endswith(f".{tail}") for other in paths) == 1:
                break
        names[path] = tail
    return names


def _label(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, Mapping):
        options = ", ".join(f"{key}={_label(item)}" for key, item in value.items() if key != "name")
        name = str(value.get("name", ""))
        return f"{name}({options})" if options and name else name or f"{{{options}}}"
    return value if isinstance(value, str) else json.dumps(value)


def value_labels(values: Sequence[Any]) -> list[str]:
    """Short labels: a component's name where that tells the values apart, else with its options."""
    short = [str(v["name"]) if isinstance(v, Mapping) and isinstance(v.get("name"), str) else _label(v) for v in values]
    return short if len(set(short)) == len(short) else [_label(value) for value in values]


def _grid(axes: Mapping[str, Sequence[Any]], base: Any) -> list[dict[str, Any]]:
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


def _zip(axes: Mapping[str, Sequence[Any]], base: Any) -> list[dict[str, Any]]:
    lengths = {path: len(values) for path, values in axes.items()}
    if len(set(lengths.values())) > 1:
        raise ConfigError("axes", got=lengths, expected="equally long axes in design zip")
    return [dict(zip(axes, values, strict=True)) for values in zip(*axes.values(), strict=True)]


def _one_at_a_time(axes: Mapping[str, Sequence[Any]], base: Any) -> list[dict[str, Any]]:
    start = {path: get_path(base, path) for path in axes}
    changed = [start | {path: value} for path, values in axes.items() for value in values if not same(value, start[path])]
    return [start, *changed]


def _leave_one_out(axes: Mapping[str, Sequence[Any]], base: Any) -> list[dict[str, Any]]:
    for path, values in axes.items():
        if len(values) != 1 or same(values[0], get_path(base, path)):
            hint = "the one value that stands for the part left out, often null"
            raise ConfigError(f"axes.{path}", got=list(values), expected="one value unlike base's", hint=hint)
    return _one_at_a_time(axes, base)


DESIGNS = {"grid": _grid, "zip": _zip, "one_at_a_time": _one_at_a_time, "leave_one_out": _leave_one_out}


def same(value: Any, other: Any) -> bool:
    """Equal, a bare name standing for the component without options."""

    def opened(item: Any) -> Any:
        return {"name": item} if isinstance(item, str) else item

    return bool(opened(value) == opened(other))


def _matches(rule: Any, value: Any) -> bool:
    """A rule names the whole value, or only the component."""
    return same(rule, value) or (isinstance(rule, str) and isinstance(value, Mapping) and value.get("name") == rule)


def combinations(design: str, axes: Mapping[str, Sequence[Any]], base: Any) -> list[Combination]:
    """The cells of a design, in order, each once.

    Raises:
        ConfigError: axes that do not suit the design.
    """
    if not axes:
        return [Combination({}, {})]
    names = short_names(list(axes))
    found: list[dict[str, Any]] = []
    for values in DESIGNS[design](axes, base):
        if values not in found:
            found.append(values)
    labels: dict[str, list[tuple[Any, str]]] = {}
    for path in axes:
        distinct: list[Any] = []
        for values in found:
            if values[path] not in distinct:
                distinct.append(values[path])
        labels[path] = list(zip(distinct, value_labels(distinct), strict=True))
    return [
        Combination(values, {names[path]: next(label for value, label in labels[path] if value == values[path]) for path in axes})
        for values in found
    ]


def exclude(
    found: Sequence[Combination], rules: Sequence[Mapping[str, Any]], base: Any
) -> tuple[list[Combination], list[Excluded]]:
    """Split the cells into those that stay and those that a rule leaves out.

    Raises:
        ConfigError, ManyErrors: a rule without a reason, or one that matches nothing.
    """
    errors: list[RRGBenchError] = []
    left_out: dict[int, Excluded] = {}
    for number, rule in enumerate(rules):
        where = f"exclude[{number}]"
        because = rule.get("because")
        if not isinstance(because, str) or not because.strip():
            errors.append(ConfigError(f"{where}.because", got=repr(because), expected="the reason, in words"))
            continue
        wanted = {path: value for path, value in rule.items() if path != "because"}
        matched = [
            index
            for index, cell in enumerate(found)
            if wanted and all(_matches(v, cell.values[p] if p in cell.values else get_path(base, p)) for p, v in wanted.items())
        ]
        if not matched:
            errors.append(
                ConfigError(f"{where} matches no cell", got=wanted, hint="its keys are paths of the axes, its values theirs")
            )
        for index in matched:
            left_out.setdefault(index, Excluded(found[index].labels, because.strip()))
    collect(errors)
    stay = [cell for index, cell in enumerate(found) if index not in left_out]
    if not stay:
        raise ConfigError("exclude", got="every cell excluded", expected="at least one that stays")
    return stay, [left_out[index] for index in sorted(left_out)]
