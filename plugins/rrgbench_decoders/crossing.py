"""Cross-attention added to the blocks of a language model."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from rrgbench import ConfigError
from rrgbench.nn import Attention, FeedForward
from rrgbench_decoders.layers import KeysValues


class Told:
    """What blocks read of the memory: keys and values for each that reads it, and the mask (B, N)."""

    read: tuple[KeysValues, ...] = ()
    mask: Tensor | None = None


class Cross(nn.Module):
    """Gated cross-attention and feed-forward net (Alayrac et al. 2022, 2.2)."""

    def __init__(self, dim: int, heads: int, gate: float) -> None:
        super().__init__()
        self.attention_norm, self.feed_forward_norm = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attention, self.feed_forward = Attention(dim, heads), FeedForward(dim)
        self.gates = nn.Parameter(torch.full((2,), gate))

    def forward(self, hidden: Tensor, memory: KeysValues, mask: Tensor | None) -> Tensor:
        """(B, T, dim) to (B, T, dim)."""
        first, second = self.gates.tanh()
        hidden = hidden + first * self.attention.attend(self.attention_norm(hidden), *memory, mask)
        answer: Tensor = hidden + second * self.feed_forward(self.feed_forward_norm(hidden))
        return answer


class Crossed(nn.Module):
    """A block of a language model, then cross-attention. It stands in the block's place, and passes for it."""

    def __init__(self, block: nn.Module, cross: Cross, told: Told, number: int) -> None:
        super().__init__()
        self.block, self.cross = block, cross
        self.told, self.number = told, number

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("block"), name)

    def forward(self, *given: Any, **named: Any) -> Any:
        """As the block's."""
        answer = self.block(*given, **named)
        several = isinstance(answer, tuple)
        hidden = self.cross(answer[0] if several else answer, self.told.read[self.number], self.told.mask)
        return (hidden, *answer[1:]) if several else hidden


def blocks_of(lm: Any) -> nn.ModuleList:
    """The blocks of a language model, which may be changed."""
    for module in lm.modules():
        if isinstance(module, nn.ModuleList) and len(module) == lm.config.num_hidden_layers:
            return module
    raise ConfigError(
        "decoder `causal_lm`: option `memory`", got="cross_attention", expected="prefix, for a model without a list of blocks"
    )


def cross(lm: Any, every: int, gate: float, told: Told) -> tuple[int, ...]:
    """Add cross-attention after every so many blocks; the places of those that have it.

    Raises:
        ConfigError: there are fewer blocks.
    """
    blocks = blocks_of(lm)
    places = tuple(range(every - 1, len(blocks), every))
    if not places:
        expected = f"at most {len(blocks)}, the number of blocks"
        raise ConfigError("decoder `causal_lm`: option `every`", got=every, expected=expected)
    for number, place in enumerate(places):
        added = Cross(lm.config.hidden_size, lm.config.num_attention_heads, gate)
        blocks[place] = Crossed(blocks[place], added, told, number)
    return places
