"""R2Gen's decoder: slots of a relational memory record what was written, and steer the norms of every layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from rrgbench import Cues, Tokenizer
from rrgbench.nn import Attention
from rrgbench_decoders.layers import FromScratch, Layer, Words


class RelationalMemory(nn.Module):
    """Slots that every word rewrites through gates (Chen et al. 2020, 3.2): attention of the slots over themselves and the word,
    a feed-forward net, and gates as in an LSTM.

    Args:
        dim: width of the words.
        slots, width: how many slots, and how wide they are.
        heads: of the attention; a divisor of ``width``.
    """

    def __init__(self, dim: int, slots: int, width: int, heads: int) -> None:
        super().__init__()
        self.enter = nn.Identity() if width == dim else nn.Linear(dim, width)
        self.attention = Attention(width, heads)
        self.think = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
        self.gates_of_word, self.gates_of_slots = nn.Linear(width, 2 * width), nn.Linear(width, 2 * width)
        # One slot is told from another by where its one stands.
        self.register_buffer("begin", torch.eye(slots, width), persistent=False)

    def forward(self, words: Tensor, state: Tensor | None, real: Tensor | None = None) -> Tensor:
        """The slots after each of the words (B, T, dim), (B, T, slots, width). state: those before, None at the beginning; real:
        (B, T) bool, where slots are rewritten, None everywhere."""
        words = self.enter(words)
        keys, values = self.attention.keys_values(words)
        told = self.gates_of_word(words)
        slots = self.begin.expand(len(words), -1, -1) if state is None else state
        found = []
        # Word after word: each needs the slots that the one before it left.
        for place in range(words.shape[1]):
            own_keys, own_values = self.attention.keys_values(slots)
            heard = slots + self.attention.attend(
                slots,
                torch.cat([own_keys, keys[:, :, place : place + 1]], dim=2),
                torch.cat([own_values, values[:, :, place : place + 1]], dim=2),
            )
            thought = heard + self.think(heard)
            admit, keep = (told[:, place : place + 1] + self.gates_of_slots(slots.tanh())).chunk(2, dim=2)
            new = admit.sigmoid() * thought.tanh() + keep.sigmoid() * slots
            slots = new if real is None else torch.where(real[:, place, None, None], new, slots)
            found.append(slots)
        return torch.stack(found, dim=1)


class ConditionalNorm(nn.Module):
    """Layer normalisation whose scale and shift the slots change, word by word (Chen et al. 2020, 3.3)."""

    def __init__(self, dim: int, told: int) -> None:
        super().__init__()
        self.scale, self.shift = nn.Parameter(torch.ones(dim)), nn.Parameter(torch.zeros(dim))
        self.more_scale, self.more_shift = (nn.Sequential(nn.Linear(told, dim), nn.ReLU(), nn.Linear(dim, dim)) for _ in range(2))
        for layer in (*self.more_scale, *self.more_shift):
            if isinstance(layer, nn.Linear):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.constant_(layer.bias, 0.1)

    def forward(self, hidden: Tensor, told: Tensor) -> Tensor:
        """(B, T, dim) and (B, T, told) to (B, T, dim)."""
        plain = F.layer_norm(hidden, hidden.shape[-1:], eps=1e-6)
        answer: Tensor = plain * (self.scale + self.more_scale(told)) + self.shift + self.more_shift(told)
        return answer


class RelationalMemoryDecoder(FromScratch):
    """R2Gen's decoder (Chen et al., EMNLP 2020; cuhksz-nlp/R2Gen ``modules/encoder_decoder.py``): a transformer decoder in which
    a relational memory steers the norms. R2Gen itself: 3 layers, width 512, 8 heads, feed-forward 512, 3 slots.

    As published, but for positions (learned by default), tied words by option, GELU in place of ReLU in the layers' feed-forward,
    and a norm on the memory. The encoder of the films is the cell's.

    Args:
        tokenizer: of the reports.
        layers: number of layers.
        hidden_size: width of the decoder, and so of the memory that it reads.
        heads: attention heads; a divisor of ``hidden_size``.
        feed_forward: width of the feed-forward layers; four times ``hidden_size`` where it is not said.
        dropout: of the embeddings and of all that is added to the residual stream.
        slots: of the relational memory.
        slot_size: their width; ``hidden_size`` where it is not said.
        slot_heads: attention heads of the slots, a divisor of their width; ``heads`` where it is not said.
        positions: ``learned``, as many as the tokenizer's ``max_length``, or ``sinusoidal``, without an end.
        tie_embeddings: one matrix for reading words and for writing them (Press and Wolf 2017).
        cues: what it is told of active nodes.

    Raises:
        ConfigError: ``heads`` does not divide a width, the width is odd with sinusoidal positions, or ids are longer than the
            learned positions.
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
        slots: Annotated[int, Field(gt=0)] = 3,
        slot_size: Annotated[int, Field(gt=0)] | None = None,
        slot_heads: Annotated[int, Field(gt=0)] | None = None,
        positions: Literal["learned", "sinusoidal"] = "learned",
        tie_embeddings: bool = True,
        cues: Cues | None = None,
    ) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.cues = cues
        width = slot_size or hidden_size

        def norm(dim: int) -> nn.Module:
            return ConditionalNorm(dim, slots * width)

        self.words = Words(tokenizer, hidden_size, dropout, positions, tie_embeddings)
        self.memory_norm = nn.LayerNorm(hidden_size)
        self.relational = RelationalMemory(hidden_size, slots, width, slot_heads or heads)
        self.layers = nn.ModuleList(Layer(hidden_size, heads, feed_forward, dropout, norm) for _ in range(layers))
        self.norm = nn.LayerNorm(hidden_size)
