"""How well films find their reports, and reports their films, in the common space that a contrastive stage trains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy

from rrgbench import Texts

Statistics = numpy.ndarray[Any, numpy.dtype[numpy.float64]]
_RECALLS = (1, 5, 10)


class Retrieval:
    """Recall at 1, 5 and 10, median rank and mean reciprocal rank, film to report (``i2t``) and report to film (``t2i``).

    Every study of the split is a candidate. Studies whose references are the same text are all relevant, and the best of them
    counts: reports repeat themselves, and nobody could tell which copy was meant. A candidate that is not relevant and scores
    as much as the best relevant one stands before it, so that embeddings which are all alike come last, not first.
    What is written is not read. A resample draws queries; the candidates stay.
    """

    values: ClassVar[Mapping[str, Literal["higher", "lower", "neither"]]] = {
        f"{way}_{name}": better
        for way in ("i2t", "t2i")
        for name, better in (
            *((f"recall_{k}", "higher") for k in _RECALLS),
            ("median_rank", "lower"),
            ("mrr", "higher"),
        )
    }
    needs: ClassVar[frozenset[str]] = frozenset({"embeddings"})
    resampled: ClassVar[bool] = True

    def score(self, texts: Texts) -> Statistics:
        """(n reports, 2) float64: the rank of the best relevant report for the film, and of the best film for the report."""
        images, reports = texts.image_embeddings, texts.report_embeddings
        assert images is not None and reports is not None, "the platform gives what `needs` names"
        similarity = images.astype(numpy.float64) @ reports.astype(numpy.float64).T
        relevant = _relevant(texts.references)
        return numpy.stack([_ranks(similarity, relevant), _ranks(similarity.T, relevant)], axis=1)

    def aggregate(self, statistics: Statistics) -> dict[str, float]:
        """Recalls, median and mean reciprocal rank of the ranks."""
        found: dict[str, float] = {}
        for way, ranks in zip(("i2t", "t2i"), statistics.T, strict=True):
            # Sums of whole numbers are exact, and reciprocals are summed in the order of their size: no order of rows matters.
            found |= {f"{way}_recall_{k}": int((ranks <= k).sum()) / len(ranks) for k in _RECALLS}
            found[f"{way}_median_rank"] = float(numpy.median(ranks))
            found[f"{way}_mrr"] = float(numpy.sort(1.0 / ranks).sum() / len(ranks))
        return found

    def signature(self) -> str:
        """Implementation and settings."""
        return (
            "retrieval|cosine|candidates: all studies of the split|identical references are all relevant|ties against the model"
        )


def _relevant(references: Sequence[str]) -> numpy.ndarray[Any, numpy.dtype[numpy.bool_]]:
    """(n, n): whose references are the same text."""
    numbers = numpy.array([*map({text: place for place, text in enumerate(references)}.__getitem__, references)])
    same: numpy.ndarray[Any, numpy.dtype[numpy.bool_]] = numbers[:, None] == numbers[None]
    return same


def _ranks(
    similarity: numpy.ndarray[Any, numpy.dtype[numpy.float64]], relevant: numpy.ndarray[Any, numpy.dtype[numpy.bool_]]
) -> numpy.ndarray[Any, numpy.dtype[numpy.float64]]:
    """(n,): 1 + the candidates that are not relevant and score at least as much as the best relevant one."""
    best = numpy.where(relevant, similarity, -numpy.inf).max(axis=1, keepdims=True)
    ranks: numpy.ndarray[Any, numpy.dtype[numpy.float64]] = 1.0 + ((similarity >= best) & ~relevant).sum(axis=1)
    return ranks
