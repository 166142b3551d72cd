"""Paired comparisons: known answers, what an independent implementation gives, and no more chance finds than promised."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from scipy import stats

from rrgbench.errors import PluginError
from rrgbench.statistics import Pair, difference, holm, over_trainings, paired_bootstrap, randomisation


class Mean:
    """The mean of each statistic."""

    def aggregate(self, statistics: Any) -> Mapping[str, float]:
        return {f"m{place}": value for place, value in enumerate(statistics.mean(axis=0))}


class Ratio:
    """A closing formula that is not linear, as BLEU's: sums first, then a quotient."""

    def aggregate(self, statistics: Any) -> Mapping[str, float]:
        hits, total = statistics.sum(axis=0)
        return {"ratio": float(hits / total)}


def _names(count: int, each: int = 1) -> list[str]:
    return [str(number // each) for number in range(count)]


def _pair(one: Any, other: Any) -> Pair:
    return Pair([np.asarray(one, dtype=float)[:, None]], [np.asarray(other, dtype=float)[:, None]], True)


# Known answers.


def test_the_difference_is_second_minus_first_and_the_mean_over_seeds_and_pairs() -> None:
    first = Pair([np.zeros((4, 1)), np.ones((4, 1))], [np.full((4, 1), 3.0), np.full((4, 1), 5.0)], True)
    second = Pair([np.zeros((4, 1))], [np.full((4, 1), 1.0), np.full((4, 1), 2.0), np.full((4, 1), 3.0)], False)
    assert difference(Mean(), [first]) == {"m0": 3.5}
    assert difference(Mean(), [second]) == {"m0": 2.0}
    assert difference(Mean(), [first, second]) == {"m0": 2.75}


def test_what_every_study_gains_has_an_interval_of_no_width_and_the_smallest_p() -> None:
    base = np.random.default_rng(0).normal(0, 10, 60)
    pair = _pair(base, base + 0.25)
    interval = paired_bootstrap(Mean(), [pair], _names(60))["m0"]
    assert (interval.value, interval.low, interval.high) == pytest.approx((0.25, 0.25, 0.25))
    assert randomisation(Mean(), [pair], _names(60), trials=999) == {"m0": 1 / 1000}


def test_the_same_system_twice_has_p_1() -> None:
    base = np.random.default_rng(1).normal(0, 1, 30)
    assert randomisation(Mean(), [_pair(base, base)], _names(30)) == {"m0": 1.0}
    assert randomisation(Mean(), [_pair(base, base[::-1])], _names(30)) == {"m0": 1.0}


def test_p_is_that_of_every_assignment_written_out() -> None:
    random = np.random.default_rng(2)
    one, other = random.normal(0, 1, (2, 12))
    subjects = _names(12, 2)
    observed = abs((other - one).mean())
    reached = []
    for coins in itertools.product([1, -1], repeat=6):
        signs = np.repeat(coins, 2)
        reached.append(abs((signs * (other - one)).mean()) >= observed - 1e-12)
    trials = 4000
    p = randomisation(Mean(), [_pair(one, other)], subjects, trials=trials)["m0"]
    exact = float(np.mean(reached))
    assert abs(p - exact) < 4 * np.sqrt(exact * (1 - exact) / trials) + 1 / trials


def test_p_is_that_of_scipy() -> None:
    scipy = pytest.importorskip("scipy.stats")
    random = np.random.default_rng(3)
    one, noise = random.normal(0, 1, 40), random.normal(0, 0.5, 40)
    other = one + noise - noise.mean() + 0.12

    def statistic(x: Any, y: Any, axis: int) -> Any:
        return np.abs(np.mean(y, axis=axis) - np.mean(x, axis=axis))

    theirs = scipy.permutation_test(
        (one, other), statistic, permutation_type="samples", alternative="greater", n_resamples=6000, rng=4, vectorized=True
    ).pvalue
    ours = randomisation(Mean(), [_pair(one, other)], _names(40), trials=6000)["m0"]
    assert 0.02 < theirs < 0.5, "a p that says something"
    assert ours == pytest.approx(theirs, abs=4 * np.sqrt(2 * theirs * (1 - theirs) / 6000))


def test_the_interval_is_that_of_scipy() -> None:
    scipy = pytest.importorskip("scipy.stats")
    random = np.random.default_rng(5)
    one = random.gamma(2, 1, 150)
    other = one + random.gamma(1, 0.5, 150)

    def statistic(x: Any, y: Any, axis: int) -> Any:
        return np.mean(y, axis=axis) - np.mean(x, axis=axis)

    theirs = scipy.bootstrap((one, other), statistic, paired=True, method="percentile", n_resamples=8000, rng=6)
    ours = paired_bootstrap(Mean(), [_pair(one, other)], _names(150), resamples=8000)["m0"]
    width = theirs.confidence_interval.high - theirs.confidence_interval.low
    assert (ours.low, ours.high) == pytest.approx(tuple(theirs.confidence_interval), abs=0.05 * width)


def test_holm_is_the_textbook_s() -> None:
    # R: p.adjust(c(.01, .04, .03, .005), "holm")
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005}) == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06, "d": 0.02})
    assert holm({"a": 0.9, "b": 0.8}) == {"a": 1.0, "b": 1.0}
    assert holm({"a": 0.02}) == {"a": 0.02}
    assert list(holm({"b": 0.5, "a": 0.1})) == ["b", "a"]
    assert holm({}) == {}


