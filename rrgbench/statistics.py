"""Intervals from stored per-report statistics: subjects are resampled, since studies of one patient are correlated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from rrgbench.errors import PluginError

Statistics = np.ndarray[Any, np.dtype[np.float64]]
Rows = np.ndarray[Any, np.dtype[np.intp]]


class Aggregates(Protocol):
    """What is needed of a metric: the closing formula over rows of statistics."""

    def aggregate(self, statistics: Statistics) -> Mapping[str, float]: ...


@dataclass(frozen=True)
class Interval:
    """A value with its percentile interval."""

    value: float
    low: float
    high: float


class _Subjects:
    """The rows of each subject, subjects in order of appearance, laid out so that a draw is a few array operations."""

    def __init__(self, subjects: Sequence[str]) -> None:
        rows: dict[str, list[int]] = {}
        for row, subject in enumerate(subjects):
            rows.setdefault(subject, []).append(row)
        self.count = len(rows)
        self._rows = np.asarray([row for found in rows.values() for row in found], dtype=np.intp)
        self._sizes = np.asarray([len(found) for found in rows.values()], dtype=np.intp)
        self._begins = np.cumsum(self._sizes) - self._sizes

    def draw(self, random: np.random.Generator) -> Rows:
        """The rows of as many subjects as there are, drawn with replacement, subject after subject."""
        picked = random.integers(0, self.count, self.count)
        sizes = self._sizes[picked]
        ends = np.cumsum(sizes)
        rows: Rows = self._rows[np.arange(ends[-1]) + np.repeat(self._begins[picked] - ends + sizes, sizes)]
        return rows


def bootstrap(
    metric: Aggregates,
    runs: Sequence[Statistics],
    subjects: Sequence[str],
    *,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, Interval]:
    """Percentile intervals of the mean over runs (seeds) of each value, subjects drawn with replacement.

    Args:
        metric: gives the closing formula.
        runs: one (n reports, statistics) array a seed, the same reports in the same order.
        subjects: the subject of each report.
        resamples: how many resamples.
        level: the share between low and high.
        seed: of the resampling.

    Returns:
        Value name -> interval. The same seed gives the same resamples to every metric and every cell.

    Raises:
        PluginError: the closing formula gives no number on a resample.

    Source: Efron & Tibshirani, An Introduction to the Bootstrap (1993), chapter 13, on clusters.
    """
    drawn = _Subjects(subjects)
    observed = mean_values(metric, runs)
    random = np.random.default_rng(seed)
    draws = {name: np.empty(resamples) for name in observed}
    for number in range(resamples):
        rows = drawn.draw(random)
        for name, value in mean_values(metric, [run[rows] for run in runs]).items():
            draws[name][number] = value
    for name, values in draws.items():
        if not np.isfinite(values).all():
            what = f"metric {type(metric).__name__}: aggregate: {name} on a resample of the reports"
            raise PluginError(what, got=values[~np.isfinite(values)][0], expected="a finite number, or resampled = False")
    tail = (1 - level) / 2
    return {
        name: Interval(value, float(np.quantile(draws[name], tail)), float(np.quantile(draws[name], 1 - tail)))
        for name, value in observed.items()
    }


def mean_values(metric: Aggregates, runs: Sequence[Statistics]) -> dict[str, float]:
    """The mean over runs of each value."""
    values = [metric.aggregate(run) for run in runs]
    if len(values) == 1:
        return {name: float(value) for name, value in values[0].items()}
    return {name: float(np.mean([value[name] for value in values])) for name in values[0]}


def auroc(
    truth: np.ndarray[Any, np.dtype[np.float32]],
    scores: np.ndarray[Any, np.dtype[np.float32]],
    names: Sequence[str],
    *,
    least: int,
) -> dict[str, float]:
    """Area under the ROC curve of each finding: the share of pairs in which the positive study scores higher, ties half.

    Args:
        truth: (n, K), 1, 0 or NaN where unknown.
        scores: (n, K).
        names: of the K findings.
        least: findings with fewer positives or negatives are left out.

    Source: Hanley & McNeil, 1982 (the Mann-Whitney statistic).
    """
    found: dict[str, float] = {}
    for column, name in enumerate(names):
        positive, negative = (scores[truth[:, column] == value, column] for value in (1.0, 0.0))
        if min(len(positive), len(negative)) >= least:
            ordered = np.sort(negative)
            below = np.searchsorted(ordered, positive, "left") + np.searchsorted(ordered, positive, "right")
            found[name] = float(below.sum() / (2 * len(positive) * len(negative)))
    return found
