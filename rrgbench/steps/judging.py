"""The steps that hold a trained model against targets: embeddings for retrieval, findings on validate. They write no report."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from rrgbench.errors import RRGBenchError
from rrgbench.statistics import auroc as auroc_of
from rrgbench.steps.context import Context, Result
from rrgbench.steps.modelling import build_model, labelled, load_checkpoint, same_domain, study_set
from rrgbench.store import write_json

_STUDIES = 64
"""Studies a forward pass."""

_Array = np.ndarray[Any, np.dtype[np.float32]]


def passes(count: int, context: Context) -> Iterator[list[int]]:
    """The studies of each forward pass; progress is told after it."""
    for first in range(0, count, _STUDIES):
        yield list(range(first, min(first + _STUDIES, count)))
        context.on_progress(min(first + _STUDIES, count), count, "studies")


def embed(context: Context) -> Result:
    """Embed the films and the report of each study of a split; files: images.npy, reports.npy, float32 (n, E) of length 1."""
    domain = same_domain(context, ["checkpoint", "before", "candidates", "features"])
    model, _ = build_model(context)
    load_checkpoint(context, model)
    data = study_set(context, model, None, context.inputs(context.payload["inputs"]), context.targets(context.payload["targets"]))
    model.to(context.device).eval()
    images: list[_Array] = []
    reports: list[_Array] = []
    with torch.inference_mode():
        for chosen in passes(len(data), context):
            image, report = model.embed(
                data.inputs_batch(chosen).to(context.device), data.targets_batch(chosen).to(context.device)
            )
            assert image is not None and report is not None, "planned for cells that have both alone"
            images.append(image.float().cpu().numpy())
            reports.append(report.float().cpu().numpy())
    for name, parts in (("images", images), ("reports", reports)):
        whole = np.concatenate(parts)
        if not np.isfinite(whole).all():
            raise RRGBenchError(
                f"embeddings of {name} are not finite", hint="did the stage that trained them diverge? Try a lower lr"
            )
        np.save(context.draft / f"{name}.npy", whole, allow_pickle=False)
    return Result(domain)


def auroc(context: Context) -> Result:
    """How well the image encoder tells the findings of a split; file: auroc.json.

    ``by_finding`` maps a finding with at least ``least`` positives and negatives to its AUROC; ``mean`` is over them, and null
    where there is none.
    """
    domain = same_domain(context, ["checkpoint"])
    names, targets = labelled(context, context.targets(context.payload["targets"]), "judged")
    model, _ = build_model(context, len(names))
    load_checkpoint(context, model)
    data = study_set(context, model, None, context.inputs(context.payload["inputs"]), targets, names)
    model.to(context.device).eval()
    scores: list[_Array] = []
    truth: list[_Array] = []
    with torch.inference_mode():
        for chosen in passes(len(data), context):
            judged = data.targets_batch(chosen)
            logits = model(data.inputs_batch(chosen).to(context.device), judged.to(context.device)).finding_logits
            assert logits is not None and judged.labels is not None, "planned for stages that learn findings alone"
            scores.append(logits.float().cpu().numpy())
            truth.append(judged.labels.numpy())
    found = auroc_of(np.concatenate(truth), np.concatenate(scores), names, least=LEAST)
    mean = float(np.mean(list(found.values()))) if found else None
    write_json(context.draft / "auroc.json", {"mean": mean, "by_finding": found, "least": LEAST})
    return Result(domain)


LEAST = 5
"""Findings rarer than this on the split are left out of the mean."""