# Pairing.


def _naive(metric: Any, pair: Pair, subjects: list[str], resamples: int, seed: int) -> tuple[float, float]:
    """Two-level resampling of one pair as one would write it down."""
    names = list(dict.fromkeys(subjects))
    random = np.random.default_rng(seed)
    counts = sorted({len(pair.first), len(pair.second)})
    draws = []
    for _ in range(resamples):
        picked = random.integers(0, len(names), len(names))
        rows = [row for place in picked for row, subject in enumerate(subjects) if subject == names[place]]
        seeds = {count: (random.integers(0, count, count), random.integers(0, count, count)) for count in counts}
        own = seeds[len(pair.first)][0]
        others = own if pair.same_seeds else seeds[len(pair.second)][1]
        first = np.mean([metric.aggregate(pair.first[place][rows])["ratio"] for place in own])
        second = np.mean([metric.aggregate(pair.second[place][rows])["ratio"] for place in others])
        draws.append(second - first)
    return float(np.quantile(draws, 0.025)), float(np.quantile(draws, 0.975))


@pytest.mark.parametrize(("first", "second", "same"), [(3, 3, True), (3, 3, False), (1, 2, False)])
def test_it_is_the_plain_loop_over_subjects_and_seeds(first: int, second: int, same: bool) -> None:
    random = np.random.default_rng(7)
    pair = Pair([random.random((25, 2)) + 1 for _ in range(first)], [random.random((25, 2)) + 1 for _ in range(second)], same)
    subjects = [str(name) for name in random.integers(0, 9, 25)]
    found = paired_bootstrap(Ratio(), [pair], subjects, resamples=40, seed=11)["ratio"]
    assert (found.low, found.high) == pytest.approx(_naive(Ratio(), pair, subjects, 40, 11), rel=1e-12)


def test_seeds_that_go_up_and_down_together_cost_no_width_where_they_are_paired() -> None:
    base = np.random.default_rng(8).normal(0, 1, (40, 1))
    shifts = (0.0, 3.0, 7.0)
    first, second = [base + shift for shift in shifts], [base + shift + 0.5 for shift in shifts]
    paired = paired_bootstrap(Mean(), [Pair(first, second, True)], _names(40))["m0"]
    apart = paired_bootstrap(Mean(), [Pair(first, second, False)], _names(40))["m0"]
    assert (paired.low, paired.high) == pytest.approx((0.5, 0.5))
    assert apart.low < 0 < apart.high
    assert apart.value == pytest.approx(0.5)


def test_seeds_that_disagree_widen_the_interval() -> None:
    base = np.random.default_rng(9).normal(0, 1, (40, 1))
    agreeing = Pair([base] * 3, [base + 1] * 3, True)
    disagreeing = Pair([base] * 3, [base - 1, base + 1, base + 3], True)
    assert paired_bootstrap(Mean(), [agreeing], _names(40))["m0"].low == pytest.approx(1)
    found = paired_bootstrap(Mean(), [disagreeing], _names(40))["m0"]
    assert found.value == pytest.approx(1)
    assert found.low < 0
    assert found.high > 2


