"""Two rows, or two sides of a grid, value by value: paired over studies and seeds, and refused where their signatures differ."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from rrgbench.catalogue import Catalogue, did_you_mean
from rrgbench.catalogue.building import build
from rrgbench.catalogue.restore import restore
from rrgbench.data import load_inputs
from rrgbench.errors import ConfigError, StoreError
from rrgbench.interfaces import Metric
from rrgbench.row import Row
from rrgbench.selecting import Pairing, Selection, load_candidates, pair_rows, select
from rrgbench.statistics import Pair, Statistics, difference, holm, mean_values, over_trainings, paired_bootstrap, randomisation
from rrgbench.store import Store, write_atomically
from rrgbench.types import Inputs

# What may be compared.


def same_signatures(pairs: Sequence[tuple[Row, Row]], values: Sequence[str]) -> None:
    """Refuse rows that differ in anything but the system.

    Raises:
        ConfigError: the first field that differs, and both values.
    """
    first = pairs[0][0]
    for row in (row for pair in pairs for row in pair):
        fields = ("dataset", "dataset_options", "split", "n")
        told = [(field, getattr(first, field), getattr(row, field)) for field in fields]
        signed = [(first.values[name].signature, row.values[name].signature, name) for name in values]
        ordered = ("references", "studies", "n", "protocol", "references_changed", "metric", "metric_version", "metric_annotator")
        for one, other, name in signed:
            keys = dict.fromkeys((*(key for key in ordered if key in one or key in other), *one, *other))
            told += [(f"{key} (of {name})", one.get(key), other.get(key)) for key in keys]
        told += [(field, getattr(first, field), getattr(row, field)) for field in ("protocol", "protocol_options")]
        for field, one_value, other_value in told:
            if one_value != other_value:
                got = f"{one_value} and {other_value}"
                what = f"{first.title} and {row.title} may not be compared: they differ in {field}"
                raise ConfigError(what, got=got, expected="the same")


def shown_values(pairs: Sequence[tuple[Row, Row]], asked: Sequence[str] | None) -> tuple[list[str], list[str]]:
    """The values that all rows have, in their order; and those that only some have.

    Raises:
        ConfigError: an asked one is not there, or there is none.
    """
    rows = [row for pair in pairs for row in pair]
    every = list(dict.fromkeys(name for row in rows for name in row.values))
    common = [name for name in every if all(name in row.values for row in rows)]
    for name in asked or ():
        if name not in common:
            hint = "only some of the rows have it" if name in every else did_you_mean(name, common)
            raise ConfigError("--values", got=name, hint=hint)
    chosen = list(dict.fromkeys(asked)) if asked else common
    if not chosen:
        raise ConfigError("the rows have no value in common", hint="score them with the same metrics")
    return chosen, [name for name in every if name not in common]


# The comparison.


@dataclass(frozen=True)
class Line:
    """One value: both sides, second minus first; no interval and no p where a resample has no meaning.

    ``p`` (and ``p_holm``, adjusted for all values) speaks of methods: over trainings and subjects, None where a side was trained
    once. ``p_systems`` speaks of these trained systems alone.
    """

    value: str
    better: str
    first: float
    second: float
    difference: float
    low: float | None
    high: float | None
    p: float | None
    p_holm: float | None
    p_systems: float | None


@dataclass(frozen=True)
class Comparison:
    """What two sides come to. ``deltas``: value -> (A, B) of each study, means over pairs and seeds."""

    lines: tuple[Line, ...]
    inputs: tuple[Inputs, ...]
    seeds_paired: bool
    deltas: Mapping[str, tuple[tuple[float, ...], tuple[float, ...]]]

    @property
    def subjects(self) -> int:
        """How many subjects were resampled."""
        return len({item.subject_id for item in self.inputs})


def compare(
    store: Store,
    catalogue: Catalogue,
    pairs: Sequence[tuple[Row, Row]],
    values: Sequence[str],
    *,
    resamples: int = 1000,
    seed: int = 0,
    deltas: bool = False,
) -> Comparison:
    """Compare the values of paired rows whose signatures agree (``same_signatures``).

    Raises:
        ConfigError: a metric's code is not that of the rows.
        StoreError: statistics or inputs are not in the store.
    """
    inputs = _inputs(store, pairs[0][0])
    same_seeds = [_same_seeds(*pair) for pair in pairs]
    draws = [(_draws(one), _draws(other)) for one, other in pairs]
    found: dict[str, Line] = {}
    each: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {}
    read: dict[tuple[str, ...], list[Statistics]] = {}  # a row of several pairs once: what it is worth is not two chances

    def runs_of(row: Row, key: str) -> list[Statistics]:
        steps = tuple(row.scores.get(key, ()))
        if steps not in read:
            read[steps] = _runs(store, row, key, len(inputs))
        return read[steps]

    for names, keys in _by_metric(pairs, values):
        metric = _metric(catalogue, pairs[0][0], keys[0][0])
        runs = [
            Pair(runs_of(one, key), runs_of(other, other_key), same, draw)
            for (one, other), (key, other_key), same, draw in zip(pairs, keys, same_seeds, draws, strict=True)
        ]
        found |= _lines(metric, runs, names, [item.subject_id for item in inputs], resamples, seed)
        if deltas and metric.resampled:
            each |= {name: _each(metric, runs, own, len(inputs)) for own, name in names.items()}
    adjusted = holm({name: line.p for name, line in found.items() if line.p is not None})
    lines = tuple(replace(found[name], p_holm=adjusted.get(name)) for name in values)
    return Comparison(lines, inputs, all(same_seeds), each)


def _lines(
    metric: Metric, runs: Sequence[Pair], names: Mapping[str, str], subjects: Sequence[str], resamples: int, seed: int
) -> dict[str, Line]:
    """The lines of one metric's values, p not yet adjusted."""
    intervals: dict[str, tuple[float, float]] = {}
    p: Mapping[str, float] = {}
    p_systems: Mapping[str, float] = {}
    if metric.resampled:
        p_systems = randomisation(metric, runs, subjects, trials=resamples, seed=seed)
        trained = over_trainings(metric, runs, subjects, resamples=resamples, seed=seed)
        p = {own: each.p for own, each in trained.items()}
        intervals = {own: (each.low, each.high) for own, each in trained.items()}
        if not trained:
            drawn = paired_bootstrap(metric, runs, subjects, resamples=resamples, seed=seed)
            intervals = {own: (each.low, each.high) for own, each in drawn.items()}
    sides = [[mean_values(metric, side) for side in (pair.first, pair.second)] for pair in runs]
    differences = difference(metric, runs)
    return {
        name: Line(
            value=name,
            better=metric.values[own],
            first=float(np.mean([first[own] for first, _ in sides])),
            second=float(np.mean([second[own] for _, second in sides])),
            difference=differences[own],
            low=intervals[own][0] if own in intervals else None,
            high=intervals[own][1] if own in intervals else None,
            p=p.get(own),
            p_holm=None,
            p_systems=p_systems.get(own),
        )
        for own, name in names.items()
    }


