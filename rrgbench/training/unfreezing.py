"""Gradual unfreezing (Howard and Ruder, 2018): parts of a module that are trained from a later epoch on, or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from torch import nn

from rrgbench.errors import ConfigError

Unfreeze = Mapping[str, Mapping[str, int]]
"""Module -> pattern -> the epoch, from 0, from which the parameters of that name are trained."""


@dataclass(frozen=True)
class Openings:
    """When which parameters are trained: ``parts`` are the modules that are opened bit by bit."""

    epochs: tuple[tuple[nn.Parameter, int], ...] = ()
    parts: tuple[nn.Module, ...] = ()

    def open(self, epoch: int) -> None:
        """Freeze what is opened after this epoch's beginning, and nothing else."""
        for parameter, first in self.epochs:
            parameter.requires_grad_(first <= epoch)

    def settle(self) -> None:
        """Put layers whose every parameter is frozen into evaluation mode, after the model was put into that of training: their
        running statistics stay as they are."""
        for part in self.parts:
            for layer in part.modules():
                own = list(layer.parameters(recurse=False))
                # Some norms have children: timm's hold what is done after them.
                whole = isinstance(layer, nn.modules.batchnorm._NormBase) or not any(True for _ in layer.children())
                if own and whole and not any(parameter.requires_grad for parameter in own):
                    layer.eval()


def matches(pattern: str, name: str) -> bool:
    """Whether a pattern (``*``, ``?``, ``[..]``) is a run of whole parts of a dotted name: ``layer4`` is one of
    ``body.layer4.0.weight``, ``blocks.1`` none of ``blocks.11.bias``."""
    return fnmatchcase(f".{name}.", f"*.{pattern}.*")


def openings(
    unfreeze: Unfreeze, parameters: Mapping[str, Mapping[str, nn.Parameter]], modules: Mapping[str, nn.Module]
) -> Openings:
    """When the parameters that are trained (by module and name) are opened; what no pattern matches is frozen here.

    Raises:
        ConfigError: a module is not there, or a pattern matches nothing of it that is trained.
    """
    epochs: list[tuple[nn.Parameter, int]] = []
    for module, patterns in unfreeze.items():
        ours = {name: parameter for name, parameter in parameters.get(module, {}).items() if parameter.requires_grad}
        for pattern in patterns:
            if not any(matches(pattern, name) for name in ours):
                expected = f"a name or pattern of what is trained of it, like {', '.join(_told(tuple(ours)))}" if ours else ""
                what = f"unfreeze.{module}: nothing that is trained has that name"
                raise ConfigError(what, got=repr(pattern), expected=expected, hint="`*` matches everything" if ours else "")
        for name, parameter in ours.items():
            found = [epoch for pattern, epoch in patterns.items() if matches(pattern, name)]
            if found:
                epochs.append((parameter, min(found)))
            else:
                parameter.requires_grad_(False)
    return Openings(tuple(epochs), tuple(modules[module] for module in unfreeze if module in modules))


def _told(names: Sequence[str]) -> list[str]:
    """Some words of dotted names, those nearest to the beginning first."""
    depths: dict[str, int] = {}
    for name in names:
        for depth, word in enumerate(name.split(".")[:-1]):
            if not word.isdigit():
                depths[word] = min(depth, depths.get(word, depth))
    return sorted(depths, key=depths.__getitem__)[:16]
