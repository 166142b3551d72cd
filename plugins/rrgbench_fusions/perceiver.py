"""Fusion by latent queries: a memory of fixed size reads all sources."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import torch
from pydantic import Field
from torch import nn

from rrgbench import Features
from rrgbench.nn import AttentionBlock, SourceProjection, join, spread, weights_wanted


class Perceiver(nn.Module):
    """Learned latent queries read the tokens of all sources and then one another, layer by layer (Perceiver, Jaegle et al. 2021;
    the resampler of Flamingo, Alayrac et al. 2022). M is ``latents``, however many tokens the sources have.

    Args:
        latents: number of queries, and of tokens of the memory.
        layers: times that the sources are read.
        heads: attention heads of a block.
        dropout: of a block.
    """

    def __init__(
        self,
        dims: Mapping[str, int],
        memory_dim: int,
        *,
        latents: Annotated[int, Field(gt=0, le=4096)] = 32,
        layers: Annotated[int, Field(gt=0)] = 2,
        heads: Annotated[int, Field(gt=0)] = 4,
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1,
    ) -> None:
        super().__init__()
        self.sources = SourceProjection(dims, memory_dim)
        self.latents = nn.Parameter(torch.randn(latents, memory_dim))
        self.read = nn.ModuleList(AttentionBlock(memory_dim, heads, dropout=dropout) for _ in range(layers))
        self.mix = nn.ModuleList(AttentionBlock(memory_dim, heads, dropout=dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(memory_dim)

    def forward(self, features: Mapping[str, Features]) -> Features:
        """Features (B, N_i, dims[i]) to the memory (B, latents, memory_dim)."""
        sources = self.sources(features)
        tokens, attention = join(list(sources.values())), None
        hidden = self.latents.expand(len(tokens.mask), -1, -1)
        mask = torch.ones(hidden.shape[:2], dtype=torch.bool, device=hidden.device)
        for read, mix in zip(self.read, self.mix, strict=True):
            if weights_wanted():
                attention = spread(read.weights(hidden, tokens.mask, tokens.hidden_states), features, list(sources))
            hidden = mix(read(hidden, tokens.mask, tokens.hidden_states), mask)
        return Features(self.norm(hidden), mask, None, attention)
