"""Fusion by gates: every image token decides how much it takes of what the other sources say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import torch
from pydantic import Field
from torch import nn

from rrgbench import Features
from rrgbench.nn import Attention, FeedForward, SourceProjection, ordered, spread, weights_wanted


class Gating(nn.Module):
    """Image tokens ask each other source by attention, and learned gates admit the answers.

    A gate a token and channel sees the token and the answer (gated multimodal units, Arevalo et al. 2017, token by
    token). M is the number of image tokens.

    Where there is no image, text takes its place; where there is one source only, it asks itself.

    Args:
        heads: attention heads.
        dropout: of the answers and of the feed-forward layer.
    """

    def __init__(
        self,
        dims: Mapping[str, int],
        memory_dim: int,
        *,
        heads: Annotated[int, Field(gt=0)] = 4,
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1,
    ) -> None:
        super().__init__()
        first, *rest = ordered(dims)
        asked = rest or [first]
        self.sources = SourceProjection(dims, memory_dim)
        self.attention = nn.ModuleDict({name: Attention(memory_dim, heads) for name in asked})
        self.gate = nn.ModuleDict({name: nn.Linear(2 * memory_dim, memory_dim) for name in asked})
        self.feed_forward_norm = nn.LayerNorm(memory_dim)
        self.feed_forward = FeedForward(memory_dim, dropout=dropout)
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(memory_dim)

    def forward(self, features: Mapping[str, Features]) -> Features:
        """Features (B, N_i, dims[i]) to the memory (B, M, memory_dim)."""
        sources = self.sources(features)
        first, *rest = sources
        tokens, hidden = sources[first], sources[first].hidden_states
        asked, weights = rest or [first], []
        for name in asked:
            answer = self.attention[name](tokens.hidden_states, sources[name].hidden_states, sources[name].mask)
            if weights_wanted():
                weights.append(
                    self.attention[name].weights(tokens.hidden_states, sources[name].hidden_states, sources[name].mask)
                )
            gate = torch.sigmoid(self.gate[name](torch.cat([tokens.hidden_states, answer], dim=-1)))
            hidden = hidden + self.dropout(gate * answer)
        hidden = hidden + self.dropout(self.feed_forward(self.feed_forward_norm(hidden)))
        # Each source is asked on its own, so that each has an equal part of a token's attention.
        attention = spread(torch.cat(weights, dim=3) / len(weights), features, asked) if weights else None
        return Features(self.norm(hidden), tokens.mask, tokens.view_ids, attention)
