"""One of several ranks that train toys together: run by a test in a process of its own."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import torch
from accelerate import Accelerator

_spec = importlib.util.spec_from_file_location("rrgbench_toys", Path(__file__).with_name("toys.py"))
toys = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(toys)

from rrgbench.training import EarlyStopping, Ranks, Recipe, reset_process, train_rung  # noqa: E402

STUDIES = 11
RECIPE = Recipe(epochs=3, batch_size=2, accumulate=2, lr={"default": 3e-3, "image": 1e-3}, warmup=0.2)
RECIPES = {
    "plain": RECIPE,
    "unfrozen": replace(RECIPE, accumulate=4, unfreeze={"text": {"*": 1}, "decoder": {"read": 0, "embed": 2}}, weight_decay=0.5),
    "stopped": replace(RECIPE, early_stopping=EarlyStopping(1, min_delta=10.0)),
    "one": replace(RECIPE, accumulate=3, clip_norm=None),
}


def model(dropout: float = 0.1):
    """A toy without batch norm, whose statistics are those of a batch."""
    made = toys.make_model(sources=("text", "knowledge"), decoder=toys.ToyDecoder(dropout=dropout))
    made.decoder.register_buffer("numbers", torch.arange(4))
    return made


def as_before_1_14(reduce):
    """accelerate's before it knew ``max``."""
    return lambda self, tensor, reduction="sum", **more: reduce(self, tensor, "sum" if reduction == "max" else reduction, **more)


class Telling(toys.ToyCrossEntropy):
    """Tells something beside its value."""

    def told(self) -> dict[str, float]:
        return {"one": 1.0}


def train(out: Path, recipe: Recipe, ranks: Ranks, **more):
    """A rung of the toy: what it told."""
    import numpy as np

    out.mkdir(parents=True, exist_ok=True)
    nodes = np.random.default_rng(0).random((STUDIES, 5)) < 0.4
    losses = [("cross_entropy", 1.0, Telling()), ("quiet", 0.01, toys.ToyQuiet())]
    more = {"start": None, "epochs": range(recipe.epochs), "model": model()} | more
    return train_rung(
        losses=losses,
        data=toys.make_set(STUDIES, active_nodes=nodes),
        validate=toys.make_set(5, seed=1, active_nodes=nodes[:5]),
        recipe=recipe,
        seed=7,
        out=out,
        ranks=ranks,
        **more,
    )


if __name__ == "__main__":
    out, name, size, rank = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    reset_process(0, 1)
    Accelerator.reduce = as_before_1_14(Accelerator.reduce)
    more = {}
    if name == "dying":  # the last rank goes without a word in the second epoch
        name, more = "plain", {"on_epoch": lambda epoch, scores: os._exit(3) if rank == size - 1 else None}
    ranks = Ranks(size, rank, out.with_name(f"{out.name}-meeting"))
    told = train(out, RECIPES[name], ranks, scratch=out.with_name("scratch"), **more)
    print(json.dumps(told["epochs"]))
