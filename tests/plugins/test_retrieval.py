"""Retrieval keeps the contract and counts ranks as a slow count does."""

from __future__ import annotations

import numpy
import pytest
from rrgbench_metrics import Retrieval

from rrgbench import Texts
from rrgbench.testing import MetricContract


class TestRetrieval(MetricContract):
    component = Retrieval


def _texts(images: numpy.ndarray, reports: numpy.ndarray, references: list[str]) -> Texts:
    names = tuple(f"s{place}" for place in range(len(references)))
    return Texts(names, ("",) * len(names), tuple(references), image_embeddings=images, report_embeddings=reports)


def _values(texts: Texts) -> dict[str, float]:
    return Retrieval().aggregate(Retrieval().score(texts))


def _unit(rows: numpy.ndarray) -> numpy.ndarray:
    return (rows / numpy.linalg.norm(rows, axis=1, keepdims=True)).astype(numpy.float32)


def test_ranks_are_those_of_a_slow_count() -> None:
    random = numpy.random.default_rng(3)
    images, reports = _unit(random.standard_normal((40, 5))), _unit(random.standard_normal((40, 5)))
    references = [f"report {place % 25}" for place in range(40)]
    found = Retrieval().score(_texts(images, reports, references))
    for query in range(40):
        right = [place for place in range(40) if references[place] == references[query]]
        wrong = [place for place in range(40) if references[place] != references[query]]
        for column, (ours, theirs) in enumerate(((images, reports), (reports, images))):
            scores = theirs.astype(float) @ ours[query].astype(float)
            best = max(scores[place] for place in right)
            assert found[query, column] == 1 + sum(scores[place] >= best for place in wrong)


def test_perfect_embeddings_are_perfect_and_identical_reports_are_all_right() -> None:
    same = _unit(numpy.eye(6))
    values = _values(_texts(same, same[[1, 0, 2, 3, 4, 5]], ["a", "a", "b", "c", "d", "e"]))
    assert values["i2t_recall_1"] == values["t2i_recall_1"] == values["i2t_mrr"] == 1.0
    assert values["i2t_median_rank"] == 1.0
    assert _values(_texts(same, same[[1, 0, 2, 3, 4, 5]], list("abcdef")))["i2t_recall_1"] == pytest.approx(4 / 6)


def test_embeddings_that_are_all_alike_come_last() -> None:
    alike = _unit(numpy.ones((12, 3)))
    values = _values(_texts(alike, alike, [f"r{place}" for place in range(12)]))
    assert values["i2t_median_rank"] == 12
    assert values["i2t_recall_10"] == 0


def test_recalls_median_and_reciprocals_are_of_the_ranks() -> None:
    ranks = numpy.array([[1.0, 2.0], [4.0, 6.0], [11.0, 1.0]])
    values = Retrieval().aggregate(ranks)
    assert [values[f"i2t_recall_{k}"] for k in (1, 5, 10)] == pytest.approx([1 / 3, 2 / 3, 2 / 3])
    assert [values[f"t2i_recall_{k}"] for k in (1, 5, 10)] == pytest.approx([1 / 3, 2 / 3, 1.0])
    assert (values["i2t_median_rank"], values["t2i_median_rank"]) == (4, 2)
    assert values["i2t_mrr"] == pytest.approx((1 + 1 / 4 + 1 / 11) / 3)
    assert next(iter(Retrieval.values)) == "i2t_recall_1"
