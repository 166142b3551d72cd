"""What the head of findings of an earlier stage says of films: inputs alone go in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from rrgbench.batches import StudySet
from rrgbench.knowledge.active import Floats
from rrgbench.steps.context import Context
from rrgbench.steps.judging import passes
from rrgbench.steps.modelling import build_model, load_checkpoint, same_domain
from rrgbench.types import Inputs


def finding_probabilities(context: Context, names: Sequence[str]) -> tuple[Floats, Floats, Mapping[str, Any]]:
    """Probabilities of the findings ``names`` for the split in question and for validate, each (n, K); and the numerics."""
    domain = same_domain(context, ["checkpoint"])
    model, _ = build_model(context, len(names))
    load_checkpoint(context, model)
    model.to(context.device).eval()
    heads = model.heads
    assert heads is not None, "planned for a stage that learns findings"

    def told(inputs: Sequence[Inputs], role: str) -> Floats:
        pixels = np.load(context.upstream(role)[0] / "pixels.npy", mmap_mode="r")
        data = StudySet(inputs, pixels=pixels)
        found = []
        for chosen in passes(len(data), context):
            logits = heads.finding_logits(model.encode(data.inputs_batch(chosen).to(context.device))["image"])
            assert logits is not None, "the head of findings is there"
            found.append(logits.double().sigmoid().cpu().numpy())
        return np.concatenate(found)

    with torch.inference_mode():
        asked = told(context.inputs(context.payload["inputs"]), "pixels")
        others = told(context.inputs(context.payload["validate_inputs"]), "validate_pixels")
    return asked, others, domain
