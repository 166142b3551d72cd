"""Scoring: both sides through the protocol, one row of statistics a report, a value with its signature."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rrgbench.errors import DataError, PluginError
from rrgbench.identity import digest
from rrgbench.interfaces import Metric, ScoringProtocol
from rrgbench.statistics import Statistics
from rrgbench.types import Targets, Texts


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
) -> Score:
    """Score predictions by study id against the references of exactly these studies.

    Raises:
        DataError: a study without a prediction, or a prediction without a study.
        PluginError: the metric breaks its contract (rows, names, values that are not finite).
    """
    wanted = [target.study_id for target in targets]
    missing = [study for study in wanted if study not in predictions]
    extra = sorted(set(predictions) - set(wanted))
    if missing or extra:
        got = f"{len(missing)} missing ({', '.join(missing[:3])}), {len(extra)} unknown ({', '.join(extra[:3])})"
        raise DataError("predictions are not of the studies to be scored", got=got, expected=f"{len(wanted)} studies")
    texts = Texts(
        study_ids=tuple(wanted),
        predictions=tuple(protocol.prepare(predictions[study], "prediction") for study in wanted),
        references=tuple(protocol.prepare(target.report, "reference") for target in targets),
    )
    statistics = np.asarray(metric.score(texts), dtype=np.float64)
    name = type(metric).__name__
    if statistics.ndim != 2 or len(statistics) != len(wanted) or not np.isfinite(statistics).all():
        raise PluginError(
            f"metric {name}: score", got=f"array {statistics.shape}", expected=f"finite, ({len(wanted)}, statistics)"
        )
    values = dict(metric.aggregate(statistics))
    if set(values) != set(metric.values) or not all(np.isfinite(value) for value in values.values()):
        raise PluginError(f"metric {name}: aggregate", got=values, expected=f"finite values of {', '.join(metric.values)}")
    signature = {
        "metric": metric.signature(),
        "metric_version": metric_version,
        "protocol": protocol_name,
        "references_changed": protocol.changes_references,
        "references": digest([[target.study_id, target.report] for target in targets])[:16],
        "studies": digest(wanted)[:16],
        "n": len(wanted),
    }
    return Score(statistics, {name: float(values[name]) for name in metric.values}, signature)
