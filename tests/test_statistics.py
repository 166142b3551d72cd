"""Intervals: they cover what they say, keep subjects together, and are exactly what a plain loop gives."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rrgbench.errors import PluginError
from rrgbench.statistics import Interval, auroc, bootstrap, mean_values


class Mean:
    """The mean of each statistic."""

    def aggregate(self, statistics: Any) -> Mapping[str, float]:
        return {f"m{place}": value for place, value in enumerate(statistics.mean(axis=0))}


class Ratio:
    """A closing formula that is not linear, as BLEU's: sums first, then a quotient."""

    def aggregate(self, statistics: Any) -> Mapping[str, float]:
        hits, total = statistics.sum(axis=0)
        return {"ratio": float(np.exp(np.log((hits + 1) / (total + 1)))), "first": float(statistics[0, 0])}


def _naive(metric: Any, runs: list[Any], subjects: list[str], resamples: int, level: float, seed: int) -> dict[str, Interval]:
    """The bootstrap as one would write it down."""
    names = list(dict.fromkeys(subjects))
    random = np.random.default_rng(seed)
    draws: list[dict[str, float]] = []
    for _ in range(resamples):
        picked = random.integers(0, len(names), len(names))
        rows = [row for place in picked for row, subject in enumerate(subjects) if subject == names[place]]
        values = [metric.aggregate(run[rows]) for run in runs]
        draws.append({name: float(np.mean([value[name] for value in values])) for name in values[0]})
    tail = (1 - level) / 2
    return {
        name: Interval(
            float(np.mean([metric.aggregate(run)[name] for run in runs])),
            float(np.quantile([draw[name] for draw in draws], tail)),
            float(np.quantile([draw[name] for draw in draws], 1 - tail)),
        )
        for name in draws[0]
    }


@settings(max_examples=40, deadline=None)
@given(
    subjects=st.lists(st.sampled_from("abcdefg"), min_size=1, max_size=25),
    runs=st.integers(1, 3),
    seed=st.integers(0, 2**32),
    level=st.sampled_from([0.5, 0.9, 0.95]),
)
def test_it_is_exactly_the_plain_loop(subjects: list[str], runs: int, seed: int, level: float) -> None:
    random = np.random.default_rng(seed)
    statistics = [random.random((len(subjects), 2)) for _ in range(runs)]
    for metric in (Mean(), Ratio()):
        found = bootstrap(metric, statistics, subjects, resamples=15, level=level, seed=seed)
        assert found == _naive(metric, statistics, subjects, 15, level, seed)


@pytest.mark.parametrize(("level", "least", "most"), [(0.95, 0.89, 0.985), (0.8, 0.70, 0.88)])
def test_intervals_cover_the_truth_as_often_as_they_say(level: float, least: float, most: float) -> None:
    random = np.random.default_rng(0)
    subjects = [str(number // 2) for number in range(80)]
    trials, hits = 250, 0
    for trial in range(trials):
        # Two studies a patient share most of what makes them unlike the mean.
        patients = np.repeat(random.normal(3.0, 1.0, 40), 2)
        sample = (patients + random.normal(0.0, 0.3, 80))[:, None]
        interval = bootstrap(Mean(), [sample], subjects, resamples=200, level=level, seed=trial)["m0"]
        hits += interval.low <= 3.0 <= interval.high
    assert least <= hits / trials <= most


def test_identical_studies_of_one_subject_say_nothing_new() -> None:
    once = np.random.default_rng(1).normal(0.0, 1.0, (50, 1))
    names = [str(number) for number in range(50)]
    alone = bootstrap(Mean(), [once], names)["m0"]
    twins = bootstrap(Mean(), [np.repeat(once, 3, axis=0)], [name for name in names for _ in range(3)])["m0"]
    apart = bootstrap(Mean(), [np.repeat(once, 3, axis=0)], [str(number) for number in range(150)])["m0"]
    assert (twins.low, twins.high) == pytest.approx((alone.low, alone.high))
    assert apart.high - apart.low < 0.7 * (alone.high - alone.low)


def test_the_place_of_a_subject_s_studies_does_not_matter_to_a_sum() -> None:
    statistics = np.random.default_rng(2).random((6, 1))
    together = bootstrap(Mean(), [statistics], list("aabbcc"))["m0"]
    order = [0, 2, 4, 1, 3, 5]
    spread = bootstrap(Mean(), [statistics[order]], list("abcabc"))["m0"]
    assert (spread.low, spread.high) == pytest.approx((together.low, together.high))


def test_every_metric_and_every_cell_is_given_the_same_resamples() -> None:
    subjects = [str(number // 2) for number in range(40)]
    one = np.random.default_rng(3).random((40, 1))
    both = np.hstack([one, one + 7])
    found = bootstrap(Mean(), [both], subjects)
    assert found["m1"].low == pytest.approx(found["m0"].low + 7)
    alone = bootstrap(Mean(), [one], subjects)["m0"]
    assert (alone.low, alone.high) == pytest.approx((found["m0"].low, found["m0"].high))
    assert bootstrap(Mean(), [one], subjects, seed=1)["m0"] != alone


def test_one_subject_alone_has_an_interval_of_no_width() -> None:
    found = bootstrap(Mean(), [np.array([[1.0], [3.0]])], ["a", "a"])["m0"]
    assert found == Interval(2.0, 2.0, 2.0)


def test_the_value_is_the_mean_over_runs() -> None:
    runs = [np.zeros((4, 1)), np.ones((4, 1)), np.full((4, 1), 5.0)]
    assert bootstrap(Mean(), runs, list("abcd"))["m0"] == Interval(2.0, 2.0, 2.0)
    assert mean_values(Mean(), runs) == {"m0": 2.0}
    assert type(mean_values(Mean(), runs[:1])["m0"]) is float


def test_a_formula_that_gives_no_number_on_a_resample_is_named() -> None:
    class Spread:
        def aggregate(self, statistics: Any) -> Mapping[str, float]:
            spread = float(np.ptp(statistics))
            return {"kept": 1.0, "spread": 1 / spread if spread else float("nan")}

    with pytest.raises(
        PluginError, match="metric Spread: aggregate: spread on a resample of the reports; got nan; expected a finite"
    ):
        bootstrap(Spread(), [np.array([[0.0], [1.0]])], ["a", "b"], resamples=50)


def test_a_thousand_resamples_of_a_test_split_take_a_fraction_of_a_second() -> None:
    random = np.random.default_rng(4)
    statistics = random.random((590, 10))
    for subjects in ([str(number) for number in range(590)], [str(number // 3) for number in range(590)]):
        began = time.process_time()
        bootstrap(Mean(), [statistics], subjects, resamples=1000)
        assert time.process_time() - began < 1.5  # 0.1 s alone on a core


def test_auroc_is_the_share_of_pairs_in_the_right_order_and_ties_count_half() -> None:
    truth = np.array([[1, 0], [1, 0], [0, 1], [0, np.nan], [0, 0]], dtype=np.float32)
    scores = np.array([[0.9, 0.1], [0.4, 0.2], [0.4, 0.3], [0.1, 0.9], [0.5, 0.2]], dtype=np.float32)
    # Positives .9 and .4 against negatives .4, .1, .5: 3 pairs right, then one right, one tie, one wrong.
    assert auroc(truth, scores, ("first", "rare"), least=2) == {"first": pytest.approx(4.5 / 6)}
    assert auroc(truth, scores, ("first", "rare"), least=1)["rare"] == 1.0
    assert auroc(truth, np.zeros_like(scores), ("first", "rare"), least=1) == {"first": 0.5, "rare": 0.5}
