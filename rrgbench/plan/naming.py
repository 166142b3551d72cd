"""What metrics, their values and floors are called in a row: a number or their options where a name stands twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rrgbench.catalogue import Component
from rrgbench.cell import identity_of
from rrgbench.experiment import value_labels


def metric_keys(metrics: Sequence[Component]) -> dict[str, Component]:
    """Metrics by their names; with a number where one stands twice, with other options."""
    found: dict[str, Component] = {}
    for metric in metrics:
        earlier = sum(other.name == metric.name for other in found.values())
        found[f"{metric.name}#{earlier + 1}" if earlier else metric.name] = metric
    return found


def value_names(metrics: Mapping[str, Component]) -> dict[str, dict[str, str]]:
    """The names of a row's values: those of its metrics, with the metric in front where an earlier one has the same."""
    taken: set[str] = set()
    names: dict[str, dict[str, str]] = {}
    for key, metric in metrics.items():
        values = list(metric.attributes["values"])
        names[key] = {value: f"{key}.{value}" if "#" in key or value in taken else value for value in values}
        taken |= set(names[key].values())
    return names


def floor_titles(floors: Sequence[Component]) -> list[str]:
    """The names of floors; with the options that tell them apart where one stands twice."""
    options = [identity_of(floor.options) for floor in floors]
    values: list[Any] = []
    for floor, own in zip(floors, options, strict=True):
        others = [other for twin, other in zip(floors, options, strict=True) if twin.name == floor.name]
        values.append({"name": floor.name} | {key: item for key, item in own.items() if any(o[key] != item for o in others)})
    return value_labels(values)
