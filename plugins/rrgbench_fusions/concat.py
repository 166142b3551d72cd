"""Fusion by laying tokens end to end: the decoder's cross-attention does the rest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field
from torch import nn

from rrgbench import Features
from rrgbench.nn import AttentionBlock, SourceProjection, join


class Concat(nn.Module):
    """The tokens of all sources, projected to one width and laid end to end: M is the sum of their numbers.

    Args:
        layers: blocks of self-attention over all tokens, so that sources can mix before the decoder reads them.
        heads: attention heads of a block.
        dropout: of a block.
    """

    def __init__(
        self,
        dims: Mapping[str, int],
        memory_dim: int,
        *,
        layers: Annotated[int, Field(ge=0)] = 0,
        heads: Annotated[int, Field(gt=0)] = 4,
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1,
    ) -> None:
        super().__init__()
        self.sources = SourceProjection(dims, memory_dim)
        self.blocks = nn.ModuleList(AttentionBlock(memory_dim, heads, dropout=dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(memory_dim)

    def forward(self, features: Mapping[str, Features]) -> Features:
        """Features (B, N_i, dims[i]) to the memory (B, sum of N_i, memory_dim)."""
        joined = join(list(self.sources(features).values()))
        hidden = joined.hidden_states
        for block in self.blocks:
            hidden = block(hidden, joined.mask)
        return Features(self.norm(hidden), joined.mask)