def test_studies_of_one_subject_stay_together() -> None:
    gain = np.random.default_rng(10).normal(0.2, 1, 30)
    alone = _pair(np.zeros(30), gain)
    twins = _pair(np.zeros(90), np.repeat(gain, 3))
    narrow, wide = (
        paired_bootstrap(Mean(), [pair], names)["m0"] for pair, names in ((twins, _names(90)), (twins, _names(90, 3)))
    )
    once = paired_bootstrap(Mean(), [alone], _names(30))["m0"]
    assert (wide.low, wide.high) == pytest.approx((once.low, once.high))
    assert narrow.high - narrow.low < 0.7 * (wide.high - wide.low)
    p = randomisation(Mean(), [twins], _names(90, 3), seed=1)
    assert p == pytest.approx(randomisation(Mean(), [alone], _names(30), seed=1))
    assert randomisation(Mean(), [twins], _names(90), seed=1)["m0"] < p["m0"]


def test_a_side_with_fewer_runs_stands_beside_each_of_the_other_s() -> None:
    random = np.random.default_rng(12)
    floor, cells = random.random((30, 1)), [random.random((30, 1)) + 0.2 for _ in range(2)]
    uneven = Pair([floor], cells, False)
    even = Pair([floor, floor], cells, True)
    assert randomisation(Mean(), [uneven], _names(30)) == randomisation(Mean(), [even], _names(30))
    assert len(Pair(cells, [floor] * 3, False).runs()) == 6


def test_every_metric_is_given_the_same_resamples() -> None:
    random = np.random.default_rng(13)
    first, second = random.random((2, 30, 2))
    both = [Pair([first], [second], True)]
    alone = [Pair([first[:, 1:]], [second[:, 1:]], True)]
    found = [paired_bootstrap(Mean(), pairs, _names(30)) for pairs in (both, alone)]
    assert (found[0]["m1"].low, found[0]["m1"].high) == pytest.approx((found[1]["m0"].low, found[1]["m0"].high))
    assert randomisation(Mean(), both, _names(30))["m1"] == randomisation(Mean(), alone, _names(30))["m0"]


def test_a_formula_that_gives_no_number_on_a_resample_is_named() -> None:
    class Spread:
        def aggregate(self, statistics: Any) -> Mapping[str, float]:
            spread = float(np.ptp(statistics))
            return {"spread": 1 / spread if spread else float("nan")}

    pair = Pair([np.array([[0.0], [1.0]])], [np.array([[0.0], [1.0]])], True)
    with pytest.raises(PluginError, match="metric Spread: aggregate: spread on a resample"):
        paired_bootstrap(Spread(), [pair], ["a", "b"], resamples=50)


# How often chance is called a find.


def _rejections(simulations: int, shift: float, level: float) -> tuple[int, int]:
    """How often p is at most ``level``, and how often the interval excludes zero, of two systems ``shift`` apart.

    Reports share how hard their study is and who the patient is; each system and seed adds noise of its own.
    """
    random = np.random.default_rng(14)
    subjects = _names(48, 2)
    by_p = by_interval = 0
    for number in range(simulations):
        hard = np.repeat(random.normal(0, 1, 24), 2) + random.normal(0, 1, 48)
        runs = [(hard + random.normal(0, 0.5, 48))[:, None] for _ in range(4)]
        pair = Pair(runs[:2], [run + shift for run in runs[2:]], True)
        by_p += randomisation(Mean(), [pair], subjects, trials=99, seed=number)["m0"] <= level
        interval = paired_bootstrap(Mean(), [pair], subjects, resamples=100, level=1 - level, seed=number)["m0"]
        by_interval += interval.low > 0 or interval.high < 0
    return by_p, by_interval


@pytest.mark.heavy
def test_two_equal_systems_are_told_apart_as_seldom_as_promised() -> None:
    simulations, level = 400, 0.1
    by_p, by_interval = _rejections(simulations, 0.0, level)
    spread = 3 * np.sqrt(level * (1 - level) / simulations)
    assert abs(by_p / simulations - level) <= spread
    # Percentile intervals of 24 subjects are somewhat short; drawing seeds too makes these somewhat long.
    assert by_interval / simulations <= level + spread


@pytest.mark.heavy
def test_two_systems_that_differ_are_told_apart() -> None:
    by_p, by_interval = _rejections(60, 0.3, 0.1)
    assert by_p >= 50
    assert by_interval >= 50