def _inputs(store: Store, row: Row) -> tuple[Inputs, ...]:
    if not row.inputs:
        hint = "run its experiment again: the row is then written anew, and nothing else runs"
        raise StoreError(f"row {row.title} does not say who its subjects are", hint=hint)
    return load_inputs(store, row.inputs, Path())


def _same_seeds(one: Row, other: Row) -> bool:
    """Whether runs of one seed belong together: seeds of predictions from outside are only numbers."""
    return one.kind != "external" and other.kind != "external" and sorted(one.seeds) == sorted(other.seeds)


def _draws(row: Row) -> bool:
    """Whether making the row's system anew would give another: only a floor without seeds is always the same."""
    return not (row.kind == "floor" and len(row.seeds) == 1)


def _by_metric(pairs: Sequence[tuple[Row, Row]], values: Sequence[str]) -> Iterator[tuple[dict[str, str], list[tuple[str, str]]]]:
    """For each metric of the first row: its own names of values -> those in the rows, and its key in each row of each pair."""
    first = pairs[0][0]
    for key in dict.fromkeys(first.values[name].metric for name in values):
        names = {_own(name, key): name for name in values if first.values[name].metric == key}
        some = next(iter(names.values()))
        yield names, [(one.values[some].metric, other.values[some].metric) for one, other in pairs]


def _own(name: str, key: str) -> str:
    """What a metric calls a value that a row calls ``key.value`` where two metrics have it."""
    return name.removeprefix(f"{key}.")


def _metric(catalogue: Catalogue, row: Row, key: str) -> Metric:
    """The metric of a row, if its code is the row's: only its closing formula is asked for."""
    identity = row.metrics.get(key)
    component = restore(catalogue, "metrics", identity, f"metric {key} of row {row.title}")
    ours = component.identity()
    if identity != ours:
        field = next(field for field in ours if ours[field] != (identity or {}).get(field))
        what = f"metric {key}: its code changed since row {row.title} was scored: {field}"
        got = (identity or {}).get(field)
        raise ConfigError(
            what, got=got, expected=ours[field], hint="run the experiment (or `score`) again: only scoring is done anew"
        )
    metric: Metric = build(component.request(), lambda name: ())
    return metric


def _runs(store: Store, row: Row, key: str, n: int) -> list[Statistics]:
    """The statistics of each report, one array a seed, seeds in ascending order."""
    steps = row.scores.get(key, [])
    if len(steps) != len(row.seeds):
        raise StoreError(f"row {row.title}: scores of {key}", got=f"{len(steps)} steps", expected=f"{len(row.seeds)}, one a seed")
    runs = []
    for _, step_id in sorted(zip(row.seeds, steps, strict=True)):
        path = store.whole(step_id) / "statistics.npy"
        try:
            run = np.load(path, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise StoreError(f"{path} cannot be read", got=error) from error
        if run.ndim != 2 or len(run) != n:
            raise StoreError(f"{path} is not of the row's studies", got=f"shape {run.shape}", expected=f"({n}, statistics)")
        runs.append(run)
    return runs


def _each(metric: Metric, pairs: Sequence[Pair], name: str, n: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """A value of each study alone, the mean over pairs and seeds, for both sides."""

    def side(runs: Sequence[Sequence[Statistics]]) -> tuple[float, ...]:
        return tuple(
            float(np.mean([np.mean([float(metric.aggregate(run[at : at + 1])[name]) for run in own]) for own in runs]))
            for at in range(n)
        )

    return side([pair.first for pair in pairs]), side([pair.second for pair in pairs])


def write_deltas(path: Path, found: Comparison) -> None:
    """One line a study: its subject, and A, B and B - A of each value that means something for one study.

    Raises:
        StoreError: it cannot be written.
    """
    text = io.StringIO(newline="")
    table: Any = csv.writer(text)
    table.writerow(["study_id", "subject_id", *(f"{name}.{part}" for name in found.deltas for part in ("a", "b", "delta"))])
    for at, item in enumerate(found.inputs):
        numbers = [repr(x) for a, b in found.deltas.values() for x in (a[at], b[at], b[at] - a[at])]
        table.writerow([item.study_id, item.subject_id, *numbers])
    write_atomically(path, text.getvalue().encode())


__all__ = [
    "Comparison",
    "Line",
    "Pairing",
    "Selection",
    "compare",
    "load_candidates",
    "pair_rows",
    "same_signatures",
    "select",
    "shown_values",
    "write_deltas",
]
