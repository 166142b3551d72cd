"""How different the generated reports are: a model that writes one sentence for everybody shows here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy

from rrgbench import Texts
from rrgbench.text import clean_r2gen_iu, ngrams, words

Statistics = numpy.ndarray[Any, numpy.dtype[numpy.float64]]


def _plain(report: str) -> str:
    """A report without case, punctuation and spacing, so that cleaned and uncleaned copies are alike."""
    return " ".join(words(clean_r2gen_iu(report)))


class Diversity:
    """Unique reports, distinct n-grams (Li et al., 2016), length, and reports that stand in train. References are not read.

    ``unique``: different predictions; ``unique_share``: of all; ``distinct_1``, ``distinct_2``: different n-grams of all
    n-grams of the set (0 where there is none); ``mean_length``: words; ``train_share``: predictions that are a train report
    once both are cleaned by R2Gen's rule, which undoes what the usual protocols do.

    A row counts what it adds to the rows before it, so that sums over the full set are exact. A resample has no meaning.

    Args:
        train_reports: the reports of the train split.
    """

    values: ClassVar[Mapping[str, Literal["higher", "lower", "neither"]]] = {
        "unique": "higher",
        "unique_share": "higher",
        "distinct_1": "higher",
        "distinct_2": "higher",
        "mean_length": "neither",
        "train_share": "neither",
    }
    needs: ClassVar[frozenset[str]] = frozenset({"texts", "train_reports"})
    resampled: ClassVar[bool] = False

    def __init__(self, train_reports: Sequence[str]) -> None:
        self._train = frozenset(_plain(report) for report in train_reports)

    def score(self, texts: Texts) -> Statistics:
        """(n reports, 7) float64: new report, words, new unigrams, unigrams, new bigrams, bigrams, train report."""
        seen_texts: set[str] = set()
        seen: tuple[set[tuple[str, ...]], ...] = (set(), set())
        rows = []
        for prediction in texts.predictions:
            tokens = words(prediction)
            row: list[int] = [prediction not in seen_texts, len(tokens)]
            seen_texts.add(prediction)
            for order, before in enumerate(seen, start=1):
                counts = ngrams(tokens, order)
                row += [len(counts.keys() - before), counts.total()]
                before.update(counts)
            rows.append([*row, _plain(prediction) in self._train])
        return numpy.asarray(rows, dtype=numpy.float64).reshape(len(rows), 7)

    def aggregate(self, statistics: Statistics) -> dict[str, float]:
        """The values of the full set."""
        number = len(statistics)
        unique, length, new_1, all_1, new_2, all_2, train = (float(total) for total in statistics.sum(axis=0))
        return {
            "unique": unique,
            "unique_share": unique / number,
            "distinct_1": new_1 / max(all_1, 1.0),
            "distinct_2": new_2 / max(all_2, 1.0),
            "mean_length": length / number,
            "train_share": train / number,
        }

    def signature(self) -> str:
        """Implementation and settings."""
        settings = "distinct n 1-2 of the set|train reports: after R2Gen cleaning"
        return f"diversity|rrgbench 1|{settings}|words: whitespace, after the protocol"
