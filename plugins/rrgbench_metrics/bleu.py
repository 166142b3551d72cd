"""BLEU (Papineni et al., 2002) as the COCO caption evaluation computes it."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, ClassVar, Literal

import numpy
from pycocoevalcap.bleu.bleu_scorer import BleuScorer

from rrgbench import Texts
from rrgbench.text import bleu_from_counts

Statistics = numpy.ndarray[Any, numpy.dtype[numpy.float64]]
_N = 4


class Bleu:
    """Corpus BLEU-1 to BLEU-4, the value of pycocoevalcap's ``Bleu(4)`` to the last digit.

    A report's statistics are its n-gram matches (4), its n-grams (4), its words and the reference's words.
    """

    values: ClassVar[Mapping[str, Literal["higher", "lower", "neither"]]] = {
        "bleu_4": "higher",
        "bleu_1": "higher",
        "bleu_2": "higher",
        "bleu_3": "higher",
    }
    needs: ClassVar[frozenset[str]] = frozenset({"texts"})
    resampled: ClassVar[bool] = True

    def score(self, texts: Texts) -> Statistics:
        """(n reports, 10) float64."""
        scorer = BleuScorer(n=_N)
        for prediction, reference in zip(texts.predictions, texts.references, strict=True):
            scorer += (prediction, [reference])
        rows = [[*part["correct"], *part["guess"], part["testlen"], part["reflen"][0]] for part in scorer.ctest]
        return numpy.asarray(rows, dtype=numpy.float64).reshape(len(rows), 2 * _N + 2)

    def aggregate(self, statistics: Statistics) -> dict[str, float]:
        """BLEU of the corpus: counts are summed before anything is divided."""
        # Sums of whole numbers are exact, so that their order does not matter.
        sums = [int(total) for total in statistics.sum(axis=0)]
        scores = bleu_from_counts(sums[:_N], sums[_N : 2 * _N], sums[-2], sums[-1])
        named = {f"bleu_{order}": score for order, score in enumerate(scores, start=1)}
        return {name: named[name] for name in self.values}

    def signature(self) -> str:
        """Implementation and settings."""
        settings = "corpus|n 4|closest reference length"
        return f"bleu|pycocoevalcap {version('pycocoevalcap')}|{settings}|words: whitespace, after the protocol"
