"""Fusion by co-attention: image and the other sources read each other, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import torch
from pydantic import Field
from torch import nn

from rrgbench import Features
from rrgbench.nn import AttentionBlock, SourceProjection, join, ordered, spread, weights_wanted


class CoAttention(nn.Module):
    """Two streams, the image and all others, each with attention to the other in every layer (ViLBERT, Lu et al. 2019; LXMERT,
    Tan and Bansal 2019); the memory is both, laid end to end.

    Where there is no image, text is the first stream; one source alone reads itself.

    Args:
        layers: pairs of blocks, one after the other.
        heads: attention heads of a block.
        dropout: of a block.
    """

    def __init__(
        self,
        dims: Mapping[str, int],
        memory_dim: int,
        *,
        layers: Annotated[int, Field(gt=0)] = 1,
        heads: Annotated[int, Field(gt=0)] = 4,
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1,
    ) -> None:
        super().__init__()
        self.sources = SourceProjection(dims, memory_dim)
        streams = min(len(ordered(dims)), 2)
        self.blocks = nn.ModuleList(
            nn.ModuleList(AttentionBlock(memory_dim, heads, dropout=dropout) for _ in range(streams)) for _ in range(layers)
        )
        self.context_norms = nn.ModuleList(
            nn.ModuleList(nn.LayerNorm(memory_dim) for _ in range(streams)) for _ in range(layers if streams == 2 else 0)
        )
        self.norm = nn.LayerNorm(memory_dim)

    def forward(self, features: Mapping[str, Features]) -> Features:
        """Features (B, N_i, dims[i]) to the memory (B, sum of N_i, memory_dim)."""
        sources = self.sources(features)
        first, *rest = sources
        tokens, attention = sources[first], None
        if not rest:
            hidden = tokens.hidden_states
            for (block,) in self.blocks:
                attention = spread(block.weights(hidden, tokens.mask), features, [first]) if weights_wanted() else None
                hidden = block(hidden, tokens.mask)
            return Features(self.norm(hidden), tokens.mask, tokens.view_ids, attention)
        others = join([sources[name] for name in rest])
        one, two = tokens.hidden_states, others.hidden_states
        for (here, there), (read_here, read_there) in zip(self.blocks, self.context_norms, strict=True):
            first_read, second_read = read_there(two), read_here(one)
            if weights_wanted():
                attention = torch.cat(
                    [
                        spread(here.weights(one, others.mask, first_read), features, rest),
                        spread(there.weights(two, tokens.mask, second_read), features, [first]),
                    ],
                    dim=2,
                )
            one, two = here(one, others.mask, first_read), there(two, tokens.mask, second_read)
        mask = torch.cat([tokens.mask, others.mask], dim=1)
        return Features(self.norm(torch.cat([one, two], dim=1)), mask, None, attention)
