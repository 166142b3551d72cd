"""How a model is trained: what, how long, how fast."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

import torch

from rrgbench.errors import ConfigError
from rrgbench.model import MODULES, Model
from rrgbench.training.stopping import EarlyStopping
from rrgbench.training.unfreezing import Openings, Unfreeze, openings


@dataclass(frozen=True)
class Recipe:
    """One stage of training.

    Attributes:
        train: the modules to train (of image, text, knowledge, fusion, decoder); None trains whatever is not frozen. Heads are
            always trained.
        epochs: the whole horizon, over all rungs; None where ``steps`` says it.
        steps: the horizon in optimisation steps instead; its last epoch may be cut short.
        batch_size: studies a forward pass.
        lr: module -> peak learning rate; ``default`` is for those not named.
        weight_decay: of AdamW (Loshchilov and Hutter, 2019), on weights of two dimensions or more; not on biases and norms.
        betas: of AdamW.
        schedule: after the warm-up: ``cosine`` to zero at the horizon, ``step`` (times ``gamma`` every ``step_size`` epochs)
            or ``constant``.
        warmup: under 1 a share of the horizon, else optimisation steps; the rate rises linearly.
        clip_norm: largest norm of the gradient; None leaves it.
        accumulate: batches a step of the optimiser.
        precision: ``no`` (float32), ``bf16`` or ``fp16`` (GPU only).
        augment: whether films are changed at random in training.
        unfreeze: module -> pattern of names -> epoch (from 0) from which the parameters of that name are trained, the earliest
            where several match; what of such a module no pattern matches stays frozen.
        early_stopping: when training ends before the horizon; the weights of the best epoch are kept then.
    """

    train: tuple[str, ...] | None = None
    epochs: int | None = None
    steps: int | None = None
    batch_size: int = 16
    lr: Mapping[str, float] = field(default_factory=lambda: {"default": 1e-4})
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.999)
    schedule: Literal["cosine", "step", "constant"] = "cosine"
    warmup: float = 0.05
    step_size: int = 1
    gamma: float = 0.1
    clip_norm: float | None = 1.0
    accumulate: int = 1
    precision: Literal["no", "bf16", "fp16"] = "no"
    augment: bool = True
    unfreeze: Unfreeze = field(default_factory=dict)
    early_stopping: EarlyStopping | None = None

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "step_size", "accumulate", "steps"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(name, got=value, expected="1 or more")
        for name, value in {"clip_norm": self.clip_norm, **{f"lr.{part}": rate for part, rate in self.lr.items()}}.items():
            if value is not None and not 0 < value < math.inf:
                raise ConfigError(name, got=value, expected="a number above 0")
        if self.warmup < 0:
            raise ConfigError("warmup", got=self.warmup, expected="a share of the horizon under 1, or a number of steps")
        for what, words, known in (
            ("train", self.train or (), MODULES),
            ("lr", tuple(self.lr), ("default", *MODULES)),
            ("unfreeze", tuple(self.unfreeze), MODULES),
            ("schedule", (self.schedule,), ("cosine", "step", "constant")),
            ("precision", (self.precision,), ("no", "bf16", "fp16")),
        ):
            unknown = [word for word in words if word not in known]
            if unknown:
                raise ConfigError(what, got=", ".join(unknown), expected=f"of {', '.join(known)}")
        if (self.epochs is None) == (self.steps is None):
            raise ConfigError("the horizon", got=f"epochs {self.epochs}, steps {self.steps}", expected="one of them")

    def rate(self, module: str) -> float:
        """The peak learning rate of a module."""
        if module not in self.lr and "default" not in self.lr:
            raise ConfigError(f"lr: no rate for module {module}", got=", ".join(self.lr), hint="add lr.default")
        return self.lr.get(module, self.lr.get("default", 0.0))

    def steps_per_epoch(self, studies: int) -> int:
        """Optimisation steps an epoch; the last may see fewer studies."""
        return math.ceil(studies / (self.batch_size * self.accumulate))

    def horizon(self, studies: int) -> int:
        """Optimisation steps over all rungs."""
        return (self.epochs or 0) * self.steps_per_epoch(studies) if self.steps is None else self.steps

    def epochs_over(self, studies: int) -> int:
        """Epochs over all rungs; the last may be cut short by ``steps``."""
        return math.ceil(self.horizon(studies) / self.steps_per_epoch(studies))

    def factor(self, step: int, studies: int) -> float:
        """What the peak rates are multiplied with in optimisation step ``step`` (from 0); rungs need no state for it."""
        horizon = self.horizon(studies)
        warmup = round(self.warmup * horizon) if self.warmup < 1 else int(self.warmup)
        if step < warmup:
            return (step + 1) / warmup
        if self.schedule == "cosine":
            return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, horizon - warmup)))
        if self.schedule == "step":
            return float(self.gamma ** (step // self.steps_per_epoch(studies) // self.step_size))
        return 1.0


@contextmanager
def trained(model: Model, recipe: Recipe) -> Iterator[Openings]:
    """Freeze what is not to be trained at any time, for as long as this lasts; and say when the rest is.

    Raises:
        ConfigError: nothing is left to train, or a pattern of ``unfreeze`` matches nothing.
    """
    train = recipe.train
    before = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    try:
        for part, parameters in model.parameters_by_module().items():
            for parameter in parameters.values():
                parameter.requires_grad_(parameter.requires_grad and (train is None or part in train or part == "heads"))
        if not any(parameter.requires_grad for parameter in model.parameters()):
            raise ConfigError(
                "there is nothing to train",
                got=f"train: {'everything not frozen' if train is None else ', '.join(train) or 'nothing'}",
                expected=f"a module that is not frozen, of {', '.join(model.modules_by_name())}",
            )
        yield openings(recipe.unfreeze, model.parameters_by_module(), model.modules_by_name())
    finally:
        for parameter, requires_grad in before:
            parameter.requires_grad_(requires_grad)


def make_optimizer(model: Model, recipe: Recipe) -> torch.optim.AdamW:
    """AdamW with one group for each module, with and without decay; a group knows its ``module`` and its ``peak`` rate."""
    groups = []
    for part, parameters in model.parameters_by_module().items():
        ours = [parameter for parameter in parameters.values() if parameter.requires_grad]
        for decay in (True, False):
            chosen = [parameter for parameter in ours if (parameter.dim() > 1) == decay]
            if chosen:
                decay_rate = recipe.weight_decay if decay else 0.0
                groups.append({"params": chosen, "weight_decay": decay_rate, "module": part, "peak": recipe.rate(part)})
    return torch.optim.AdamW(groups, lr=0.0, betas=recipe.betas, fused=True)


def parameter_counts(model: Model) -> dict[str, dict[str, int]]:
    """``total`` and ``trainable`` numbers of parameters: of each module, and of ``model``."""
    counts = {
        part: {
            "total": sum(parameter.numel() for parameter in parameters.values()),
            "trainable": sum(parameter.numel() for parameter in parameters.values() if parameter.requires_grad),
        }
        for part, parameters in model.parameters_by_module().items()
    }
    return {**counts, "model": {key: sum(count[key] for count in counts.values()) for key in ("total", "trainable")}}
