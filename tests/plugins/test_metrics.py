"""Metrics against pycocoevalcap's own corpus values, to the last digit."""

from __future__ import annotations

import random
import time

import numpy
import pytest
from pycocoevalcap.bleu.bleu import Bleu as CocoBleu
from pycocoevalcap.cider.cider import Cider as CocoCider
from pycocoevalcap.rouge.rouge import Rouge as CocoRouge
from rrgbench_metrics import Bleu, Cider, Diversity, Rouge

import rrgbench

ODD = [
    ("", "heart normal ."),
    ("", "heart"),
    ("heart", "heart"),
    ("heart", "lungs"),
    ("heart  normal  .", "heart normal  ."),
    ("  ", "a b"),
    ("the the the the the the", "the cat the"),
    ("no . no . no . no . no .", "no . no . no ."),
    ("a b c d", "a b c d"),
    ("a b c d e f g h", "a b"),
]


def texts(pairs: list[tuple[str, str]]) -> rrgbench.Texts:
    predictions, references = zip(*pairs)
    return rrgbench.Texts(tuple(f"s{place}" for place in range(len(pairs))), predictions, references)


def random_pairs(number: int = 500) -> list[tuple[str, str]]:
    draw = random.Random(7)
    vocabulary = ["no", "acute", "effusion", "heart", "lungs", "clear", ".", "normal", "size", "the", "is", "in", "of", "left"]

    def report() -> str:
        return " ".join(draw.choices(vocabulary, k=draw.randint(1, 45)))

    pairs = [(report(), report()) for _ in range(number)]
    return [(reference if draw.random() < 0.1 else prediction, reference) for prediction, reference in pairs]


def coco(pairs: list[tuple[str, str]]) -> tuple[dict[int, list[str]], dict[int, list[str]]]:
    return {i: [reference] for i, (_, reference) in enumerate(pairs)}, {i: [guess] for i, (guess, _) in enumerate(pairs)}


CASES = [random_pairs(), random_pairs(3), ODD, *([pair] for pair in ODD)]


@pytest.mark.parametrize("pairs", CASES)
def test_bleu_is_the_packages_corpus_value(pairs: list[tuple[str, str]]) -> None:
    expected, _ = CocoBleu(4).compute_score(*coco(pairs), verbose=0)
    got = Bleu().aggregate(Bleu().score(texts(pairs)))
    assert [got[f"bleu_{order}"] for order in (1, 2, 3, 4)] == expected


@pytest.mark.parametrize("pairs", CASES)
def test_rouge_is_the_packages_mean(pairs: list[tuple[str, str]]) -> None:
    expected, rows = CocoRouge().compute_score(*coco(pairs))
    scores = Rouge().score(texts(pairs))
    assert scores[:, 0].tolist() == rows.tolist()
    assert Rouge().aggregate(scores) == {"rouge_l": float(expected)}


@pytest.mark.parametrize("pairs", CASES)
def test_cider_is_the_packages_mean(pairs: list[tuple[str, str]]) -> None:
    expected, rows = CocoCider().compute_score(*coco(pairs))
    scores = Cider().score(texts(pairs))
    assert scores[:, 0].tolist() == rows.tolist()
    assert Cider().aggregate(scores) == {"cider": float(expected)}


def test_an_aggregate_over_a_resample_is_the_packages_value_of_the_resample() -> None:
    pairs = random_pairs(60)
    rows = numpy.random.default_rng(0).integers(0, 60, 60)
    again = [pairs[row] for row in rows]
    expected, _ = CocoBleu(4).compute_score(*coco(again), verbose=0)
    assert Bleu().aggregate(Bleu().score(texts(pairs))[rows])["bleu_4"] == expected[3]
    expected_rouge, _ = CocoRouge().compute_score(*coco(again))
    assert Rouge().aggregate(Rouge().score(texts(pairs))[rows])["rouge_l"] == expected_rouge


def test_cider_is_zero_for_one_report_and_for_references_that_are_all_the_same() -> None:
    assert Cider().aggregate(Cider().score(texts([("heart normal", "heart normal")]))) == {"cider": 0.0}
    same = texts([("heart normal", "heart normal")] * 5)
    assert Cider().aggregate(Cider().score(same)) == {"cider": 0.0}


def test_cider_refuses_references_without_a_word() -> None:
    with pytest.raises(rrgbench.DataError, match="references are empty"):
        Cider().score(texts([("heart", ""), ("heart", " ")]))


def test_diversity_of_the_full_set_is_exact() -> None:
    metric = Diversity(("The heart is big.", "Lungs are clear."))
    predictions = ["the heart is big .", "The heart is big.", "the heart is big .", "", "new words here"]
    statistics = metric.score(texts([(prediction, "x") for prediction in predictions]))
    assert metric.aggregate(statistics) == {
        "unique": 4.0,
        "unique_share": 4 / 5,
        # the heart is big . The big. new words here
        "distinct_1": 10 / 17,
        # the-heart heart-is is-big big-. The-heart is-big. new-words words-here
        "distinct_2": 8 / 13,
        "mean_length": 17 / 5,
        "train_share": 3 / 5,
    }


def test_diversity_of_empty_reports_is_zero() -> None:
    metric = Diversity(("The heart is big.",))
    values = metric.aggregate(metric.score(texts([("", "x"), ("", "x")])))
    assert values["unique"] == 1.0
    assert values["distinct_1"] == values["distinct_2"] == values["mean_length"] == values["train_share"] == 0.0


@pytest.mark.parametrize("metric", [Bleu(), Rouge(), Cider(), Diversity(("a",))], ids=lambda metric: type(metric).__name__)
def test_a_metric_keeps_its_word(metric: rrgbench.Metric, capfd: pytest.CaptureFixture[str]) -> None:
    pairs = random_pairs(20)
    statistics = metric.score(texts(pairs))
    values = metric.aggregate(statistics)
    assert statistics.dtype == numpy.float64
    assert statistics.shape[0] == 20
    assert list(values) == list(metric.values)
    assert all(type(value) is float for value in values.values())
    assert type(metric).__name__.lower() in metric.signature()
    assert "\n" not in metric.signature()
    assert capfd.readouterr() == ("", "")


def test_the_headline_of_bleu_is_bleu_4_and_diversity_is_not_resampled() -> None:
    assert next(iter(Bleu.values)) == "bleu_4"
    assert not Diversity.resampled
    assert Bleu.resampled
    assert Rouge.resampled
    assert Cider.resampled


@pytest.mark.parametrize("metric", [Bleu(), Rouge(), Cider()], ids=lambda metric: type(metric).__name__)
def test_a_thousand_resamples_take_a_moment(metric: rrgbench.Metric) -> None:
    statistics = metric.score(texts(random_pairs(590)))
    draws = numpy.random.default_rng(0).integers(0, 590, (1000, 590))
    start = time.perf_counter()
    values = [next(iter(metric.aggregate(statistics[rows]).values())) for rows in draws]
    assert time.perf_counter() - start < 2.0
    assert min(values) < max(values)