def test_a_test_split_is_compared_in_seconds() -> None:
    random = np.random.default_rng(15)
    runs = [random.random((590, 10)) for _ in range(4)]
    pair = Pair(runs[:2], runs[2:], True)
    began = time.process_time()
    paired_bootstrap(Mean(), [pair], _names(590))
    randomisation(Mean(), [pair], _names(590))
    assert time.process_time() - began < 4  # 0.5 s alone on a core


# Over trainings.


def _trained(random: np.random.Generator, runs: int, shift: float, gain: float = 0.0) -> list[Any]:
    """Runs of one method on the same 24 subjects of two studies: what a study scores, this training's luck, and noise."""
    hard = np.random.default_rng(99).normal(0, 1, 48)
    return [(hard + gain + random.normal(0, shift) + random.normal(0, 0.3, 48))[:, None] for _ in range(runs)]


@pytest.mark.parametrize(("runs", "same"), [(2, False), (2, True), (3, True), (3, False), (5, True), (5, False)])
@pytest.mark.parametrize("shift", [0.0, 0.3])
def test_equal_methods_are_told_apart_as_often_as_promised(runs: int, same: bool, shift: float) -> None:
    """200 trials at .05: at most 20 rejections, which a rate of .05 exceeds once in five hundred times."""
    random = np.random.default_rng(runs)
    rejected = 0
    for trial in range(200):
        pair = Pair(_trained(random, runs, shift), _trained(random, runs, shift), same)
        found = over_trainings(Mean(), [pair], _names(48, 2), resamples=100, seed=trial)["m0"]
        assert (found.p <= 0.05) == (not found.low <= 0 <= found.high) or abs(found.p - 0.05) < 1e-9
        rejected += found.p <= 0.05
    assert rejected <= 20


def test_a_gain_beyond_the_luck_of_trainings_is_found() -> None:
    random = np.random.default_rng(1)
    pair = Pair(_trained(random, 3, 0.05), _trained(random, 3, 0.05, gain=0.5), True)
    found = over_trainings(Mean(), [pair], _names(48, 2))["m0"]
    assert found.p < 0.01 and found.low > 0.2


def test_without_noise_on_subjects_it_is_the_t_test_of_welch_or_of_pairs() -> None:
    one, other = np.asarray([0.1, 0.4, 0.2, 0.3]), np.asarray([0.5, 0.3, 0.9, 0.6])
    runs = [[np.full((6, 1), value) for value in side] for side in (one, other)]
    apart = over_trainings(Mean(), [Pair(runs[0], runs[1], False)], _names(6))["m0"]
    assert apart.p == pytest.approx(stats.ttest_ind(one, other, equal_var=False).pvalue, rel=1e-9)
    paired = stats.ttest_rel(other, one)
    found = over_trainings(Mean(), [Pair(runs[0], runs[1], True)], _names(6))["m0"]
    assert found.p == pytest.approx(paired.pvalue, rel=1e-9)
    assert (found.low, found.high) == pytest.approx(tuple(paired.confidence_interval(0.95)), rel=1e-9)


def test_a_side_that_was_trained_once_says_nothing_of_its_method() -> None:
    base = np.random.default_rng(0).normal(0, 1, (20, 1))
    assert over_trainings(Mean(), [Pair([base], [base + 1], True)], _names(20)) == {}
    assert over_trainings(Mean(), [Pair([base], [base, base + 1], False)], _names(20)) == {}


def test_a_side_that_is_always_the_same_has_no_spread_over_trainings() -> None:
    floor = np.zeros((6, 1))
    cells = [np.full((6, 1), value) for value in (0.4, 0.5, 0.9)]
    found = over_trainings(Mean(), [Pair([floor], cells, False, (False, True))], _names(6))["m0"]
    assert found.p == pytest.approx(stats.ttest_1samp([0.4, 0.5, 0.9], 0.0).pvalue, rel=1e-9)


def test_a_side_of_two_pairs_is_one_chance_and_not_two() -> None:
    floor = [np.full((6, 1), value) for value in (0.1, 0.3)]
    cells = [[np.full((6, 1), value) for value in side] for side in ((0.5, 0.6), (0.7, 0.8))]
    both = over_trainings(Mean(), [Pair(floor, cell, False) for cell in cells], _names(6))["m0"]
    copies = [Pair([run.copy() for run in floor], cell, False) for cell in cells]
    assert both.high - both.low > 0 and both.p > over_trainings(Mean(), copies, _names(6))["m0"].p
