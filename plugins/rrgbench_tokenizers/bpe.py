"""Byte-level byte-pair encoding, learnt from the train reports. It loses nothing."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Annotated

from annotated_types import Ge
from tokenizers import Tokenizer, models, pre_tokenizers

from rrgbench.text import whole_characters
from rrgbench_tokenizers.framing import check_ids, check_reports
from rrgbench_tokenizers.learning import Word, learn_merges

_SPECIAL = 3
# Unicode's white space, as the library has it; Python's has four control characters more.
_CHUNK = re.compile(r"[^\S\x1c-\x1f]*[\S\x1c-\x1f]+|[^\S\x1c-\x1f]+")


def _byte_symbols() -> dict[str, int]:
    """GPT-2's symbols of the 256 bytes: a printable byte is its own character, the others stand at 256 and above, in order."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + place): byte for place, byte in enumerate(others)}


def count_parts(texts: Iterable[str], parts: pre_tokenizers.PreTokenizer) -> Counter[Word]:
    """How often each part of the texts occurs, as its symbols.

    No part begins in a word and ends in the space after it, so that each word with the space before it is cut once, however
    often it occurs: half the time of learning from 20,000 reports.
    """
    chunks = Counter(chunk for text in texts for chunk in _CHUNK.findall(text))
    counts: Counter[Word] = Counter()
    for chunk, count in chunks.items():
        for part, _ in parts.pre_tokenize_str(chunk):
            counts[tuple(part)] += count
    return counts


class BPE:
    """Byte-level byte-pair encoding (Radford et al. 2019), learnt from the train reports as CXRMate's tokenizer is.

    Every text comes back as it was, whatever stands in it: case, spaces, line ends, every script. No text can write a special id:
    ``<eos>`` in a report is five characters. Two things are lost: a lone surrogate, which is no character, becomes U+FFFD; and
    a long text is cut, between two characters.

    Args:
        train_reports: the reports of the train split.
        vocab_size: the most ids, three special ones and one for each of the 256 bytes among them.
        min_frequency: how often a pair must occur to become a piece of its own.
        lowercase: read every text in lower case.
        max_length: the most ids of a report, begin and end among them.

    Raises:
        ConfigError: no train report holds a word.
    """

    pad_token_id = 0
    bos_token_id = 1
    eos_token_id = 2

    def __init__(
        self,
        train_reports: Sequence[str],
        *,
        vocab_size: Annotated[int, Ge(260)] = 2000,
        min_frequency: Annotated[int, Ge(1)] = 2,
        lowercase: bool = False,
        max_length: Annotated[int, Ge(3)] = 100,
    ) -> None:
        check_reports("bpe", train_reports)
        self._lowercase = lowercase
        self.max_length = max_length
        parts = pre_tokenizers.ByteLevel(add_prefix_space=False)
        symbols = _byte_symbols()
        counts = count_parts((self._read(report) for report in train_reports), parts)
        names, merges = learn_merges(counts, list(symbols), vocab_size - _SPECIAL, min_frequency, str.__add__)
        # The library knows no special tokens, so that none of its ids is one.
        self._engine = Tokenizer(models.BPE(vocab={name: _SPECIAL + place for place, name in enumerate(names)}, merges=merges))
        self._engine.pre_tokenizer = parts
        self._bytes = [b""] * _SPECIAL + [bytes(symbols[symbol] for symbol in name) for name in names]
        self.vocab_size = len(self._bytes)

    def _read(self, text: str) -> str:
        text = whole_characters(text)
        return text.lower() if self._lowercase else text

    def encode(self, text: str) -> list[int]:
        """``[bos, .., eos]``, at most ``max_length`` ids."""
        ids = self._engine.encode(self._read(text)).ids
        kept = ids[: self.max_length - 2]
        while len(kept) < len(ids) and not self._ends_whole(kept):
            kept.pop()
        return [self.bos_token_id, *kept, self.eos_token_id]

    def _ends_whole(self, ids: Sequence[int]) -> bool:
        """Whether ids that begin a text end between two characters."""
        try:
            b"".join(self._bytes[index] for index in ids).decode()
        except UnicodeDecodeError:
            return False
        return True

    def decode(self, ids: Sequence[int]) -> str:
        """The text, special ids left out; bytes that are no UTF-8, which a model may write, become U+FFFD.

        Raises:
            ValueError: an id that is not in the vocabulary.
        """
        check_ids(ids, self.vocab_size)
        return b"".join(self._bytes[index] for index in ids).decode("utf-8", "replace")
