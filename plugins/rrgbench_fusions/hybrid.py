"""The hybrid multimodal fusion: early fusion, cross-attention from the text, adaptive gates, one joint memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from rrgbench import Features
from rrgbench.nn import (
    Attention,
    AttentionBlock,
    FeedForward,
    SourceProjection,
    join,
    masked_mean,
    ordered,
    spread,
    weights_wanted,
)


class Early(nn.Module):
    """Early fusion of image and knowledge: each token beside the mean of the other source, through one linear layer and a norm;
    the tokens of both laid end to end. One source alone goes through the layer by itself."""

    def __init__(self, count: int, width: int) -> None:
        super().__init__()
        self.mix = nn.Linear(width * count, width)
        self.norm = nn.LayerNorm(width)

    def forward(self, sources: list[Features]) -> Features:
        """One or two of (B, N_i, width) to (B, sum of N_i, width)."""
        joined = join(sources)
        hidden = joined.hidden_states
        if len(sources) == 2:
            means = [masked_mean(each.hidden_states, each.mask) for each in reversed(sources)]
            beside = [mean[:, None].expand_as(each.hidden_states) for mean, each in zip(means, sources, strict=True)]
            hidden = torch.cat([hidden, torch.cat(beside, dim=1)], dim=2)
        return Features(self.norm(self.mix(hidden)), joined.mask)


class Gates(nn.Module):
    """Every token asks each source by attention, and a learned gate a token and channel admits the answer (gated multimodal
    units, Arevalo et al. 2017, token by token)."""

    def __init__(self, names: tuple[str, ...], width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.ask = nn.LayerNorm(width)
        self.attention = nn.ModuleDict({name: Attention(width, heads) for name in names})
        self.gate = nn.ModuleDict({name: nn.Linear(2 * width, width) for name in names})
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden: Tensor, sources: Mapping[str, Features]) -> Tensor:
        """(B, M, width) to (B, M, width)."""
        asked, answers = self.ask(hidden), []
        for name, attention in self.attention.items():
            answer = attention(asked, sources[name].hidden_states, sources[name].mask)
            answers.append(torch.sigmoid(self.gate[name](torch.cat([asked, answer], dim=2))) * answer)
        admitted: Tensor = hidden + self.dropout(torch.stack(answers).sum(dim=0))
        return admitted

    def weights(self, hidden: Tensor, sources: Mapping[str, Features]) -> Tensor:
        """(B, heads, M, N of all sources): equal parts of each, which is asked on its own."""
        asked = self.ask(hidden)
        found = [
            attention.weights(asked, sources[name].hidden_states, sources[name].mask)
            for name, attention in self.attention.items()
        ]
        return torch.cat(found, dim=3) / len(found)


class Hybrid(nn.Module):
    """Image and knowledge fused early; the text reads them by cross-attention; gates over all sources; one joint memory of both.

    1. ``early``: image and knowledge tokens, each beside the mean of the other source, through a linear layer.
    2. ``cross_attention``: the tokens of the text ask the early ones (``layers`` blocks).
    3. Joint memory: early tokens and the text's, laid end to end; M is their number.
    4. ``gating``: every token of it asks image, text and knowledge, and gates admit the answers; a feed-forward layer closes.

    Each part can be switched off; what it would have changed then stays as it is. Where there is no text the early tokens ask one
    another, and where there is text alone it asks itself, so that a grid over sources has no holes.

    Args:
        early: fuse image and knowledge early.
        cross_attention: let the text ask.
        gating: let gates admit.
        layers: blocks of cross-attention.
        heads: attention heads.
        dropout: of what is added.
    """

    def __init__(
        self,
        dims: Mapping[str, int],
        memory_dim: int,
        *,
        early: bool = True,
        cross_attention: bool = True,
        gating: bool = True,
        layers: Annotated[int, Field(gt=0)] = 1,
        heads: Annotated[int, Field(gt=0)] = 4,
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1,
    ) -> None:
        super().__init__()
        names = ordered(dims)
        self._early = [name for name in names if name != "text"]
        self._text = "text" in names
        self.sources = SourceProjection(dims, memory_dim)
        self.early = Early(len(self._early), memory_dim) if early and self._early else None
        self.blocks = nn.ModuleList(
            AttentionBlock(memory_dim, heads, dropout=dropout) for _ in range(layers if cross_attention else 0)
        )
        self.gates = Gates(names, memory_dim, heads, dropout) if gating else None
        self.feed_forward_norm = nn.LayerNorm(memory_dim)
        self.feed_forward = FeedForward(memory_dim, dropout=dropout)
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(memory_dim)

    def forward(self, features: Mapping[str, Features]) -> Features:
        """Features (B, N_i, dims[i]) to the memory (B, sum of N_i, memory_dim)."""
        sources = self.sources(features)
        parts = [sources[name] for name in self._early]
        seen = None if not parts else join(parts) if self.early is None else self.early(parts)
        asking = sources["text"] if self._text else seen
        context = seen if self._text and seen is not None else None
        assert asking is not None
        hidden, weights = asking.hidden_states, None
        mask = asking.mask if context is None else context.mask
        for block in self.blocks:
            read = None if context is None else context.hidden_states
            weights = block.weights(hidden, mask, read) if weights_wanted() else None
            hidden = block(hidden, mask, read)
        asked = Features(hidden, asking.mask)
        memory = asked if context is None else join([context, asked])
        return self._closed(memory, sources, features, weights)

    def _closed(
        self, memory: Features, sources: Mapping[str, Features], features: Mapping[str, Features], weights: Tensor | None
    ) -> Features:
        """Gates, feed-forward and norm over the joint memory."""
        hidden = memory.hidden_states
        attention = None
        if weights_wanted() and self.gates is not None:
            attention = self.gates.weights(hidden, sources)
        elif weights is not None:
            attention = spread(weights, features, self._early or ["text"])
            here = memory.mask.shape[1] - attention.shape[2]
            if here:  # early tokens are themselves
                own = torch.eye(here, device=hidden.device) * memory.mask[:, None, None, :here]
                own = own.expand(*attention.shape[:2], here, here)
                attention = torch.cat([spread(own, features, self._early), attention], dim=2)
        if self.gates is not None:
            hidden = self.gates(hidden, sources)
        hidden = hidden + self.dropout(self.feed_forward(self.feed_forward_norm(hidden)))
        return Features(self.norm(hidden), memory.mask, None, attention)
