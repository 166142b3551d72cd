"""The training loop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import GradientAccumulationPlugin
from torch import Tensor, nn

from rrgbench.batches import Progress as OnProgress
from rrgbench.batches import StudySet
from rrgbench.errors import ConfigError, PluginError, RRGBenchError, StoreError
from rrgbench.identity import derive_seed
from rrgbench.model import Model
from rrgbench.training.checking import WeightedLoss, check
from rrgbench.training.process import reset_accelerate, seed_everything
from rrgbench.training.ranks import Ranks, even_buffers, sum_gradients, sum_told
from rrgbench.training.recipe import Recipe, make_optimizer, parameter_counts, trained
from rrgbench.training.state import Progress, Scratch, load_best, load_state, save_state, snapshot
from rrgbench.training.unfreezing import Openings

ALONE = Ranks()
"""One process."""

OnEpoch = Callable[[int, Mapping[str, float]], None]
"""Told at the end of an epoch: its number (from 0) and its scores."""


def train_rung(
    model: Model,
    losses: Sequence[WeightedLoss],
    data: StudySet,
    recipe: Recipe,
    *,
    seed: int,
    epochs: range,
    start: Path | None,
    out: Path,
    scratch: Path | None = None,
    validate: StudySet | None = None,
    device: str = "cpu",
    ranks: Ranks = ALONE,
    on_progress: OnProgress | None = None,
    on_epoch: OnEpoch | None = None,
) -> dict[str, Any]:
    """Train some epochs of a horizon and write the state after them.

    All randomness of an epoch comes from the seed and the epoch's number (of a batch, from its own number, where a step of the
    optimiser has several), so that one call, several rungs and a rung killed and started again give the same bytes within a
    numerics domain.

    Args:
        model: left with the weights after the rung.
        losses: label, weight and loss; their weighted sum is minimised.
        data: the train split, with targets.
        recipe: how, over the whole horizon.
        seed: of the run.
        epochs: those of this rung, counted from 0.
        start: the folder that the rung before wrote; None at epoch 0, where the weights are the model's own.
        out: an existing folder for ``model.safetensors``, ``optimizer.safetensors`` and ``state.json``; with early stopping the
            weights are those of the best epoch, and ``newest.safetensors`` holds those to go on from where they differ.
        scratch: where a state is kept at the end of every epoch, to resume from; None keeps none.
        validate: the validate split, with targets, where early stopping judges by it.
        device: ``cpu``, ``cuda`` or ``cuda:1``.
        ranks: the processes that train the rung together, each called as this one is. Rank r takes the batches r, r + R, ... of
            each step; losses are weighted by studies and gradients summed, so that they come to what one process comes to, but
            for the order of sums. Only rank 0 writes and tells.
        on_progress: told of optimisation steps done, all of the rung, and a note.
        on_epoch: told ``loss``, ``loss.<label>`` and what a loss tells beside it (means over studies), ``lr.<module>``,
            ``seconds``, ``studies_per_second``.

    Returns:
        ``epochs``: the scores of each epoch of the rung, without times; ``steps``: optimisation steps so far; ``stopped``: why
        training ended early, else None;
        ``parameters``: module -> total and trainable; ``seconds`` and ``studies_per_second`` of the rung, over all its attempts.

    Raises:
        ConfigError: batches that the ranks cannot share, nothing to train, no losses, no studies, two losses that draw reports, a
            precision that the device does not have, early stopping without what it judges by, or nothing to unfreeze.
        StoreError: ``start`` is not the state before this rung.
        PluginError: a loss is not a scalar.
        RRGBenchError: a loss is not finite; names epoch, step and the losses.
    """
    check(losses, data, validate, recipe, epochs, start, device)
    ranks.check(recipe.accumulate)
    with (
        ranks.joined(device),
        trained(model, recipe) as openings,
        closing(_Rung.begin(model, losses, data, validate, recipe, openings, seed, device, ranks)) as rung,
    ):
        counts = parameter_counts(model)
        kept = Scratch(scratch) if scratch is not None else None
        progress, clock = _resume(rung, kept, start, epochs)
        told = _counted(on_progress, recipe, epochs, len(data))
        while progress.epoch < epochs.stop and not progress.stopped:
            epoch, began = progress.epoch, time.perf_counter()
            progress, scores = rung.epoch(progress, told)
            seconds = time.perf_counter() - began
            clock[str(epoch)] = seconds
            if kept is not None and epoch + 1 < epochs.stop and not ranks.rank:
                kept.save(model, rung.optimizer, progress, clock, rung.best)
            if on_epoch is not None:
                on_epoch(epoch, {**scores, "seconds": seconds, "studies_per_second": len(data) / seconds})
        if not ranks.rank:
            save_state(out, model, rung.optimizer, progress, rung.best)
        total = sum(clock.values())
        return {
            "epochs": [dict(scores) for scores in progress.history[epochs.start :]],
            "steps": progress.step,
            "stopped": recipe.early_stopping.why(progress) if recipe.early_stopping and progress.stopped else None,
            "parameters": counts,
            "seconds": total,
            "studies_per_second": len(data) * len(clock) / total if total else 0.0,
        }


def _resume(rung: _Rung, kept: Scratch | None, start: Path | None, epochs: range) -> tuple[Progress, dict[str, float]]:
    """The newest state of this rung, else the one before it, else nothing."""
    clock: dict[str, float] = {}
    found = kept.load(rung.model, rung.optimizer, tidy=not rung.ranks.rank) if kept is not None else None
    folder = start
    if found is not None:
        folder, progress, clock = found
    elif start is not None:
        progress = load_state(start, rung.model, rung.optimizer)
        if progress.epoch != epochs.start and not progress.stopped:
            raise StoreError(
                f"{start} is not the state before this rung", got=f"epoch {progress.epoch}", expected=f"epoch {epochs.start}"
            )
    else:
        progress = Progress()
    if folder is not None and progress.best is not None and not rung.ranks.rank:
        rung.best.update(snapshot(rung.model, rung.parameters))
        if not progress.newest_is_best:
            rung.best.update(load_best(folder, rung.best))
    if progress.scaler is not None and rung.accelerator.scaler is not None:
        rung.accelerator.scaler.load_state_dict(dict(progress.scaler))
    return progress, clock


def _counted(on_progress: OnProgress | None, recipe: Recipe, epochs: range, studies: int) -> Callable[[int, int, float], None]:
    """Steps over the horizon told as steps of this rung."""
    each, horizon = recipe.steps_per_epoch(studies), recipe.horizon(studies)
    first, last = (min(epoch * each, horizon) for epoch in (epochs.start, epochs.stop))

    def told(epoch: int, step: int, loss: float) -> None:
        if on_progress is not None:
            on_progress(step - first, last - first, f"epoch {epoch + 1}/{recipe.epochs_over(studies)}, loss {loss:.4f}")

    return told


@dataclass(frozen=True)
class _Rung:
    model: Model
    losses: Sequence[WeightedLoss]
    data: StudySet
    validate: StudySet | None
    recipe: Recipe
    openings: Openings
    seed: int
    device: torch.device
    accelerator: Accelerator
    optimizer: torch.optim.AdamW
    wrapped: Any
    stepper: Any
    parameters: list[nn.Parameter]
    ranks: Ranks
    best: dict[str, Tensor]
    """What the weights of the best epoch have other than the model's; empty without early stopping."""

    @classmethod
    def begin(
        cls,
        model: Model,
        losses: Sequence[WeightedLoss],
        data: StudySet,
        validate: StudySet | None,
        recipe: Recipe,
        openings: Openings,
        seed: int,
        device: str,
        ranks: Ranks,
    ) -> _Rung:
        place = torch.device(device)
        reset_accelerate()
        # Accumulation is done here: accelerate's own runs on over the ends of epochs unless it also makes the batches.
        accelerator = Accelerator(
            cpu=place.type == "cpu",
            mixed_precision=recipe.precision,
            gradient_accumulation_plugin=GradientAccumulationPlugin(num_steps=1),
        )
        model.to(place).augment = recipe.augment
        for _, _, loss in losses:
            if isinstance(loss, nn.Module):
                loss.to(place)
        optimizer = make_optimizer(model, recipe)
        # The sum of gradients over ranks is made here, too: a model wrapped for that wants the same number of batches on every
        # rank, and the same parameters trained in every epoch.
        wrapped = accelerator.prepare_model(model, device_placement=False, evaluation_mode=True)
        stepper = accelerator.prepare_optimizer(optimizer, device_placement=False)
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        machinery = (accelerator, optimizer, wrapped, stepper, parameters, ranks)
        return cls(model, losses, data, validate, recipe, openings, seed, place, *machinery, {})

    def close(self) -> None:
        """Give the model back without what accelerate put round it."""
        self.accelerator.unwrap_model(self.wrapped, keep_fp32_wrapper=False)
        if self.device.type != "cpu":
            # It collects garbage, which takes a fifth of a second; a CPU gives memory back without.
            self.accelerator.free_memory()

    def epoch(self, progress: Progress, told: Callable[[int, int, float], None]) -> tuple[Progress, Mapping[str, float]]:
        """One epoch: the progress after it, and its scores."""
        epoch, step, recipe = progress.epoch, progress.step, self.recipe
        seed_everything(derive_seed(self.seed, "epoch", epoch))
        order = np.random.default_rng(derive_seed(self.seed, "order", epoch)).permutation(len(self.data)).tolist()
        self.openings.open(epoch)
        self.model.train()
        self.openings.settle()
        size = recipe.batch_size * recipe.accumulate
        sums, seen, rates = np.zeros(len(self.losses) + 1), 0, {}
        told_sums: dict[str, float] = {}
        for begin in range(0, len(order), size):
            if step >= recipe.horizon(len(self.data)):
                break
            rates = self._set_rates(step)
            group = order[begin : begin + size]
            values = self._step(group, step, f"epoch {epoch + 1}, step {step + 1}", told_sums)
            sums += values * len(group)
            seen += len(group)
            step += 1
            told(epoch, step, values[0])
        scores: dict[str, float] = {}
        if self.ranks.size > 1:
            told_sums = sum_told(self.accelerator, told_sums, self.device)
        if seen:
            names = ["loss", *(f"loss.{label}" for label, _, _ in self.losses)]
            more = {name: value / seen for name, value in told_sums.items()}
            scores = {**dict(zip(names, (sums / seen).tolist(), strict=True)), **more, **rates}
        if self.ranks.size > 1:
            even_buffers(self.accelerator, self.model)
        scores |= self._judged(f"epoch {epoch + 1}, validate")
        scaler = self.accelerator.scaler
        state = None if scaler is None else {key: float(value) for key, value in scaler.state_dict().items()}
        after = replace(progress, epoch=epoch + 1, step=step, history=(*progress.history, scores), scaler=state)
        if recipe.early_stopping is not None:
            after = recipe.early_stopping.judged(after)
            if after.newest_is_best and not self.ranks.rank:
                self.best.update(snapshot(self.model, self.parameters))
        return after, scores

    def _judged(self, where: str) -> dict[str, float]:
        """The losses that early stopping reads on validate, as means over studies: in evaluation mode, the same batches and the
        same chances (of masked words) after every epoch."""
        rule = self.recipe.early_stopping
        if rule is None or rule.on != "validate" or self.validate is None:
            return {}
        losses = [loss for loss in self.losses if rule.loss in (None, loss[0])]
        total, size = torch.zeros(len(losses) + 1, device=self.device, dtype=torch.float64), self.recipe.batch_size
        self.model.eval()
        with torch.no_grad():
            for number in self.ranks.share(math.ceil(len(self.validate) / size)):
                chosen = list(range(number * size, min((number + 1) * size, len(self.validate))))
                seed_everything(derive_seed(self.seed, "validate", number))
                total += self._values(self.validate, chosen, losses).double() * (len(chosen) / len(self.validate))
        means = self._summed(total)
        self._finite(means, losses, where)
        names = [f"validate.loss.{label}" for label, _, _ in losses]
        return dict(zip(names if rule.loss else ["validate.loss", *names], means[1 if rule.loss else 0 :].tolist(), strict=True))

    def _set_rates(self, step: int) -> dict[str, float]:
        factor = self.recipe.factor(step, len(self.data))
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * factor
        return {f"lr.{group['module']}": group["lr"] for group in self.optimizer.param_groups}

    def _step(self, group: list[int], step: int, where: str, told: dict[str, float]) -> np.ndarray[Any, np.dtype[np.float64]]:
        """One step of the optimiser over the batches of ``group``: the sum of losses and each loss, as means over studies. What
        losses tell beside it is added to ``told``, times the studies."""
        size = self.recipe.batch_size
        total = torch.zeros(len(self.losses) + 1, device=self.device, dtype=torch.float64)
        for number in self.ranks.share(math.ceil(len(group) / size)):
            chosen = group[number * size : (number + 1) * size]
            if self.recipe.accumulate > 1:
                seed_everything(derive_seed(self.seed, "batch", step, number))
            values = self._learnt(chosen)
            # A step over several batches minimises the mean over its studies, as one large batch would.
            self.accelerator.backward(values[0] * (len(chosen) / len(group)))
            total += values.detach().double() * (len(chosen) / len(group))
            for label, _, loss in self.losses:
                for name, value in getattr(loss, "told", dict)().items():
                    told[f"loss.{label}.{name}"] = told.get(f"loss.{label}.{name}", 0.0) + float(value) * len(chosen)
        means = self._summed(total)
        self._finite(means, self.losses, where)
        if self.ranks.size > 1:
            sum_gradients(self.accelerator, self.parameters)
        if self.recipe.clip_norm is not None:
            self.accelerator.clip_grad_norm_(self.parameters, self.recipe.clip_norm)
        self.stepper.step()
        self.stepper.zero_grad()
        return means

    def _summed(self, total: Tensor) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Over ranks."""
        whole: Tensor = total if self.ranks.size == 1 else self.accelerator.reduce(total, "sum")
        sums: np.ndarray[Any, np.dtype[np.float64]] = whole.cpu().numpy()
        return sums

    def _learnt(self, chosen: list[int]) -> Tensor:
        """``_values`` of a batch of train that something can be learnt from."""
        values = self._values(self.data, chosen, self.losses)
        if not values.requires_grad:
            labels = ", ".join(label for label, _, _ in self.losses)
            raise ConfigError("the losses depend on nothing that is trained", got=labels, hint="train a module that they read")
        return values

    def _values(self, data: StudySet, chosen: list[int], losses: Sequence[WeightedLoss]) -> Tensor:
        """(1 + number of losses): their weighted sum, and each."""
        batch = data.inputs_batch(chosen).to(self.device)
        targets = data.targets_batch(chosen).to(self.device)
        drawn = [{"sampling": loss.sampling} for _, _, loss in losses if hasattr(loss, "sampling")]
        with self.accelerator.autocast():
            output = self.wrapped(batch, targets, **(drawn[0] if drawn else {}))
            values = [loss(output, targets) for _, _, loss in losses]
        for (label, _, _), value in zip(losses, values, strict=True):
            if not isinstance(value, Tensor) or value.dim():
                got = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
                raise PluginError(f"loss {label}", got=got, expected="a scalar tensor")
        each = torch.stack([value.float() for value in values])
        weighted = torch.stack([value.float() * weight for (_, weight, _), value in zip(losses, values, strict=True)]).sum()
        return torch.cat([weighted[None], each])

    @staticmethod
    def _finite(means: np.ndarray[Any, np.dtype[np.float64]], losses: Sequence[WeightedLoss], where: str) -> None:
        if not np.isfinite(means).all():
            told = ", ".join(f"{label} {value:g}" for (label, _, _), value in zip(losses, means[1:].tolist(), strict=True))
            raise RRGBenchError(
                f"{where}: the loss is not finite", got=told, hint="try a lower lr, clip_norm, or another precision"
            )
