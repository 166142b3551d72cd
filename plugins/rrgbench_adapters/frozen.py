"""A module that is not trained."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from torch import nn


class _Evaluating(nn.Module):
    """Mixed in before a module's own class: whoever calls ``train``, it stays in evaluation mode."""

    def train(self, mode: bool = True) -> Self:
        return super().train(False)


def keep_evaluating(module: nn.Module) -> nn.Module:
    """The module, changed in place: its class becomes a subclass, made on the spot, whose ``train`` stays in evaluation mode
    (``torch.nn.utils.parametrize`` changes classes in the same way).

    A wrapper would do it too, but it would put a prefix before the names of the state dict, so that a checkpoint would load only
    with the adapter it was written with, and it would hide attributes and methods of the module, such as ``num_features``.
    """
    kind: Any = type(module)
    if not issubclass(kind, _Evaluating):
        module.__class__ = type(f"Frozen{kind.__name__}", (_Evaluating, kind), {"__doc__": kind.__doc__})
    return module.eval()


def release(module: nn.Module) -> nn.Module:
    """Undo ``keep_evaluating``."""
    kind: Any = type(module)
    if issubclass(kind, _Evaluating) and kind is not _Evaluating:
        module.__class__ = kind.__mro__[2]
    return module


def hold_statistics(module: nn.Module) -> None:
    """Batch norms of a frozen base keep their statistics: with them moving, the base would be another after each step."""
    for norm in module.modules():
        if isinstance(norm, nn.modules.batchnorm._BatchNorm):
            keep_evaluating(norm)


class Frozen:
    """No gradient, and evaluation mode for good: no dropout, and the statistics of batch norms stay."""

    trains: ClassVar[bool] = False

    def __init__(self, module: nn.Module) -> None:
        self.module = module

    def __call__(self) -> nn.Module:
        """The module, frozen, with the names of its state as they were."""
        self.module.requires_grad_(False)
        return keep_evaluating(self.module)
