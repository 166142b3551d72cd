"""Fusion by cross-attention: the tokens of one source read the others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field
from torch import nn

from rrgbench import Features
from rrgbench.nn import AttentionBlock, SourceProjection, join


class CrossAttention(nn.Module):
    """Image tokens read text and knowledge (or the reverse) through attention, residual and feed-forward; M is their number.

    Where there is no image, text takes its place; where there is one source only, its tokens read one another, so that a
    grid over sources has no holes. As in the image-text fusion layers of ViLBERT (Lu et al. 2019).

    Args:
        queries: whose tokens become the memory: those of the ``image``, or those of the ``others``.
        layers: blocks, one after the other, over the same context.
        heads: attention heads of a block.
        dropout: of a block.
    """

    def __init__(
        self,
        dims: Mapping[str, int],
        memory_dim: int,
        *,
        queries: Literal["image", "others"] = "image",
        layers: Annotated[int, Field(gt=0)] = 1,
        heads: Annotated[int, Field(gt=0)] = 4,
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1,
    ) -> None:
        super().__init__()
        self.queries = queries
        self.sources = SourceProjection(dims, memory_dim)
        self.blocks = nn.ModuleList(AttentionBlock(memory_dim, heads, dropout=dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(memory_dim)

    def forward(self, features: Mapping[str, Features]) -> Features:
        """Features (B, N_i, dims[i]) to the memory (B, M, memory_dim), M the number of query tokens."""
        first, *rest = self.sources(features).values()
        if not rest:
            hidden = first.hidden_states
            for block in self.blocks:
                hidden = block(hidden, first.mask)
            return Features(self.norm(hidden), first.mask, first.view_ids)
        others = join(rest)
        asking, asked = (first, others) if self.queries == "image" else (others, first)
        hidden = asking.hidden_states
        for block in self.blocks:
            hidden = block(hidden, asked.mask, asked.hidden_states)
        return Features(self.norm(hidden), asking.mask, asking.view_ids)
