"""METEOR 1.5 (Denkowski and Lavie, 2014) as the COCO caption evaluation computes it: its jar matches, the formula is ours."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.metadata import version
from typing import Any, ClassVar, Literal

import numpy

from rrgbench import PluginError, Texts
from rrgbench.jvm import JavaProgram, packaged

Statistics = numpy.ndarray[Any, numpy.dtype[numpy.float64]]

_ALPHA, _BETA, _GAMMA, _DELTA = 0.85, 0.2, 0.6, 0.75
_WEIGHTS = (1.0, 0.6, 0.8, 0.6)
"""Of exact, stem, synonym and paraphrase matches; these and the line above are what the jar takes for English."""

_COLUMNS = 23
_LENGTHS = slice(0, 2)
_FUNCTION_WORDS = slice(2, 4)
_MATCHES = slice(4, 20)
"""For each kind of match: content words of hypothesis and reference, function words of hypothesis and reference."""
_CHUNKS = 20
_MATCHED = slice(21, 23)
"""Matched words of hypothesis and reference."""


def _arguments() -> list[str]:
    jar = packaged("pycocoevalcap", "meteor/meteor-1.5.jar")
    # Where it looks for this table by itself, a space in the path is not understood.
    table = packaged("pycocoevalcap", "meteor/data/paraphrase-en.gz")
    return ["-jar", str(jar), "-", "-", "-stdio", "-l", "en", "-norm", "-a", str(table)]


_METEOR = JavaProgram("METEOR 1.5", _arguments, heap="1g")
"""Reading its tables takes 6 s of a core and .5 GiB: one a process, kept."""


def _line(text: str) -> str:
    """A text as a field of a question: no line break, no separator, no lone surrogate, which is no character."""
    text = text.replace("\r", " ").replace("\n", " ").replace("|||", "")
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


@lru_cache(maxsize=100_000)
def _matches(reference: str, hypothesis: str) -> tuple[float, ...]:
    """What the jar counts for a pair."""
    # As pycocoevalcap does, in the hypothesis alone.
    (answer,) = _METEOR.ask(f"SCORE ||| {_line(reference)} ||| {_line(hypothesis).replace('  ', ' ')}\n")
    try:
        counts = tuple(float(word) for word in answer.split())
    except ValueError:
        counts = ()
    if len(counts) != _COLUMNS or not all(map(math.isfinite, counts)):
        raise PluginError("METEOR 1.5 gave an odd answer", got=answer, expected=f"{_COLUMNS} numbers")
    return counts


class Meteor:
    """Corpus METEOR, the first value of pycocoevalcap's ``Meteor()`` to the last digit.

    A report's statistics are the jar's: lengths, function words, matches, chunks. They are summed before anything is
    divided; it is not a mean over reports. As in the jar, a report that is its reference word for word adds no chunk.
    ``|||`` is taken out of both sides and a line break is a space; pycocoevalcap takes it out of the hypothesis only, and
    fails at line breaks.
    """

    values: ClassVar[Mapping[str, Literal["higher", "lower", "neither"]]] = {"meteor": "higher"}
    needs: ClassVar[frozenset[str]] = frozenset({"texts"})
    resampled: ClassVar[bool] = True

    def score(self, texts: Texts) -> Statistics:
        """(n reports, 23) float64, whole numbers.

        Raises:
            PluginError: there is no Java, or the jar fails.
        """
        rows = [_matches(*pair) for pair in zip(texts.references, texts.predictions, strict=True)]
        return numpy.asarray(rows, dtype=numpy.float64).reshape(len(rows), _COLUMNS)

    def aggregate(self, statistics: Statistics) -> dict[str, float]:
        """METEOR of the corpus."""
        matches = statistics[:, _MATCHES]
        both = numpy.stack([matches[:, 0::2].sum(axis=1), matches[:, 1::2].sum(axis=1)], axis=1)
        same = (both == statistics[:, _LENGTHS]).all(axis=1) & (statistics[:, _CHUNKS] == 1)
        # Sums of whole numbers are exact, so that their order does not matter.
        sums = statistics.sum(axis=0)
        sums[_CHUNKS] -= same.sum()
        return {"meteor": _closed(sums.tolist())}

    def signature(self) -> str:
        """Implementation and settings."""
        settings = "jar 1.5, -l en -norm|alpha .85, beta .2, gamma .6, delta .75|weights 1, .6, .8, .6|aggregate of the corpus"
        return f"meteor|pycocoevalcap {version('pycocoevalcap')}|{settings}|words: METEOR's own, after the protocol"


def _closed(sums: Sequence[float]) -> float:
    """The score from summed counts, with the float operations of the jar's ``MeteorScorer.computeMetrics``, in their order."""
    means = []
    for side in (0, 1):  # hypothesis, reference
        content, function = sums[_MATCHES][side::4], sums[_MATCHES][side + 2 :: 4]
        weighted = 0.0
        for weight, count in zip(_WEIGHTS, content, strict=True):
            weighted += count * weight * _DELTA
        for weight, count in zip(_WEIGHTS, function, strict=True):
            weighted += count * weight * (1.0 - _DELTA)
        length, functions = sums[_LENGTHS][side], sums[_FUNCTION_WORDS][side]
        if weighted == 0.0:
            return 0.0
        means.append(weighted / (_DELTA * (length - functions) + (1.0 - _DELTA) * functions))
    precision, recall = means
    mean = 1.0 / ((1.0 - _ALPHA) / precision + _ALPHA / recall)
    chunks = sums[_CHUNKS] / (sum(sums[_MATCHED]) / 2.0)
    return max(mean * (1.0 - _GAMMA * chunks**_BETA), 0.0)
