"""The steps that score: statistics of each report, the choice of a checkpoint, intervals over subjects."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from rrgbench.errors import DataError, RRGBenchError
from rrgbench.findings import labels_of
from rrgbench.interfaces import Annotator, Metric
from rrgbench.scoring import Embeddings
from rrgbench.scoring import score as score_texts
from rrgbench.statistics import Interval, bootstrap, mean_values
from rrgbench.steps.context import Context, Result, read_predictions
from rrgbench.store import read_json, write_json


def score(context: Context) -> Result:
    """Score predictions against the references of their split; files: statistics.npy, score.json."""
    payload = context.payload
    protocol = payload["protocol"]["$component"]
    scored = score_texts(
        context.build(payload["metric"]),
        context.build(payload["protocol"]),
        read_predictions(context.upstream("predictions")[0] / "predictions.jsonl"),
        context.targets(payload["targets"]),
        protocol_name=_words(protocol),
        metric_version=payload["metric"]["$component"]["version"],
        annotators=_annotators(payload["metric"]["$component"]),
        embeddings=_embeddings(context),
    )
    np.save(context.draft / "statistics.npy", scored.statistics, allow_pickle=False)
    write_json(context.draft / "score.json", {"values": dict(scored.values), "signature": dict(scored.signature)})
    return Result()


def _embeddings(context: Context) -> Embeddings | None:
    folders = context.upstream("embeddings")
    if not folders:
        return None
    images, reports = (np.load(folders[0] / f"{name}.npy", allow_pickle=False) for name in ("images", "reports"))
    return images, reports


def labels(context: Context) -> Result:
    """What findings the reports of a split state, by an annotator; file: labels.json.

    ``studies`` maps a study to the findings that its report states (1: present, or uncertain) or denies (0); ``names`` are
    those that at least ``LEAST`` reports of the split state.
    """
    annotator: Annotator = context.build(context.payload["annotator"])
    targets = context.targets(context.payload["targets"])
    graphs = annotator([target.report for target in targets])
    studies = {target.study_id: labels_of(graph) for target, graph in zip(targets, graphs, strict=True)}
    counts = Counter(name for row in studies.values() for name, value in row.items() if value)
    names = sorted(name for name, count in counts.items() if count >= LEAST)
    if not counts:
        got = f"no finding in {len(targets)} reports"
        raise DataError(
            "labels by an annotator", got=got, expected="reports that state findings", hint="is it made for such reports?"
        )
    write_json(context.draft / "labels.json", {"names": names, "studies": studies, "counts": dict(counts)})
    return Result()


LEAST = 5
"""Findings that fewer train reports state are not learnt."""


def _words(component: dict[str, Any]) -> str:
    """A component with its options and version, in one line."""
    files = component.get("files", {})  # a file counts by its content, not by its place
    options = ",".join(f"{key}={files.get(str(value), value)}" for key, value in sorted(component["options"].items()))
    return f"{component['name']}({options})@{component['version'][:8]}"


def _annotators(component: dict[str, Any]) -> list[str]:
    """The annotators inside a component: a score stands only beside those of the same one."""
    nested = [value["$component"] for value in component["options"].values() if isinstance(value, dict) and "$component" in value]
    return [_words(item) for item in nested if item["kind"] == "annotators"]


def select(context: Context) -> Result:
    """Choose the best candidate by a value on validate; the earlier one where they are equal. File: select.json."""
    name, better = context.payload["value"], context.payload["better"]
    values = [float(read_json(folder / "score.json")["values"][name]) for folder in context.upstream("scores")]
    best = max(values) if better == "higher" else min(values)
    write_json(context.draft / "select.json", {"value": name, "values": values, "chosen": values.index(best)})
    return Result()


def intervals(context: Context) -> Result:
    """Values over all seeds with their intervals; file: intervals.json.

    Raises:
        RRGBenchError: the seeds were scored under different signatures.
    """
    metric: Metric = context.build(context.payload["metric"], train_reports=())
    folders = context.upstream("scores")
    scores = [read_json(folder / "score.json") for folder in folders]
    if any(item["signature"] != scores[0]["signature"] for item in scores):
        raise RRGBenchError("the seeds of a cell were scored under different signatures")
    runs = [np.load(folder / "statistics.npy", allow_pickle=False) for folder in folders]
    subjects = [item.subject_id for item in context.inputs(context.payload["inputs"])]
    if metric.resampled:
        found = bootstrap(metric, runs, subjects, resamples=context.payload["resamples"])
    else:
        found = {name: Interval(value, value, value) for name, value in mean_values(metric, runs).items()}
    values = {
        name: {
            "value": interval.value,
            "low": interval.low if metric.resampled else None,
            "high": interval.high if metric.resampled else None,
            "seeds": [item["values"][name] for item in scores],
            "sd": float(np.std([item["values"][name] for item in scores], ddof=1)) if len(scores) > 1 else None,
            "better": metric.values[name],
        }
        for name, interval in found.items()
    }
    told = {"values": values, "order": list(values), "signature": scores[0]["signature"], "subjects": len(set(subjects))}
    write_json(context.draft / "intervals.json", told)
    return Result()
