"""Blocks that fusions, decoders and encoders share: masks are honoured, and no study reads another.

Everywhere a mask is (B, N) bool, True = real, with at least one True a row. Letters are explained in ``rrgbench.types``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rrgbench.attention import attention_weights, weights_wanted
from rrgbench.errors import ConfigError
from rrgbench.interfaces import SOURCES
from rrgbench.types import Features

__all__ = [
    "Attention",
    "AttentionBlock",
    "FeedForward",
    "SourceProjection",
    "attention_weights",
    "join",
    "masked_mean",
    "ordered",
    "sinusoidal_positions",
    "spread",
    "weights_wanted",
]


def spread(weights: Tensor, features: Mapping[str, Features], read: Sequence[str]) -> Tensor:
    """Weights over the tokens of some sources, (B, heads, M, sum of their N_i), as weights over those of all sources in the
    platform's order, as ``Features.attention`` holds them: 0 where a source was not read."""
    lengths = {name: features[name].mask.shape[1] for name in ordered(features)}
    parts = dict(zip(read, torch.split(weights, [lengths[name] for name in read], dim=3), strict=True))
    nothing = {name: weights.new_zeros(*weights.shape[:3], length) for name, length in lengths.items() if name not in parts}
    return torch.cat([(parts | nothing)[name] for name in lengths], dim=3)


def masked_mean(hidden_states: Tensor, mask: Tensor) -> Tensor:
    """The mean of the real tokens: (B, N, D) and (B, N) to (B, D). What stands in the padding has no say, not even NaN."""
    kept = hidden_states.masked_fill(~mask.unsqueeze(-1), 0.0)
    return kept.sum(dim=1) / mask.sum(dim=1, keepdim=True).clamp(min=1).to(kept.dtype)


def ordered(sources: Mapping[str, object]) -> tuple[str, ...]:
    """The names in the platform's order (image, text, knowledge), then the others by name, whatever order they came in."""
    known = [name for name in SOURCES if name in sources]
    return (*known, *sorted(name for name in sources if name not in SOURCES))


def join(features: Sequence[Features]) -> Features:
    """Tokens end to end: several (B, N_i, D) to one (B, sum of N_i, D), with their masks."""
    return Features(
        torch.cat([each.hidden_states for each in features], dim=1),
        torch.cat([each.mask for each in features], dim=1),
    )


def sinusoidal_positions(positions: Tensor, dim: int) -> Tensor:
    """Positions (T,) to (T, dim), half sines and half cosines (Vaswani et al. 2017); ``dim`` is even."""
    rates = torch.exp(torch.arange(0, dim, 2, device=positions.device) * (-math.log(10_000.0) / dim))
    angles = positions.unsqueeze(1) * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)


