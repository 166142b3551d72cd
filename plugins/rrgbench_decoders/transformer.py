"""A transformer decoder, trained from scratch, that reads the memory through cross-attention."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, cast

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from rrgbench import ConfigError, Features, Tokenizer
from rrgbench.nn import Attention, FeedForward, sinusoidal_positions


class Layer(nn.Module):
    """Causal self-attention, cross-attention to the memory, feed-forward; each behind a norm, with a residual."""

    def __init__(self, dim: int, heads: int, feed_forward: int | None, dropout: float) -> None:
        super().__init__()
        self.self_norm = nn.LayerNorm(dim)
        self.self_attention = Attention(dim, heads)
        self.cross_norm = nn.LayerNorm(dim)
        self.cross_attention = Attention(dim, heads)
        self.feed_forward_norm = nn.LayerNorm(dim)
        self.feed_forward = FeedForward(dim, feed_forward, dropout)
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden: Tensor, memory: Tensor, memory_mask: Tensor) -> Tensor:
        """(B, T, dim) to (B, T, dim). Padding stands at the end of a row, so the causal mask keeps it from all real tokens."""
        asked = self.self_norm(hidden)
        heard = self.self_attention.attend(asked, *self.self_attention.keys_values(asked), causal=True)
        hidden = hidden + self.dropout(heard)
        hidden = hidden + self.dropout(self.cross_attention(self.cross_norm(hidden), memory, memory_mask))
        answer: Tensor = hidden + self.dropout(self.feed_forward(self.feed_forward_norm(hidden)))
        return answer

    def step(self, hidden: Tensor, cache: Mapping[str, Tensor], memory_mask: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """One token (B, 1, dim) after those in the cache: its answer (B, 1, dim), and the cache with it."""
        asked = self.self_norm(hidden)
        keys, values = self.self_attention.keys_values(asked)
        if "keys" in cache:
            keys, values = torch.cat([cache["keys"], keys], dim=2), torch.cat([cache["values"], values], dim=2)
        hidden = hidden + self.dropout(self.self_attention.attend(asked, keys, values))
        heard = self.cross_attention.attend(self.cross_norm(hidden), cache["memory_keys"], cache["memory_values"], memory_mask)
        hidden = hidden + self.dropout(heard)
        answer = hidden + self.dropout(self.feed_forward(self.feed_forward_norm(hidden)))
        return answer, {**cache, "keys": keys, "values": values}


class Transformer(nn.Module):
    """The transformer decoder of Vaswani et al. (2017) with pre-norm layers, as most published report generators use it.

    Args:
        tokenizer: of the reports.
        layers: number of layers.
        hidden_size: width of the decoder, and so of the memory that it reads.
        heads: attention heads; a divisor of ``hidden_size``.
        feed_forward: width of the feed-forward layers; four times ``hidden_size`` where it is not said.
        dropout: of the embeddings and of all that is added to the residual stream.
        positions: ``learned``, as many as the tokenizer's ``max_length``, or ``sinusoidal``, without an end.
        tie_embeddings: one matrix for reading words and for writing them (Press and Wolf 2017).

    Raises:
        ConfigError: ``heads`` does not divide ``hidden_size``, the width is odd with sinusoidal positions, or ids are longer
            than the learned positions.
    """

    own_tokenizer: ClassVar[Mapping[str, Any]] = {"name": "word"}

    def __init__(
        self,
        tokenizer: Tokenizer,
        *,
        layers: Annotated[int, Field(gt=0)] = 3,
        hidden_size: Annotated[int, Field(gt=0)] = 256,
        heads: Annotated[int, Field(gt=0)] = 4,
        feed_forward: Annotated[int, Field(gt=0)] | None = None,
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1,
        positions: Literal["learned", "sinusoidal"] = "learned",
        tie_embeddings: bool = True,
    ) -> None:
        super().__init__()
        if positions == "sinusoidal" and hidden_size % 2:
            raise ConfigError("sinusoidal positions need an even width", got=f"hidden_size {hidden_size}")
        self.hidden_size = hidden_size
        self.embedding = nn.Embedding(tokenizer.vocab_size, hidden_size)
        nn.init.normal_(self.embedding.weight, std=hidden_size**-0.5)
        self.positions = nn.Parameter(torch.empty(tokenizer.max_length, hidden_size)) if positions == "learned" else None
        if self.positions is not None:
            nn.init.normal_(self.positions, std=0.1)
        self.memory_norm = nn.LayerNorm(hidden_size)
        self.layers = nn.ModuleList(Layer(hidden_size, heads, feed_forward, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(hidden_size)
        self.dropout = nn.Dropout(dropout)
        # Tied weights are used twice, not stored twice: a checkpoint may not hold one memory under two names.
        self.write = None if tie_embeddings else nn.Linear(hidden_size, tokenizer.vocab_size)

    def _read(self, input_ids: Tensor, start: int) -> Tensor:
        end = start + input_ids.shape[1]
        if self.positions is None:
            places = sinusoidal_positions(torch.arange(start, end, device=input_ids.device), self.hidden_size)
        elif end > len(self.positions):
            raise ConfigError(
                "a report is longer than the decoder's learned positions",
                got=f"{end} tokens",
                expected=f"at most {len(self.positions)}, the tokenizer's max_length",
                hint="lower decoding.max_new_tokens, raise the tokenizer's max_length, or take `positions: sinusoidal`",
            )
        else:
            places = self.positions[start:end]
        # Embeddings have variance 1 / width, so that tied logits start with variance 1; here they get their size back.
        hidden: Tensor = self.dropout(self.embedding(input_ids) * math.sqrt(self.hidden_size) + places)
        return hidden

    def _logits(self, hidden: Tensor) -> Tensor:
        hidden = self.norm(hidden)
        logits: Tensor = F.linear(hidden, self.embedding.weight) if self.write is None else self.write(hidden)
        return logits

    def forward(self, memory: Features, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Logits (B, T, vocabulary) of the next token at every place. Padding is expected at the end of a row.

        memory: (B, N, hidden_size); input_ids: (B, T); attention_mask: (B, T), which the causal mask makes superfluous.
        """
        read = self.memory_norm(memory.hidden_states)
        hidden = self._read(input_ids, 0)
        for layer in self.layers:
            hidden = layer(hidden, read, memory.mask)
        return self._logits(hidden)

    def step(
        self, input_ids: Tensor, memory: Features, cache: tuple[dict[str, Tensor], ...] | None
    ) -> tuple[Tensor, tuple[dict[str, Tensor], ...]]:
        """The next token's logits (B, vocabulary) after ids (B, 1), and the cache with them.

        The cache holds keys and values of the tokens (they grow) and of the memory (made once), (B, heads, ., .) each.
        """
        if cache is None:
            cache = self._memory_cache(memory)
        hidden = self._read(input_ids, cache[0]["keys"].shape[2] if "keys" in cache[0] else 0)
        grown = []
        for layer, held in zip(cast("Sequence[Layer]", self.layers), cache, strict=True):
            hidden, new = layer.step(hidden, held, memory.mask)
            grown.append(new)
        return self._logits(hidden[:, -1]), tuple(grown)

    def _memory_cache(self, memory: Features) -> tuple[dict[str, Tensor], ...]:
        read = self.memory_norm(memory.hidden_states)
        pairs = [layer.cross_attention.keys_values(read) for layer in cast("Sequence[Layer]", self.layers)]
        return tuple({"memory_keys": keys, "memory_values": values} for keys, values in pairs)
