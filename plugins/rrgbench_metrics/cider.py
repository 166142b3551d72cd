"""CIDEr (Vedantam et al., 2015) as the COCO caption evaluation computes it."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, ClassVar, Literal

import numpy
from pycocoevalcap.cider.cider_scorer import CiderScorer

from rrgbench import DataError, Texts

Statistics = numpy.ndarray[Any, numpy.dtype[numpy.float64]]


class Cider:
    """Mean CIDEr (n 4, sigma 6, scale 10), the value of pycocoevalcap's ``Cider()`` to the last digit.

    An n-gram weighs log(references / references that hold it). So the score of a report hangs on the whole set of
    references; resampling keeps the weights of the full set. What every reference holds weighs nothing: one report
    alone scores 0, and so does a set whose references are all the same.
    """

    values: ClassVar[Mapping[str, Literal["higher", "lower", "neither"]]] = {"cider": "higher"}
    needs: ClassVar[frozenset[str]] = frozenset({"texts"})
    resampled: ClassVar[bool] = True

    def score(self, texts: Texts) -> Statistics:
        """(n reports, 1) float64: each report's score.

        Raises:
            DataError: no reference holds a word.
        """
        if not any(reference.split() for reference in texts.references):
            raise DataError(
                "metric cider: the references are empty",
                got=f"{len(texts.references)} references without a word",
                expected="words to weigh n-grams by",
                hint="look at what the protocol leaves of the references",
            )
        scorer = CiderScorer(n=4, sigma=6.0)
        for prediction, reference in zip(texts.predictions, texts.references, strict=True):
            scorer += (prediction, [reference])
        rows = scorer.compute_score()[1]
        return numpy.asarray(rows, dtype=numpy.float64).reshape(len(rows), 1)

    def aggregate(self, statistics: Statistics) -> dict[str, float]:
        """The mean over reports."""
        return {"cider": float(numpy.mean(numpy.ascontiguousarray(statistics[:, 0])))}

    def signature(self) -> str:
        """Implementation and settings."""
        settings = "n 4|sigma 6|document frequency: all references of the set|mean"
        return f"cider|pycocoevalcap {version('pycocoevalcap')}|{settings}|words: whitespace, after the protocol"
