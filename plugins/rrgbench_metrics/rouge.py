"""ROUGE-L (Lin, 2004) as the COCO caption evaluation computes it."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, ClassVar, Literal

import numpy
from pycocoevalcap.rouge.rouge import Rouge as CocoRouge

from rrgbench import Texts

Statistics = numpy.ndarray[Any, numpy.dtype[numpy.float64]]


class Rouge:
    """Mean ROUGE-L F-score with beta 1.2, the value of pycocoevalcap's ``Rouge()`` to the last digit.

    The package splits at every single space: two spaces in a row make an empty word, which can match one, and an empty
    prediction is one empty word.
    """

    values: ClassVar[Mapping[str, Literal["higher", "lower", "neither"]]] = {"rouge_l": "higher"}
    needs: ClassVar[frozenset[str]] = frozenset({"texts"})
    resampled: ClassVar[bool] = True

    def score(self, texts: Texts) -> Statistics:
        """(n reports, 1) float64: each report's F-score."""
        scorer = CocoRouge()
        rows = [
            scorer.calc_score([prediction], [reference])
            for prediction, reference in zip(texts.predictions, texts.references, strict=True)
        ]
        return numpy.asarray(rows, dtype=numpy.float64).reshape(len(rows), 1)

    def aggregate(self, statistics: Statistics) -> dict[str, float]:
        """The mean over reports."""
        return {"rouge_l": float(numpy.mean(numpy.ascontiguousarray(statistics[:, 0])))}

    def signature(self) -> str:
        """Implementation and settings."""
        return f"rouge|pycocoevalcap {version('pycocoevalcap')}|rouge-l|beta 1.2|mean|words: single spaces, after the protocol"
