"""Gated fusion: what the whole study says decides how much of each token is kept."""

from collections.abc import Mapping
from typing import Annotated

import torch
from pydantic import Field
from torch import nn

import rrgbench
from rrgbench import Features
from rrgbench.nn import SourceProjection, join, masked_mean


class Gated(nn.Module):
    """The tokens of all sources, end to end, each scaled by a gate that sees the token and the mean of the study."""

    def __init__(self, dims: Mapping[str, int], memory_dim: int, *, dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1) -> None:
        super().__init__()
        self.sources = SourceProjection(dims, memory_dim)
        self.gate = nn.Linear(2 * memory_dim, memory_dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, features: Mapping[str, Features]) -> Features:
        """Features (B, N_i, dims[i]) to the memory (B, sum of N_i, memory_dim)."""
        tokens = join(list(self.sources(features).values()))
        study = masked_mean(tokens.hidden_states, tokens.mask).unsqueeze(1).expand_as(tokens.hidden_states)
        gate = torch.sigmoid(self.gate(torch.cat([tokens.hidden_states, study], dim=-1)))
        return Features(self.dropout(gate * tokens.hidden_states), tokens.mask)


@rrgbench.hookimpl
def rrgbench_fusions():
    return {"gated": Gated}
