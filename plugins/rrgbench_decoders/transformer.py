"""A transformer decoder, trained from scratch, that reads the memory through cross-attention."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from rrgbench import Cues, Features, Tokenizer
from rrgbench_decoders.cueing import biased, cue_of, kept, real_places, seen
from rrgbench_decoders.layers import Layer, Words


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
        cues: what it is told of active nodes.

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
        cues: Cues | None = None,
    ) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.cues = cues
        self.words = Words(tokenizer, hidden_size, dropout, positions, tie_embeddings)
        self.memory_norm = nn.LayerNorm(hidden_size)
        self.layers = nn.ModuleList(Layer(hidden_size, heads, feed_forward, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(hidden_size)

    def forward(self, memory: Features, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Logits (B, T, vocabulary) of the next token at every place. Padding is expected at the end of a row.

        memory: (B, N, hidden_size); input_ids: (B, T); attention_mask: (B, T), which the causal mask makes superfluous.
        """
        return self._read(input_ids, memory, None)[0]

    def step(self, input_ids: Tensor, memory: Features, cache: Mapping[str, Any] | None) -> tuple[Tensor, dict[str, Any]]:
        """The next token's logits (B, vocabulary) after ids (B, 1), and the cache with them.

        The cache holds, layer by layer, keys and values of the tokens (they grow) and of the memory (made once); and the cue.
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
        grown = []
        for layer, told, past in zip(self.layers, cache["memory"], tokens, strict=True):
            hidden, new = layer(hidden, told, memory.mask, past, reads)
            grown.append(new)
        logits = self.words.logits(self.norm(hidden[:, -length:]))
        return biased(logits, cache), {**cache, "tokens": tuple(grown)}
