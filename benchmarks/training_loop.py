"""What the platform's training loop costs: ``train_rung`` against a plain PyTorch loop, and against transformers' ``Trainer``, on
the same model and batches.

The plain loop does the same by hand: AdamW with the same rates, clipping, the same order of studies, and weights and
moments written at the end. It knows no precision, accumulation, killed process, device or loss that is not a number. Both must
end with the same weights, to the bit. A rung has a fixed price (set-up, a state that is on the disk for certain, a garbage
collection), so that the ratio is worst where training is short, as it is here. The Trainer is given the same batches in the
same order, optimiser, rates and clipping, and saves as much at the end; its dropout draws differ, so that both must end with the
same loss within a tenth.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measuring import Comparison, Second, Side
from rrgbench_losses import CrossEntropy
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.utils.data import SequentialSampler
from transformers import PrinterCallback, Trainer, TrainingArguments
from world import World

from rrgbench import derive_seed
from rrgbench.batches import StudySet
from rrgbench.model import Model
from rrgbench.training import Recipe, train_rung
from rrgbench.training.recipe import make_optimizer

SEED = 1


def comparisons(world: World) -> Iterator[Comparison]:
    """Four epochs on the train split, two where it has to be quick."""
    recipe = Recipe(epochs=2 if world.quick else 4, batch_size=16, lr={"default": 2e-3})
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

    def trainer() -> Model:
        model = world.model()
        trainer_loop(model, loss, data, recipe, out)
        return model

    def as_good(one: Model, other: Model) -> bool:
        left, right = (_loss(model, loss, data) for model in (one, other))
        return abs(left - right) < 0.1 * left

    ours = Second("training loop", Side("train_rung", platform, empty), same)
    theirs = Second("training loop: transformers", Side("transformers' Trainer", trainer, empty), as_good)
    yield Comparison(Side("plain PyTorch loop", plain, empty), [ours, theirs], rounds=2 if world.quick else None)


def _loss(model: Model, loss: CrossEntropy, data: StudySet) -> float:
    """Of the first studies, in evaluation mode."""
    chosen = list(range(min(64, len(data))))
    with torch.inference_mode():
        targets = data.targets_batch(chosen)
        return float(loss(model.eval()(data.inputs_batch(chosen), targets), targets))


class _Trained(nn.Module):
    """A model that gives its loss, as the Trainer wants it."""

    def __init__(self, model: Model, loss: CrossEntropy, data: StudySet) -> None:
        super().__init__()
        self.model, self.loss, self.data = model, loss, data

    def forward(self, chosen: list[int]) -> dict[str, Tensor]:
        """The loss of these studies."""
        targets = self.data.targets_batch(chosen)
        return {"loss": self.loss(self.model(self.data.inputs_batch(chosen), targets), targets)}


class _Ordered(Trainer):
    """The Trainer over batches in their order."""

    def _get_train_sampler(self, *given: Any) -> SequentialSampler:
        return SequentialSampler(self.train_dataset)


def trainer_loop(model: Model, loss: CrossEntropy, data: StudySet, recipe: Recipe, out: Path) -> None:
    """Train with transformers' ``Trainer`` over the same batches."""
    optimizer = make_optimizer(model, recipe)
    for group in optimizer.param_groups:
        group["lr"] = group["peak"]
    rates = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: recipe.factor(step, len(data)))
    batches = [batch for epoch in range(recipe.epochs) for batch in _batches(recipe, data, epoch)]
    arguments = TrainingArguments(
        output_dir=str(out),
        use_cpu=True,
        num_train_epochs=1,
        per_device_train_batch_size=1,  # an item is a batch
        max_grad_norm=recipe.clip_norm,
        seed=SEED,
        report_to=[],
        logging_strategy="no",
        save_strategy="no",
        disable_tqdm=True,
        remove_unused_columns=False,
    )
    made = _Ordered(
        model=_Trained(model, loss, data),
        args=arguments,
        train_dataset=batches,
        data_collator=lambda items: {"chosen": items[0]},
        optimizers=(optimizer, rates),
    )
    made.remove_callback(PrinterCallback)  # its summary is printed, and standard output is that of the benchmarks
    made.train()
    _write(model, optimizer, out)


def _batches(recipe: Recipe, data: StudySet, epoch: int) -> list[list[int]]:
    order = np.random.default_rng(derive_seed(SEED, "order", epoch)).permutation(len(data)).tolist()
    return [order[begin : begin + recipe.batch_size] for begin in range(0, len(order), recipe.batch_size)]


def _write(model: Model, optimizer: torch.optim.Optimizer, out: Path) -> None:
    save_file(model.state_dict(), out / "model.safetensors")
    moments = {f"{number}.{key}": value for number, entry in enumerate(optimizer.state.values()) for key, value in entry.items()}
    save_file(moments, out / "optimizer.safetensors")


def plain_loop(model: Model, loss: CrossEntropy, data: StudySet, recipe: Recipe, out: Path) -> None:
    """Train as anybody would write it down for one device and one loss."""
    optimizer = make_optimizer(model, recipe)
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    step = 0
    for epoch in range(recipe.epochs):
        torch.manual_seed(derive_seed(SEED, "epoch", epoch))
        model.train()
        for chosen in _batches(recipe, data, epoch):
            for group in optimizer.param_groups:
                group["lr"] = group["peak"] * recipe.factor(step, len(data))
            targets = data.targets_batch(chosen)
            value = loss(model(data.inputs_batch(chosen), targets), targets)
            value.backward()
            torch.nn.utils.clip_grad_norm_(parameters, recipe.clip_norm)
            optimizer.step()
            optimizer.zero_grad()
            step += 1
    _write(model, optimizer, out)
