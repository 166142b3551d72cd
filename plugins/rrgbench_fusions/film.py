"""Fusion by feature-wise modulation: what the other sources say scales and shifts the image's channels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import torch
from pydantic import Field
from torch import nn

from rrgbench import Features
from rrgbench.nn import FeedForward, SourceProjection, masked_mean, ordered


class Film(nn.Module):
    """FiLM (Perez et al. 2018): in each layer a scale and a shift a channel, from the means of the other sources, act on the
    normalised tokens before a feed-forward layer; residual. M is the number of image tokens.

    Where there is no image, text takes its place; one source alone is modulated by its own mean.

    Args:
        layers: modulated layers, one after the other.
        dropout: of what a layer adds.
    """

    def __init__(
        self,
        dims: Mapping[str, int],
        memory_dim: int,
        *,
        layers: Annotated[int, Field(gt=0)] = 2,
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1,
    ) -> None:
        super().__init__()
        first, *rest = ordered(dims)
        self._asked = tuple(rest or [first])
        self.sources = SourceProjection(dims, memory_dim)
        width = memory_dim * len(self._asked)
        self.modulation = nn.ModuleList(nn.Linear(width, 2 * memory_dim) for _ in range(layers))
        # Without gain and shift of their own: the condition gives both.
        self.norms = nn.ModuleList(nn.LayerNorm(memory_dim, elementwise_affine=False) for _ in range(layers))
        self.feed_forward = nn.ModuleList(FeedForward(memory_dim, dropout=dropout) for _ in range(layers))
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(memory_dim)

    def forward(self, features: Mapping[str, Features]) -> Features:
        """Features (B, N_i, dims[i]) to the memory (B, M, memory_dim)."""
        sources = self.sources(features)
        tokens = sources[next(iter(sources))]
        condition = torch.cat([masked_mean(sources[name].hidden_states, sources[name].mask) for name in self._asked], dim=1)
        hidden = tokens.hidden_states
        for modulation, norm, feed_forward in zip(self.modulation, self.norms, self.feed_forward, strict=True):
            scale, shift = modulation(condition)[:, None].chunk(2, dim=2)
            hidden = hidden + self.dropout(feed_forward(norm(hidden) * (1 + scale) + shift))
        return Features(self.norm(hidden), tokens.mask, tokens.view_ids)
