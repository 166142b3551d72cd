"""From component requests to a model, its tokenizers and its study sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import nn

from rrgbench.batches import StudySet
from rrgbench.errors import PluginError, RRGBenchError
from rrgbench.identity import derive_seed
from rrgbench.interfaces import Tokenizer
from rrgbench.model import Model
from rrgbench.steps.context import Context
from rrgbench.store import read_done
from rrgbench.training import numerics_domain
from rrgbench.training.process import seed_everything
from rrgbench.types import Inputs, Targets


def build_model(context: Context, adapters: Mapping[str, Any]) -> tuple[Model, Tokenizer]:
    """The model of the step's payload with fresh weights, and the tokenizer that it writes in.

    Every part is made under a seed of its own, so that cells that differ in one part start with the same others.

    Raises:
        PluginError: a part is not an nn.Module.
    """
    wanted = context.payload["model"]
    tokenizer = context.value("tokenizer")

    def make(name: str, component: Mapping[str, Any], **values: Any) -> nn.Module:
        seed_everything(derive_seed(context.seed, "init", name))
        module = context.build(component, **values)
        if not isinstance(module, nn.Module):
            raise PluginError(f"{name}: {type(module).__name__} is not a torch module")
        if name not in adapters:
            return module
        adapted: nn.Module = context.build(adapters[name], module=module)()
        return adapted

    encoders = {source: make(source, component) for source, component in wanted["encoders"].items()}
    decoder = make("decoder", wanted["decoder"], tokenizer=tokenizer)
    dims = {source: int(getattr(encoder, "num_features", 0)) for source, encoder in encoders.items()}
    fusion = make("fusion", wanted["fusion"], dims=dims, memory_dim=int(getattr(decoder, "hidden_size", 0)))
    seed_everything(derive_seed(context.seed, "init", "model"))
    return Model(encoders, fusion, decoder), tokenizer


def study_set(
    context: Context,
    model: Model,
    tokenizer: Tokenizer,
    inputs: Sequence[Inputs],
    targets: Sequence[Targets] | None = None,
    labels: Sequence[str] = (),
) -> StudySet:
    """Studies as the model reads them; without targets for everything but training."""
    pixels = context.upstream("pixels")
    context_tokenizer: Any = getattr(dict(model.encoders.items()).get("text"), "tokenizer", None)
    return StudySet(
        inputs,
        pixels=np.load(pixels[0] / "pixels.npy", mmap_mode="r") if pixels else None,
        context_tokenizer=context_tokenizer,
        targets=targets,
        report_tokenizer=tokenizer if targets is not None else None,
        label_names=tuple(labels) if targets is not None else (),
    )


def same_domain(context: Context, roles: Sequence[str]) -> dict[str, Any]:
    """The numerics domain of this process, which must be that of the run's earlier steps: a run never mixes them.

    Raises:
        RRGBenchError: an earlier step of the run was done elsewhere.
    """
    here: dict[str, Any] = dict(numerics_domain(context.device))
    for role in roles:
        for folder in context.upstream(role):
            there = read_done(folder).domain
            if there is not None and there != here:
                different = [key for key in here if here[key] != there.get(key)]
                raise RRGBenchError(
                    f"this run was begun with other numerics ({', '.join(different)})",
                    got=", ".join(f"{key} {here[key]}" for key in different),
                    expected=", ".join(f"{key} {there.get(key)}" for key in different),
                    hint="go on where it was begun, or start it anew with another --store",
                )
    return here
