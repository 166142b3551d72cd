"""Bottleneck adapters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from rrgbench_adapters.frozen import hold_statistics
from rrgbench_adapters.layers import chosen, last_of_blocks, open_whole, replace_layer


class Bottleneck:
    """Small layers after frozen ones (Houlsby et al. 2019; their place is that of Pfeiffer et al. 2021): y + up(gelu(down(y))),
    up = 0 at the start.

    Args:
        module: it is changed in place.
        width: of the bottleneck.
        targets: ends of the names of the layers that one follows; without, the last linear layer (convolution, where there is
            none) of each block of a stack, which is the end of its feed-forward.
        whole: ends of the names of parts that are trained whole beside it.

    Raises:
        ConfigError: a target names no layer, or there is none.
    """

    trains: ClassVar[bool] = True

    def __init__(
        self,
        module: nn.Module,
        *,
        width: Annotated[int, Field(gt=0)] = 16,
        targets: Sequence[str] | None = None,
        whole: Sequence[str] = (),
    ) -> None:
        self.module, self.width, self.targets, self.whole = module, width, targets, whole

    def __call__(self) -> nn.Module:
        """The module: every parameter frozen but those of the small layers."""
        layers = chosen("bottleneck", self.module, self.targets, whole=self.whole)
        if self.targets is None:
            layers = last_of_blocks(layers, self.module)
        hold_statistics(self.module)
        self.module.requires_grad_(False)
        for name, layer in layers.items():
            replace_layer(self.module, name, Bottlenecked(layer, self.width))
        open_whole("bottleneck", self.module, self.whole)
        return self.module


class Bottlenecked(nn.Module):
    """A layer and its bottleneck; attributes of the layer stay in reach."""

    def __init__(self, base_layer: Any, width: int) -> None:
        super().__init__()
        self.base_layer = base_layer
        if isinstance(base_layer, nn.Conv2d):
            self.down: nn.Module = nn.Conv2d(base_layer.out_channels, width, 1)
            self.up: nn.Module = nn.Conv2d(width, base_layer.out_channels, 1)
        else:
            outputs = base_layer.nf if isinstance(base_layer, Conv1D) else base_layer.out_features
            self.down, self.up = nn.Linear(outputs, width), nn.Linear(width, outputs)
        for parameter in self.up.parameters():
            nn.init.zeros_(parameter)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == "base_layer":
                raise
            return getattr(self.base_layer, name)

    def forward(self, x: Tensor) -> Tensor:
        """What the layer gives, and what the bottleneck makes of it."""
        given: Tensor = self.base_layer(x)
        changed: Tensor = given + self.up(F.gelu(self.down(given)))
        return changed
