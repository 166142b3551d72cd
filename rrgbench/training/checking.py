"""What a rung cannot be trained with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from rrgbench.batches import StudySet
from rrgbench.errors import ConfigError
from rrgbench.interfaces import Loss
from rrgbench.training.recipe import Recipe
from rrgbench.training.stopping import EarlyStopping

WeightedLoss = tuple[str, float, Loss]
"""A label, a weight, and the loss."""


def check(
    losses: Sequence[WeightedLoss],
    data: StudySet,
    validate: StudySet | None,
    recipe: Recipe,
    epochs: range,
    start: Path | None,
    device: str,
) -> None:
    """Refuse what cannot be trained, with the words of ``train_rung``.

    Raises:
        ConfigError: what the user asked for does not go together.
    """
    assert epochs.step == 1, "a rung is a run of epochs"
    assert (start is None) == (epochs.start == 0), "a rung starts from the state before it, the first from none"
    if not losses:
        raise ConfigError("a stage of training needs a loss", hint="losses: {cross_entropy: 1.0}")
    if len(drawing := [label for label, _, loss in losses if hasattr(loss, "sampling")]) > 1:
        raise ConfigError(
            "losses that draw reports", got=", ".join(drawing), expected="one a stage", hint="one loss, more rewards"
        )
    if not len(data):
        raise ConfigError("there are no studies to train on")
    horizon = recipe.epochs_over(len(data))
    assert 0 <= epochs.start < epochs.stop <= horizon, f"rung {epochs} is not inside the horizon of {horizon} epochs"
    late = [f"{module}.{pattern}" for module, parts in recipe.unfreeze.items() for pattern in parts if parts[pattern] >= horizon]
    if late:
        raise ConfigError(f"unfreeze.{late[0]}", got="an epoch after the last", expected=f"under {horizon}")
    _check_stopping(losses, validate, recipe.early_stopping)
    kind = torch.device(device).type
    if kind == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device", got=device, expected="cpu: this machine has no GPU that torch can use")
    if recipe.precision == "fp16" and kind == "cpu":
        raise ConfigError("precision", got="fp16 on a CPU", expected="no or bf16", hint="fp16 needs a GPU")


def _check_stopping(losses: Sequence[WeightedLoss], validate: StudySet | None, rule: EarlyStopping | None) -> None:
    labels = [label for label, _, _ in losses]
    if rule is None:
        return
    if rule.loss is not None and rule.loss not in labels:
        raise ConfigError("early_stopping.loss", got=rule.loss, expected=f"one of {', '.join(labels)}")
    if rule.on == "validate":
        if validate is None or not len(validate):
            raise ConfigError("early_stopping judges by validate", got="no studies of it", hint="early_stopping: {on: train}")
        judged = [loss for label, _, loss in losses if rule.loss in (None, label)]
        if any(hasattr(loss, "sampling") for loss in judged):
            raise ConfigError("early_stopping judges by validate", got="a loss that draws reports", hint="name another loss")
