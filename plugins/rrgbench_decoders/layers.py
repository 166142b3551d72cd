"""What decoders that are trained from scratch share: reading and writing words, and layers with a cache."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rrgbench import ConfigError, Cues, Features, Tokenizer
from rrgbench.nn import Attention, FeedForward, sinusoidal_positions
from rrgbench_decoders.cueing import biased, cue_of, kept, real_places, seen

KeysValues = tuple[Tensor, Tensor]
"""Keys and values, each (B, heads, N, dim / heads)."""


class Words(nn.Module):
    """Ids (B, T) to vectors (B, T, dim) with their positions, and vectors to logits.

    Args:
        tokenizer: of the reports.
        dim: width of the vectors.
        dropout: of the vectors.
        positions: ``learned``, as many as the tokenizer's ``max_length``, or ``sinusoidal``, without an end.
        tie: one matrix for reading words and for writing them.

    Raises:
        ConfigError: the width is odd with sinusoidal positions.
    """

    def __init__(
        self, tokenizer: Tokenizer, dim: int, dropout: float, positions: Literal["learned", "sinusoidal"], tie: bool
    ) -> None:
        super().__init__()
        if positions == "sinusoidal" and dim % 2:
            raise ConfigError("sinusoidal positions need an even width", got=f"hidden_size {dim}")
        self.dim = dim
        self.embedding = nn.Embedding(tokenizer.vocab_size, dim)
        nn.init.normal_(self.embedding.weight, std=dim**-0.5)
        self.positions = nn.Parameter(torch.empty(tokenizer.max_length, dim)) if positions == "learned" else None
        if self.positions is not None:
            nn.init.normal_(self.positions, std=0.1)
        self.dropout = nn.Dropout(dropout)
        # Tied weights are used twice, not stored twice: a checkpoint may not hold one memory under two names.
        self.write = None if tie else nn.Linear(dim, tokenizer.vocab_size)

    def prompt(self, input_ids: Tensor) -> Tensor:
        """Ids (B, P) that stand before the report, to (B, P, dim): without positions, so that they differ from the report's."""
        hidden: Tensor = self.dropout(self.embedding(input_ids) * math.sqrt(self.dim))
        return hidden

    def forward(self, input_ids: Tensor, start: int) -> Tensor:
        """Ids (B, T), of which the first stands at position ``start``, to (B, T, dim).

        Raises:
            ConfigError: there are fewer learned positions.
        """
        end = start + input_ids.shape[1]
        if self.positions is None:
            places = sinusoidal_positions(torch.arange(start, end, device=input_ids.device), self.dim)
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
        hidden: Tensor = self.dropout(self.embedding(input_ids) * math.sqrt(self.dim) + places)
        return hidden

    def logits(self, hidden: Tensor) -> Tensor:
        """(.., dim) to (.., vocabulary)."""
        logits: Tensor = F.linear(hidden, self.embedding.weight) if self.write is None else self.write(hidden)
        return logits


class CausalAttention(Attention):
    """Attention of tokens over those before them."""

    def over(self, queries: Tensor, keys: Tensor, values: Tensor, seen: Tensor | None) -> Tensor:
        """Queries (B, Q, dim), the last of the tokens, over keys and values of all. ``seen``: what each reads, (B, Q, N) bool;
        None is all up to its own place."""
        if seen is None:
            return self.attend(queries, keys, values, causal=queries.shape[1] > 1)
        heard = F.scaled_dot_product_attention(self._split(self.query(queries)), keys, values, seen[:, None])
        answer: Tensor = self.out(heard.transpose(1, 2).flatten(2))
        return answer


