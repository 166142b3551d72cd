"""A transformer decoder, trained from scratch, that reads the memory through cross-attention."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field
from torch import nn

from rrgbench import Cues, Tokenizer
from rrgbench_decoders.layers import FromScratch, Layer, Words


class Transformer(FromScratch):
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
        self.cues, self.relational = cues, None
        self.words = Words(tokenizer, hidden_size, dropout, positions, tie_embeddings)
        self.memory_norm = nn.LayerNorm(hidden_size)
        self.layers = nn.ModuleList(Layer(hidden_size, heads, feed_forward, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(hidden_size)
