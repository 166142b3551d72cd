"""From axes to cells: which combinations a design asks for, and which of them the experiment excludes."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rrgbench.catalogue import did_you_mean
from rrgbench.cell import title_of
from rrgbench.errors import ConfigError, RRGBenchError, collect
from rrgbench.experiment.paths import ABSENT, get_path, set_path


@dataclass(frozen=True)
class Combination:
    """One cell to be: the values of the axes by path (none where base says nothing), and their labels by short name."""

    values: Mapping[str, Any]
    labels: Mapping[str, str]

    @property
    def title(self) -> str:
        """The combination for people."""
        return title_of(self.labels)

    def applied(self, base: Any) -> Any:
        """The base with the values of the axes in place, an axis inside of another after it.

        Raises:
            ConfigError: an axis leads nowhere.
        """
        for path, value in sorted(self.values.items(), key=lambda item: item[0].count(".")):
            if value is not None or not self._is_inside_nothing(path):
                base = set_path(base, path, value, f"axes.{path}")
        return base

    def _is_inside_nothing(self, path: str) -> bool:
        return any(value is None and path.startswith(f"{above}.") for above, value in self.values.items())


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
    if value is ABSENT:
        return "default"
    if isinstance(value, Mapping):
        options = ", ".join(f"{key}={_label(item)}" for key, item in value.items() if key != "name")
        name = str(value.get("name", ""))
        return f"{name}({options})" if options and name else name or f"{{{options}}}"
    return value if isinstance(value, str) else json.dumps(value)


def value_labels(values: Sequence[Any]) -> list[str]:
    """Short labels: a component's name (``set`` for a long mapping that is none) where that tells the values apart, else with its
    options, else as JSON."""
    short = [_short(value) for value in values]
    long = [_label(value) for value in values]
    for labels in (short, long):
        if len(set(labels)) == len(labels):
            return labels
    return [_label(value) if long.count(_label(value)) == 1 else _exact(value) for value in values]


def _short(value: Any) -> str:
    if not isinstance(value, Mapping):
        return _label(value)
    if isinstance(value.get("name"), str):
        return str(value["name"])
    label = _label(value)
    return label if len(label) <= _LONG else "set"


_LONG = 40
"""A mapping that is no component and whose label is longer (a whole stage) is ``set``, where that tells it apart."""


def _exact(value: Any) -> str:
    """One text for one value, a bare name standing for the component without options; true is not 1."""
    opened = {"name": value} if isinstance(value, str) else value
    return json.dumps(opened, sort_keys=True, default=repr)


def same(value: Any, other: Any) -> bool:
    """Equal, a bare name standing for the component without options, and nothing for null."""
    return _exact(None if value is ABSENT else value) == _exact(None if other is ABSENT else other)


def matches(rule: Any, value: Any) -> bool:
    """Whether a value is what an exclusion or a baseline says: the whole of it, or only the component's name."""
    return same(rule, value) or (isinstance(rule, str) and isinstance(value, Mapping) and value.get("name") == rule)


Values = dict[str, Any]


def _grid(axes: Mapping[str, Sequence[Any]], base: Any) -> list[Values]:
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


def _zip(axes: Mapping[str, Sequence[Any]], base: Any) -> list[Values]:
    lengths = {path: len(values) for path, values in axes.items()}
    if len(set(lengths.values())) > 1:
        got = ", ".join(f"{path} has {length}" for path, length in lengths.items())
        raise ConfigError("axes", got=got, expected="equally long axes in design zip")
    return [dict(zip(axes, values, strict=True)) for values in zip(*axes.values(), strict=True)]


def _one_at_a_time(axes: Mapping[str, Sequence[Any]], base: Any) -> list[Values]:
    start = {path: get_path(base, path) for path in axes}
    start |= {path: None for path, values in axes.items() if start[path] is ABSENT and None in values}
    changed = [
        start | {path: value} | ({inner: None for inner in axes if inner.startswith(f"{path}.")} if value is None else {})
        for path, values in axes.items()
        for value in values
        if not same(value, start[path])
    ]
    return [start, *changed]


def _leave_one_out(axes: Mapping[str, Sequence[Any]], base: Any) -> list[Values]:
    errors: list[RRGBenchError] = []
    for path, values in axes.items():
        if len(values) != 1 or same(values[0], get_path(base, path)):
            hint = "the one value that stands for the part left out, often null"
            errors.append(ConfigError(f"axes.{path}", got=list(values), expected="one value unlike base's", hint=hint))
    collect(errors)
    return _one_at_a_time(axes, base)


DESIGNS = {"grid": _grid, "zip": _zip, "one_at_a_time": _one_at_a_time, "leave_one_out": _leave_one_out}


def combinations(design: str, axes: Mapping[str, Sequence[Any]], base: Any) -> list[Combination]:
    """The cells of a design, in order, each once.

    Raises:
        ConfigError, ManyErrors: axes that do not suit the design.
    """
    if not axes:
        return [Combination({}, {})]
    names = short_names(list(axes))
    found: dict[tuple[str, ...], Values] = {}
    for cell in DESIGNS[design](axes, base):
        found.setdefault(tuple(_exact(value) for value in cell.values()), cell)
    cells = list(found.values())
    labels: dict[str, dict[str, str]] = {}
    for path in axes:
        distinct = {_exact(cell[path]): cell[path] for cell in cells}
        labels[path] = dict(zip(distinct, value_labels(list(distinct.values())), strict=True))
    return [
        Combination(
            {path: value for path, value in cell.items() if value is not ABSENT},
            {names[path]: labels[path][_exact(cell[path])] for path in axes},
        )
        for cell in cells
    ]


def where_matching(found: Sequence[Combination], rule: Mapping[str, Any], base: Any, where: str) -> list[int]:
    """The places of the cells that have all the values of a rule.

    Raises:
        ConfigError: none has; a path of the rule leads nowhere in any cell.
    """
    trees = [cell.applied(base) for cell in found]
    known = list(dict.fromkeys(path for cell in found for path in cell.values))
    for path in rule:
        if path not in known and all(get_path(tree, path) is ABSENT for tree in trees):
            raise ConfigError(f"{where}: no cell has anything at {path!r}", hint=f"the axes: {did_you_mean(path, known)}")
    hits = [i for i, tree in enumerate(trees) if all(matches(value, get_path(tree, path)) for path, value in rule.items())]
    if not hits:
        hint = "its keys are paths of the axes, its values theirs"
        raise ConfigError(f"{where} matches no cell", got=dict(rule), hint=hint)
    return hits


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
            got = "nothing" if because is None else repr(because)
            errors.append(ConfigError(f"{where}.because", got=got, expected="the reason, in words"))
            continue
        wanted = {path: value for path, value in rule.items() if path != "because"}
        if not wanted:
            errors.append(ConfigError(where, got="a reason alone", expected="the values of the cells that it leaves out"))
            continue
        try:
            for index in where_matching(found, wanted, base, where):
                left_out.setdefault(index, Excluded(found[index].labels, because.strip()))
        except RRGBenchError as error:
            errors.append(error)
    collect(errors)
    stay = [cell for index, cell in enumerate(found) if index not in left_out]
    if not stay:
        raise ConfigError("exclude", got="every cell excluded", expected="at least one that stays")
    return stay, [left_out[index] for index in sorted(left_out)]
