"""What the platform's training loop costs: ``train_rung`` against a plain PyTorch loop on the same model and batches.

The plain loop does the same by hand: AdamW with the same rates, clipping, the same order of studies, and weights and
moments written at the end. It knows no precision, accumulation, killed process, device or loss that is not a number. Both must
end with the same weights, to the bit. A rung has a fixed price (set-up, a state that is on the disk for certain, a garbage
collection), so that the ratio is worst where training is short, as it is here.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from measuring import Comparison, Second, Side
from rrgbench_losses import CrossEntropy
from safetensors.torch import save_file
from world import World

from rrgbench import derive_seed
from rrgbench.batches import StudySet
from rrgbench.model import Model
from rrgbench.training import Recipe, train_rung
from rrgbench.training.recipe import make_optimizer

SEED = 1


def comparisons(world: World) -> Iterator[Comparison]:
    """Two epochs on the train split."""
    recipe = Recipe(epochs=2, batch_size=16, lr={"default": 2e-3})
    data, loss, out = world.study_set("train"), CrossEntropy(), world.folder / "trained"

    def platform() -> Model:
        model = world.model()
        train_rung(
            model, [("cross_entropy", 1.0, loss)], data, recipe, seed=SEED, epochs=range(recipe.epochs), start=None, out=out
        )
        return model

    def plain() -> Model:
        model = world.model()
        plain_loop(model, loss, data, recipe, out)
        return model

    def empty() -> None:
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()

    def same(one: Model, other: Model) -> bool:
        left, right = one.state_dict(), other.state_dict()
        return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)

    ours = Second("training loop", Side("train_rung", platform, empty), same)
    yield Comparison(Side("plain PyTorch loop", plain, empty), [ours], rounds=2 if world.quick else None)


def plain_loop(model: Model, loss: CrossEntropy, data: StudySet, recipe: Recipe, out: Path) -> None:
    """Train as anybody would write it down for one device and one loss."""
    optimizer = make_optimizer(model, recipe)
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    step = 0
    for epoch in range(recipe.epochs):
        torch.manual_seed(derive_seed(SEED, "epoch", epoch))
        order = np.random.default_rng(derive_seed(SEED, "order", epoch)).permutation(len(data)).tolist()
        model.train()
        for begin in range(0, len(order), recipe.batch_size):
            for group in optimizer.param_groups:
                group["lr"] = group["peak"] * recipe.factor(step, len(data))
            chosen = order[begin : begin + recipe.batch_size]
            targets = data.targets_batch(chosen)
            value = loss(model(data.inputs_batch(chosen), targets), targets)
            value.backward()
            torch.nn.utils.clip_grad_norm_(parameters, recipe.clip_norm)
            optimizer.step()
            optimizer.zero_grad()
            step += 1
    save_file(model.state_dict(), out / "model.safetensors")
    moments = {f"{number}.{key}": value for number, entry in enumerate(optimizer.state.values()) for key, value in entry.items()}
    save_file(moments, out / "optimizer.safetensors")
