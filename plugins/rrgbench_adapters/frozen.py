"""A module that is not trained."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from torch import nn


class _Evaluating(nn.Module):
    """Mixed in before a module's own class: whoever calls ``train``, it stays in evaluation mode."""

    def train(self, mode: bool = True) -> Self:
        return super().train(False)


class Frozen:
    """No gradient, and evaluation mode for good: no dropout, and the statistics of batch norms stay.

    Called, it gives the module itself, changed in place: its class becomes a subclass, made on the spot, whose ``train``
    stays in evaluation mode (``torch.nn.utils.parametrize`` changes classes in the same way). A wrapper would do it too,
    but it would put a prefix before the names of the state dict, so that a checkpoint would load only with the adapter it
    was written with, and it would hide attributes and methods of the module, such as ``num_features`` and ``transform``.
    """

    trains: ClassVar[bool] = False

    def __init__(self, module: nn.Module) -> None:
        self.module = module

    def __call__(self) -> nn.Module:
        """The module, frozen."""
        kind: Any = type(self.module)
        if not issubclass(kind, _Evaluating):
            self.module.__class__ = type(f"Frozen{kind.__name__}", (_Evaluating, kind), {"__doc__": kind.__doc__})
        self.module.requires_grad_(False)
        return self.module.eval()
