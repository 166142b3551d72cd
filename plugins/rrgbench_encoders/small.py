"""A small text encoder without pretrained weights: a word tokenizer, and a transformer."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from rrgbench.nn import AttentionBlock

_WORD = re.compile(r"\w+|[^\w\s]")
_SPECIAL = ("<pad>", "<cls>", "<sep>", "<unk>")


class WordTokenizer:
    """Lower-case words and single punctuation marks; ids go by frequency, then by the alphabet.

    Args:
        texts: what the vocabulary is taken from.
        threshold: a word occurs at least so often; others are ``<unk>``.
        max_length: most ids of a text, with the special ones.
    """

    pad_token_id, bos_token_id, eos_token_id, unk_token_id = range(4)

    def __init__(self, texts: Sequence[str], threshold: int, max_length: int) -> None:
        counts = Counter(word for text in texts for word in _WORD.findall(text.lower()))
        kept = sorted((word for word, count in counts.items() if count >= threshold), key=lambda word: (-counts[word], word))
        self._words = (*_SPECIAL, *kept)
        self._ids = {word: number for number, word in enumerate(self._words)}
        self.vocab_size = len(self._words)
        self.max_length = max_length

    def encode(self, text: str) -> list[int]:
        """``[cls, .., sep]``, at most ``max_length`` ids."""
        found = [self._ids.get(word, self.unk_token_id) for word in _WORD.findall(text.lower())]
        return [self.bos_token_id, *found[: self.max_length - 2], self.eos_token_id]

    def decode(self, ids: Sequence[int]) -> str:
        """Words with a space between them; special ids are left out."""
        return " ".join(self._words[each] for each in ids if each >= len(_SPECIAL))


class SmallEncoder(nn.Module):
    """Word and place embeddings, pre-norm self-attention blocks, a norm: BERT's shape (Devlin et al. 2019) at a small size."""

    def __init__(self, vocab_size: int, max_length: int, dim: int, layers: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, dim)
        self.positions = nn.Parameter(torch.empty(max_length, dim))
        # Words weigh ten times as much as places: smaller ones drown in what the blocks add, and the text is read late or never.
        nn.init.normal_(self.embedding.weight, std=1.0)
        nn.init.normal_(self.positions, std=0.1)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(AttentionBlock(dim, heads, dropout=dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """(B, S) int64 and (B, S) bool to (B, S, dim)."""
        hidden = self.dropout(self.embedding(input_ids) + self.positions[: input_ids.shape[1]])
        for block in self.blocks:
            hidden = block(hidden, attention_mask)
        states: Tensor = self.norm(hidden)
        return states