class Layer(nn.Module):
    """Causal self-attention, cross-attention to the memory, feed-forward; each behind a norm, with a residual.

    ``norm`` makes the three norms. What ``forward`` is ``told`` goes to each of them, after the hidden states.
    """

    def __init__(
        self, dim: int, heads: int, feed_forward: int | None, dropout: float, norm: Callable[[int], nn.Module] = nn.LayerNorm
    ) -> None:
        super().__init__()
        self.self_norm = norm(dim)
        self.self_attention = CausalAttention(dim, heads)
        self.cross_norm = norm(dim)
        self.cross_attention = Attention(dim, heads)
        self.feed_forward_norm = norm(dim)
        self.feed_forward = FeedForward(dim, feed_forward, dropout)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        hidden: Tensor,
        memory: KeysValues,
        memory_mask: Tensor,
        past: KeysValues | None,
        seen: Tensor | None,
        *told: Tensor,
    ) -> tuple[Tensor, KeysValues]:
        """Tokens (B, T, dim) after those whose keys and values are ``past``: their answer, and keys and values of all.

        ``seen`` says what they read of all, (B, T, N) bool. None: they have no past and read one another causally (padding stands
        at the end of a row, so that no real token reads it), or are one token, which reads all.
        """
        asked = self.self_norm(hidden, *told)
        keys, values = self.self_attention.keys_values(asked)
        if past is not None:
            keys, values = torch.cat([past[0], keys], dim=2), torch.cat([past[1], values], dim=2)
        hidden = hidden + self.dropout(self.self_attention.over(asked, keys, values, seen))
        heard = self.cross_attention.attend(self.cross_norm(hidden, *told), *memory, memory_mask)
        hidden = hidden + self.dropout(heard)
        answer: Tensor = hidden + self.dropout(self.feed_forward(self.feed_forward_norm(hidden, *told)))
        return answer, (keys, values)


class FromScratch(nn.Module):
    """What decoders from scratch do alike: layers over words that read the memory, with an exact cache, told cues by option.

    ``relational``, where there is one, makes of new words (B, T, hidden_size), the slots before them and which places are real
    the slots at every word (B, T, slots, width), which every layer is told.
    """

    relational: nn.Module | None
    cues: Cues | None
    words: Words
    memory_norm: nn.LayerNorm
    layers: nn.ModuleList
    norm: nn.LayerNorm

    def forward(self, memory: Features, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Logits (B, T, vocabulary) of the next token at every place. Padding is expected at the end of a row.

        memory: (B, N, hidden_size); input_ids: (B, T); attention_mask: (B, T), which the causal mask makes superfluous.
        """
        return self._read(input_ids, memory, None)[0]

    def step(self, input_ids: Tensor, memory: Features, cache: Mapping[str, Any] | None) -> tuple[Tensor, dict[str, Any]]:
        """The next token's logits (B, vocabulary) after ids (B, 1), and the cache with them.

        The cache holds, layer by layer, keys and values of the tokens (they grow) and of the memory (made once); the slots
        (B, slots, width) where there are some; and the cue.
        """
        logits, cache = self._read(input_ids, memory, cache)
        return logits[:, -1], cache

    def _read(self, input_ids: Tensor, memory: Features, cache: Mapping[str, Any] | None) -> tuple[Tensor, dict[str, Any]]:
        """Ids after those in the cache: logits (B, T, vocabulary), and the cache with them."""
        cue = None
        if cache is None:
            read, cue = self.memory_norm(memory.hidden_states), cue_of(self.cues, memory)
            cache = {"memory": tuple(layer.cross_attention.keys_values(read) for layer in self.layers), **kept(cue)}
        tokens = cache.get("tokens", (None,) * len(self.layers))
        written = 0 if tokens[0] is None else tokens[0][0].shape[2] - (cache["prompt"].shape[1] if "prompt" in cache else 0)
        hidden, length = self.words(input_ids, written), input_ids.shape[1]
        if cue is not None:
            hidden = torch.cat([self.words.prompt(cue.prompt_ids), hidden], dim=1)
        real = real_places(cache, written + length)
        reads = None if real is None else seen(real, hidden.shape[1])
        recorded: tuple[Tensor, ...] = ()
        if self.relational is not None:
            slots = self.relational(hidden, cache.get("slots"), None if real is None else real[:, -hidden.shape[1] :])
            recorded, cache = (slots.flatten(2),), {**cache, "slots": slots[:, -1]}
        grown = []
        for layer, read, past in zip(self.layers, cache["memory"], tokens, strict=True):
            hidden, new = layer(hidden, read, memory.mask, past, reads, *recorded)
            grown.append(new)
        logits = self.words.logits(self.norm(hidden[:, -length:]))
        return biased(logits, cache), {**cache, "tokens": tuple(grown)}
