"""Fusion by cross-attention: the tokens of one source read the others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field
from torch import nn

from rrgbench import Features
from rrgbench.nn import AttentionBlock, SourceProjection, join, spread, weights_wanted


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
        sources = self.sources(features)
        first, *rest = sources
        own, others = [first], rest or [first]
        asking, asked = (own, others) if self.queries == "image" or not rest else (others, own)
        tokens = sources[first] if asking == own else join([sources[name] for name in asking])
        context = join([sources[name] for name in asked])
        read = context.hidden_states if rest else None  # one source alone reads itself
        hidden, attention = tokens.hidden_states, None
        for block in self.blocks:
            if weights_wanted():
                attention = spread(block.weights(hidden, context.mask, read), features, asked)
            hidden = block(hidden, context.mask, read)
        return Features(self.norm(hidden), tokens.mask, tokens.view_ids, attention)
