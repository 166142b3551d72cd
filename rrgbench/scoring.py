"""Scoring: both sides through the protocol, one row of statistics a report, a value with its signature."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

from rrgbench.errors import DataError, PluginError
from rrgbench.identity import digest
from rrgbench.interfaces import Metric, ScoringProtocol
from rrgbench.statistics import Statistics
from rrgbench.types import Side, Targets, Texts

Embeddings = tuple[np.ndarray[Any, np.dtype[np.float32]], np.ndarray[Any, np.dtype[np.float32]]]
"""Of films and of reports, each (n, E), in the order of the targets."""


@dataclass(frozen=True)
class Score:
    """The statistics of each report, the values over all, and what they may be compared with."""

    statistics: Statistics
    values: Mapping[str, float]
    signature: Mapping[str, Any]


def score(
    metric: Metric,
    protocol: ScoringProtocol,
    predictions: Mapping[str, str],
    targets: Sequence[Targets],
    *,
    protocol_name: str,
    metric_version: str,
    annotators: Sequence[str] = (),
    embeddings: Embeddings | None = None,
) -> Score:
    """Score predictions by study id against the references of exactly these studies.

    Raises:
        DataError: a study without a prediction, or a prediction without a study.
        PluginError: the metric breaks its contract (rows, names, values that are not finite).
    """
    wanted = _same_studies(predictions, targets)
    texts = Texts(
        study_ids=tuple(wanted),
        predictions=_prepared(protocol, [predictions[study] for study in wanted], "prediction"),
        references=_prepared(protocol, [target.report for target in targets], "reference"),
        labels=tuple(target.labels for target in targets) if "labels" in metric.needs else None,
        image_embeddings=None if embeddings is None else embeddings[0],
        report_embeddings=None if embeddings is None else embeddings[1],
    )
    name, scored = type(metric).__name__, metric.score(texts)
    try:
        statistics = np.asarray(scored, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise PluginError(f"metric {name}: score", got=type(scored).__name__, expected="an array of numbers") from error
    if statistics.ndim != 2 or len(statistics) != len(wanted) or not np.isfinite(statistics).all():
        expected = f"finite, ({len(wanted)}, statistics)"
        what = "numbers that are not finite" if statistics.shape[:1] == (len(wanted),) and statistics.ndim == 2 else "array"
        raise PluginError(f"metric {name}: score", got=f"{what} {statistics.shape}", expected=expected)
    values = dict(metric.aggregate(statistics))
    if set(values) != set(metric.values) or not all(_is_finite(value) for value in values.values()):
        raise PluginError(f"metric {name}: aggregate", got=values, expected=f"finite values of {', '.join(metric.values)}")
    signature = {
        "metric": metric.signature(),
        "metric_version": metric_version,
        **({"metric_annotator": ", ".join(annotators)} if annotators else {}),
        "protocol": protocol_name,
        "references_changed": protocol.changes_references,
        "references": digest([[target.study_id, target.report] for target in targets])[:16],
        **_truth(metric, targets),
        "studies": digest(wanted)[:16],
        "n": len(wanted),
    }
    return Score(statistics, {name: float(values[name]) for name in metric.values}, signature)


def _truth(metric: Metric, targets: Sequence[Targets]) -> dict[str, str]:
    """The labels that a metric is held against, where it reads any."""
    if "labels" not in metric.needs:
        return {}
    return {"labels": digest([[target.study_id, target.labels] for target in targets])[:16]}


def _same_studies(predictions: Mapping[str, str], targets: Sequence[Targets]) -> list[str]:
    wanted = [target.study_id for target in targets]
    missing = [study for study in wanted if study not in predictions]
    extra = sorted(set(predictions) - set(wanted))
    if missing or extra:
        got = f"{len(missing)} missing ({', '.join(missing[:3])}), {len(extra)} unknown ({', '.join(extra[:3])})"
        raise DataError("predictions are not of the studies to be scored", got=got, expected=f"{len(wanted)} studies")
    return wanted


def _prepared(protocol: ScoringProtocol, texts: Sequence[str], side: Side) -> tuple[str, ...]:
    prepared = tuple(protocol.prepare(text, side) for text in texts)
    wrong = [text for text in prepared if not isinstance(text, str)]
    if wrong:
        raise PluginError(f"protocol {type(protocol).__name__}: prepare", got=repr(wrong[0]), expected="a text")
    return prepared


def _is_finite(value: object) -> bool:
    return isinstance(value, Real) and math.isfinite(value)
