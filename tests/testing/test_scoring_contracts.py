"""Each mistake in a tokenizer or a metric is caught by the check that is for it."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from rrgbench import Texts
from rrgbench.testing import ToyTokenizer, failures

torch.set_num_threads(1)

Failing = Callable[..., str]


class WrongTokenizer(ToyTokenizer):
    def __init__(self, train_reports: tuple[str, ...]) -> None:
        super().__init__(train_reports)


@pytest.mark.parametrize(
    ("methods", "sentence"),
    [
        ({"encode": lambda self, text: ToyTokenizer.encode(self, text)[1:]}, "no [bos, .., eos]"),
        ({"encode": lambda self, text: [1, *(4 for _ in text.split()), 2]}, "more than its max_length"),
        ({"encode": lambda self, text: [1, 99, 2]}, "outside of its vocabulary"),
        ({"encode": lambda self, text: torch.tensor([1, 2])}, "no list of int"),
        ({"encode": lambda self, text: [1, *text.encode("utf-8")[:0], 2]}, "UnicodeEncodeError"),
        ({"decode": lambda self, ids: " ".join(self._words[each] for each in ids)}, "does not leave bos and eos out"),
    ],
)
def test_a_wrong_tokenizer_is_caught(failing: Failing, methods: dict[str, Callable[..., Any]], sentence: str) -> None:
    component = type("Wrong", (WrongTokenizer,), methods)
    assert sentence in failing("tokenizers", component, "framed")


def test_a_tokenizer_that_loses_words_or_depends_on_more_than_the_reports_is_caught(failing: Failing) -> None:
    loses = type("Loses", (WrongTokenizer,), {"encode": lambda self, text: ToyTokenizer.encode(self, text.replace("heart", ""))})
    assert "Loses makes" in failing("tokenizers", loses, "come back")
    counter = itertools.count(4)

    class Counts(WrongTokenizer):
        def __init__(self, train_reports: tuple[str, ...]) -> None:
            super().__init__(train_reports)
            self.shift = next(counter)

        def encode(self, text: str) -> list[int]:
            return [1, self.shift, 2]

    assert "not made the same twice" in failing("tokenizers", Counts, "same twice")


def test_a_right_tokenizer_passes() -> None:
    assert failures("tokenizers", WrongTokenizer) == {}


class RightMetric:
    """Share of reference words that the prediction has."""

    values: ClassVar[Mapping[str, str]] = {"recall": "higher"}
    needs: ClassVar[frozenset[str]] = frozenset({"texts"})
    resampled: ClassVar[bool] = True

    def score(self, texts: Texts) -> Any:
        pairs = zip(texts.predictions, texts.references)
        rows = [[len(set(p.split()) & set(r.split())), len(set(r.split()))] for p, r in pairs]
        return np.array(rows, dtype=np.float64)

    def aggregate(self, statistics: Any) -> dict[str, float]:
        found, wanted = statistics.sum(axis=0)
        return {"recall": found / wanted}

    def signature(self) -> str:
        return "recall|words:spaces"


RIGHT = RightMetric()


@pytest.mark.parametrize(
    ("members", "check", "sentence"),
    [
        ({"values": {"recall": "up"}}, "a plan can read", "not a mapping of names to"),
        ({"needs": {"texts"}}, "a plan can read", "needs is"),
        ({"resampled": 1}, "a plan can read", "resampled is not a bool"),
        ({"score": lambda self, texts: RIGHT.score(texts)[:3]}, "a row of statistics", "not one a report"),
        ({"score": lambda self, texts: RIGHT.score(texts) / 0.0}, "a row of statistics", "NaN or infinity"),
        ({"score": lambda self, texts: RIGHT.score(texts).astype(np.float32)}, "a row of statistics", "float64"),
        ({"aggregate": lambda self, s: {"precision": 1.0}}, "a row of statistics", "`values` names ['recall']"),
        ({"aggregate": lambda self, s: {"recall": float(np.corrcoef(s[:, 0], s[:, 1])[0, 1])}}, "resample", "NaN or infinity"),
        ({"aggregate": lambda self, s: RIGHT.aggregate(np.add(s, 1, out=s))}, "resample", "writes into"),
        ({"aggregate": lambda self, s: {"recall": s[0, 0] / s[0, 1]}}, "order of reports", "depends on the order"),
        (
            {"score": lambda self, texts: RIGHT.score(texts) + np.random.default_rng().random()},
            "deterministic",
            "not deterministic",
        ),
        (
            {"score": lambda self, texts: RIGHT.score(_by_lines(texts))[: len(texts.predictions)]},
            "its own row",
            "change the rows of others",
        ),
        ({"values": {"recall": "lower"}}, "headline prefers", "recall is 1.0 for the right reports"),
        ({"signature": lambda self: "two\nlines"}, "signature", "not one line"),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning", "ignore:divide by zero:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:Degrees of freedom:RuntimeWarning")
def test_a_wrong_metric_is_caught(failing: Failing, members: dict[str, Any], check: str, sentence: str) -> None:
    component = type("WrongMetric", (RightMetric,), members)
    assert sentence in failing("metrics", component, check)


def _by_lines(texts: Texts) -> Texts:
    """As a tool does that writes one prediction a line and splits them again."""
    return dataclasses.replace(texts, predictions=tuple("\n".join(texts.predictions).splitlines()))


def test_a_right_metric_passes() -> None:
    assert failures("metrics", RightMetric) == {}