class Attention(nn.Module):
    """Multi-head attention by ``F.scaled_dot_product_attention``; queries and context are (B, Q, dim) and (B, N, dim).

    The weights themselves are not dropped out: that costs a third more time on a CPU, and the blocks drop the answer.

    Raises:
        ConfigError: ``heads`` does not divide ``dim``.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        if dim % heads:
            raise ConfigError(
                "option `heads` does not divide the width",
                got=f"{heads} heads for a width of {dim}",
                expected=f"a divisor of {dim}",
            )
        self.heads = heads
        self.query = nn.Linear(dim, dim)
        self.key_value = nn.Linear(dim, 2 * dim)
        self.out = nn.Linear(dim, dim)
        # As in nn.MultiheadAttention: torch's own start for linear layers is too small for a context to be read early.
        for layer in (self.query, self.key_value, self.out):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def _split(self, hidden: Tensor) -> Tensor:
        return hidden.view(*hidden.shape[:-1], self.heads, -1).transpose(1, 2)

    def keys_values(self, context: Tensor) -> tuple[Tensor, Tensor]:
        """(B, N, dim) to keys and values, each (B, heads, N, dim / heads): what a cache keeps."""
        keys, values = self.key_value(context).chunk(2, dim=-1)
        return self._split(keys), self._split(values)

    def attend(self, queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None = None, causal: bool = False) -> Tensor:
        """Queries (B, Q, dim) over keys and values that were made before; gives (B, Q, dim). A causal call takes no mask."""
        admitted = None if mask is None else mask[:, None, None, :]
        heard = F.scaled_dot_product_attention(self._split(self.query(queries)), keys, values, admitted, is_causal=causal)
        answer: Tensor = self.out(heard.transpose(1, 2).flatten(2))
        return answer

    def weights(self, queries: Tensor, context: Tensor, mask: Tensor | None = None) -> Tensor:
        """What ``forward`` weighs the tokens of context with: (B, heads, Q, N), rows sum to 1."""
        keys, _ = self.keys_values(context)
        scores = self._split(self.query(queries)) @ keys.transpose(2, 3) * keys.shape[3] ** -0.5
        admitted = scores if mask is None else scores.masked_fill(~mask[:, None, None, :], -math.inf)
        return torch.softmax(admitted, dim=3)

    def forward(self, queries: Tensor, context: Tensor, mask: Tensor | None = None) -> Tensor:
        """Queries (B, Q, dim) over the real tokens of context (B, N, dim); gives (B, Q, dim)."""
        return self.attend(queries, *self.keys_values(context), mask)


class FeedForward(nn.Sequential):
    """Two layers with GELU between them, token by token; ``hidden`` is four times ``dim`` where it is not said."""

    def __init__(self, dim: int, hidden: int | None = None, dropout: float = 0.0) -> None:
        width = hidden or 4 * dim
        super().__init__(nn.Linear(dim, width), nn.GELU(), nn.Dropout(dropout), nn.Linear(width, dim))


class AttentionBlock(nn.Module):
    """Attention and feed-forward, each behind a norm and with a residual (pre-norm, Xiong et al. 2020).

    With ``context`` (B, N, dim) and its mask the tokens read the context, which comes normalised; without, they read
    one another, and the mask is their own.
    """

    def __init__(self, dim: int, heads: int, *, feed_forward: int | None = None, dropout: float = 0.0) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(dim)
        self.attention = Attention(dim, heads)
        self.feed_forward_norm = nn.LayerNorm(dim)
        self.feed_forward = FeedForward(dim, feed_forward, dropout)
        self.dropout = nn.Dropout(dropout)

    def weights(self, hidden_states: Tensor, mask: Tensor, context: Tensor | None = None) -> Tensor:
        """What ``forward`` weighs tokens with: (B, heads, Q, N), rows sum to 1."""
        queries = self.attention_norm(hidden_states)
        return self.attention.weights(queries, queries if context is None else context, mask)

    def forward(self, hidden_states: Tensor, mask: Tensor, context: Tensor | None = None) -> Tensor:
        """(B, Q, dim) to (B, Q, dim). mask: (B, N) of the context, or (B, Q) of the tokens where there is none."""
        queries = self.attention_norm(hidden_states)
        heard = self.attention(queries, queries if context is None else context, mask)
        hidden = hidden_states + self.dropout(heard)
        answer: Tensor = hidden + self.dropout(self.feed_forward(self.feed_forward_norm(hidden)))
        return answer


class SourceProjection(nn.Module):
    """Every source to one width, normalised, with a learned vector that says which source a token is of.

    Args:
        dims: source name -> width of its tokens; parameters exist for these sources only.
        width: the width that all get.
    """

    def __init__(self, dims: Mapping[str, int], width: int) -> None:
        super().__init__()
        names = ordered(dims)
        self.project = nn.ModuleDict({name: nn.Linear(dims[name], width) for name in names})
        self.norm = nn.ModuleDict({name: nn.LayerNorm(width) for name in names})
        self.source = nn.ParameterDict({name: nn.Parameter(torch.empty(width).normal_(std=0.02)) for name in names})

    def forward(self, features: Mapping[str, Features]) -> dict[str, Features]:
        """Tokens (B, N, dims[name]) to (B, N, width), in the platform's order of sources."""
        return {
            name: Features(
                self.norm[name](self.project[name](features[name].hidden_states)) + self.source[name],
                features[name].mask,
                features[name].view_ids,
            )
            for name in ordered(features)
        }
