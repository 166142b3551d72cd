"""Do reports state the same findings? F1 of findings, against the references' or against a data set's own labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy

from rrgbench import Annotator, DataError, Texts
from rrgbench.findings import FINDINGS, labels_of
from rrgbench_metrics.annotated import annotated
from rrgbench_metrics.fractions import precision_recall_f1

Statistics = numpy.ndarray[Any, numpy.dtype[numpy.float64]]
Labels = Mapping[str, int]

POSITIVES = 5
"""A finding counts in the macro F1 if at least so many references of the full set have it."""


def counts(pairs: Iterable[tuple[Labels, Labels | None]], names: Sequence[str]) -> Statistics:
    """(n reports, 4 x names) float64: for each finding true positives, false positives, false negatives, and whether it counts.

    Whether a finding counts in the macro F1 is decided by the full set and stands in every row, so that a resample keeps
    the choice. A report whose truth does not hold a finding counts for nothing there.
    """
    rows = []
    for found, truth in pairs:
        row: list[int] = []
        for name in names:
            right = None if truth is None else truth.get(name)
            stated = found[name]
            row += [0, 0, 0] if right is None else [stated & right, stated & (1 - right), (1 - stated) & right]
        rows.append(row)
    table = numpy.asarray(rows, dtype=numpy.float64).reshape(len(rows), len(names), 3)
    positives = table[:, :, 0].sum(axis=0) + table[:, :, 2].sum(axis=0)
    counted = numpy.broadcast_to((positives >= POSITIVES)[None, :, None], (len(rows), len(names), 1))
    return numpy.concatenate([table, counted.astype(numpy.float64)], axis=2).reshape(len(rows), 4 * len(names))


def fractions_of(statistics: Statistics) -> tuple[float, float, float, float]:
    """Macro F1 over the findings that count, micro F1, precision and recall over all; 0 where there is nothing to count."""
    table = statistics.reshape(len(statistics), -1, 4)
    sums = table[:, :, :3].sum(axis=0)
    counted = table[:, :, 3].max(axis=0) > 0
    scores = [precision_recall_f1(*(float(one) for one in row))[2] for row in sums[counted]]
    precision, recall, micro = precision_recall_f1(*(float(one) for one in sums.sum(axis=0)))
    return (sum(scores) / len(scores) if scores else 0.0), micro, precision, recall


class Findings:
    """F1 of the findings that an annotator reads from predictions, against those that it reads from references.

    ``findings_macro_f1``: mean over findings that 5 references or more state, ``normal`` among them; micro F1, precision
    and recall: over all findings. A finding that a report calls uncertain counts as present (as CheXbert's F1 does it),
    one that it does not mention as absent. Texts are lower-cased before annotation.

    Args:
        annotator: who reads the reports; a score stands only beside those of the same annotator.
    """

    values: ClassVar[Mapping[str, Literal["higher", "lower", "neither"]]] = {
        "findings_macro_f1": "higher",
        "findings_micro_f1": "higher",
        "findings_precision": "higher",
        "findings_recall": "higher",
    }
    needs: ClassVar[frozenset[str]] = frozenset({"texts", "annotations"})
    resampled: ClassVar[bool] = True

    def __init__(self, *, annotator: Annotator = "lexicon") -> None:
        self._annotator = annotator

    def score(self, texts: Texts) -> Statistics:
        """(n reports, 4 x findings) float64 in the order of ``rrgbench.findings.FINDINGS``; see ``counts``."""
        predictions, references = annotated(self._annotator, texts)
        known = {id(graph): labels_of(graph) for graph in (*predictions, *references)}
        return counts(((known[id(one)], known[id(other)]) for one, other in zip(predictions, references)), FINDINGS)

    def aggregate(self, statistics: Statistics) -> dict[str, float]:
        """Counts are summed before anything is divided."""
        return dict(zip(self.values, fractions_of(statistics)))

    def signature(self) -> str:
        """Implementation and settings."""
        settings = f"{len(FINDINGS)} findings|uncertain present|macro over {POSITIVES} positives or more|texts lower-cased"
        return f"findings|rrgbench 1|{settings}|annotator {self._annotator.identity}"


class LabelFindings:
    """F1 of the findings that an annotator reads from predictions, against the data set's own labels of the studies.

    Only findings that both know by the same name take part. The references' text is not read, so that an annotator that
    was written for it has no home advantage on that side. Macro, micro, uncertain and case: as in ``findings``.

    Args:
        annotator: who reads the predictions.

    Raises:
        DataError: (scoring) the data set has no labels, or none that is a finding.
    """

    values: ClassVar[Mapping[str, Literal["higher", "lower", "neither"]]] = {
        "label_macro_f1": "higher",
        "label_micro_f1": "higher",
        "label_precision": "higher",
        "label_recall": "higher",
    }
    needs: ClassVar[frozenset[str]] = frozenset({"texts", "annotations", "labels"})
    resampled: ClassVar[bool] = True

    def __init__(self, *, annotator: Annotator = "lexicon") -> None:
        self._annotator = annotator

    def score(self, texts: Texts) -> Statistics:
        """(n reports, 4 x findings) float64; findings that no label names count for nothing."""
        labels = texts.labels or (None,) * len(texts.predictions)
        shared = {name for label in labels for name in label or ()} & set(FINDINGS)
        if not shared:
            names = sorted({name for label in labels for name in label or ()})
            raise DataError(
                "metric label_findings: labels of the references",
                got=", ".join(names) or "none",
                expected=f"labels among {', '.join(FINDINGS)}",
                hint="leave the metric out for this data set, or use findings",
            )
        predictions, _ = annotated(self._annotator, texts, references=False)
        known = {id(graph): labels_of(graph) for graph in predictions}
        return counts(((known[id(graph)], label) for graph, label in zip(predictions, labels)), FINDINGS)

    def aggregate(self, statistics: Statistics) -> dict[str, float]:
        """Counts are summed before anything is divided."""
        return dict(zip(self.values, fractions_of(statistics)))

    def signature(self) -> str:
        """Implementation and settings."""
        settings = f"findings of the labels|uncertain present|macro over {POSITIVES} positives or more|texts lower-cased"
        return f"label_findings|rrgbench 1|{settings}|annotator {self._annotator.identity}"
