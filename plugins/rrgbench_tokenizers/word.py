"""One id a word, by R2Gen's rule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from annotated_types import Ge

from rrgbench import ConfigError
from rrgbench.text import UNKNOWN, clean_r2gen_iu, vocabulary, words
from rrgbench_tokenizers.framing import check_ids

_SPECIAL = ("<pad>", "<bos>", "<eos>")


class Word:
    """R2Gen's word tokenizer (cuhksz-nlp/R2Gen ``modules/tokenizers.py``): cleaned reports, split at whitespace.

    Two things differ from R2Gen. Padding, begin and end are three ids (0, 1, 2) and not all 0. A long report loses words
    so that ``<eos>`` always stands at the end, where R2Gen cuts ``<eos>`` off. ``<unk>`` is a word like any other: it is
    written when it is decoded.

    Args:
        train_reports: the reports of the train split.
        threshold: how often a word must occur in them to have an id of its own.
        max_length: the most ids of a report, ``<bos>`` and ``<eos>`` among them.

    Raises:
        ConfigError: no word reaches the threshold.
    """

    pad_token_id = 0
    bos_token_id = 1
    eos_token_id = 2

    def __init__(
        self,
        train_reports: Sequence[str],
        *,
        threshold: Annotated[int, Ge(1)] = 3,
        max_length: Annotated[int, Ge(3)] = 60,
    ) -> None:
        found = vocabulary(train_reports, clean_r2gen_iu, threshold)
        if len(found) == 1:
            raise ConfigError(
                "tokenizer word: no word reaches the option threshold",
                got=f"threshold {threshold} over {len(train_reports)} train reports",
                expected="at least one word that occurs so often",
                hint="lower threshold or check the train split",
            )
        self._words = (*_SPECIAL, *found)
        self._ids = {word: index for index, word in enumerate(self._words)}
        self.vocab_size = len(self._words)
        self.max_length = max_length

    def encode(self, text: str) -> list[int]:
        """``[bos, .., eos]`` of the cleaned text, at most ``max_length`` ids."""
        unknown = self._ids[UNKNOWN]
        kept = words(clean_r2gen_iu(text))[: self.max_length - 2]
        return [self.bos_token_id, *(self._ids.get(word, unknown) for word in kept), self.eos_token_id]

    def decode(self, ids: Sequence[int]) -> str:
        """The words of the ids, parted by single spaces, special ids left out.

        Raises:
            ValueError: an id that is not in the vocabulary.
        """
        check_ids(ids, self.vocab_size)
        return " ".join(self._words[index] for index in ids if index >= len(_SPECIAL))
