"""Intervals from stored per-report statistics: subjects are resampled, since studies of one patient are correlated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

Statistics = np.ndarray[Any, np.dtype[np.float64]]


class Aggregates(Protocol):
    """What is needed of a metric: the closing formula over rows of statistics."""

    def aggregate(self, statistics: Statistics) -> Mapping[str, float]: ...


@dataclass(frozen=True)
class Interval:
    """A value with its percentile interval."""

    value: float
    low: float
    high: float


def subject_rows(subjects: Sequence[str]) -> list[np.ndarray[Any, np.dtype[np.intp]]]:
    """The rows of each subject, subjects in order of appearance."""
    rows: dict[str, list[int]] = {}
    for row, subject in enumerate(subjects):
        rows.setdefault(subject, []).append(row)
    return [np.asarray(found, dtype=np.intp) for found in rows.values()]


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

    Source: Efron & Tibshirani, An Introduction to the Bootstrap (1993), chapter 13, on clusters.
    """
    rows = subject_rows(subjects)
    observed = mean_values(metric, runs)
    random = np.random.default_rng(seed)
    draws: dict[str, list[float]] = {name: [] for name in observed}
    for _ in range(resamples):
        picked = random.integers(0, len(rows), len(rows))
        index = np.concatenate([rows[subject] for subject in picked])
        for name, value in mean_values(metric, [run[index] for run in runs]).items():
            draws[name].append(value)
    tail = (1 - level) / 2
    return {
        name: Interval(value, float(np.quantile(draws[name], tail)), float(np.quantile(draws[name], 1 - tail)))
        for name, value in observed.items()
    }


def mean_values(metric: Aggregates, runs: Sequence[Statistics]) -> dict[str, float]:
    """The mean over runs of each value."""
    values = [metric.aggregate(run) for run in runs]
    return {name: float(np.mean([value[name] for value in values])) for name in values[0]}
