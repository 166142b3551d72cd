"""Fusion by low-rank bilinear pooling: products of what a token is and of what another source answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import torch
from pydantic import Field
from torch import nn

from rrgbench import Features
from rrgbench.nn import Attention, SourceProjection, ordered, spread, weights_wanted


class Bilinear(nn.Module):
    """Low-rank bilinear pooling (Kim et al. 2017): a token and the answer of each other source, which it asks by attention, meet
    in a product of ``rank`` factors, tanh(U x) * tanh(V a), and what comes of it is added. M is the number of image tokens.

    Where there is no image, text takes its place; one source alone asks itself.

    Args:
        rank: number of factors.
        heads: attention heads.
        dropout: of the product.
    """

    def __init__(
        self,
        dims: Mapping[str, int],
        memory_dim: int,
        *,
        rank: Annotated[int, Field(gt=0)] = 128,
        heads: Annotated[int, Field(gt=0)] = 4,
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1,
    ) -> None:
        super().__init__()
        first, *rest = ordered(dims)
        asked = rest or [first]
        self.sources = SourceProjection(dims, memory_dim)
        self.attention = nn.ModuleDict({name: Attention(memory_dim, heads) for name in asked})
        self.own = nn.ModuleDict({name: nn.Linear(memory_dim, rank) for name in asked})
        self.other = nn.ModuleDict({name: nn.Linear(memory_dim, rank) for name in asked})
        self.out = nn.ModuleDict({name: nn.Linear(rank, memory_dim) for name in asked})
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(memory_dim)

    def forward(self, features: Mapping[str, Features]) -> Features:
        """Features (B, N_i, dims[i]) to the memory (B, M, memory_dim)."""
        sources = self.sources(features)
        tokens = sources[next(iter(sources))]
        hidden, weights = tokens.hidden_states, []
        for name, attention in self.attention.items():
            read = sources[name]
            answer = attention(tokens.hidden_states, read.hidden_states, read.mask)
            product = torch.tanh(self.own[name](tokens.hidden_states)) * torch.tanh(self.other[name](answer))
            hidden = hidden + self.out[name](self.dropout(product))
            if weights_wanted():
                weights.append(attention.weights(tokens.hidden_states, read.hidden_states, read.mask))
        attended = spread(torch.cat(weights, dim=3) / len(weights), features, list(self.attention)) if weights else None
        return Features(self.norm(hidden), tokens.mask, tokens.view_ids, attended)
