"""WordPiece, learnt from the train reports, with the spaces of the text kept."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Annotated

from annotated_types import Ge
from tokenizers import Tokenizer, models, pre_tokenizers

from rrgbench import ConfigError
from rrgbench.text import UNKNOWN, whole_characters, words
from rrgbench_tokenizers.framing import check_ids, check_reports
from rrgbench_tokenizers.learning import Word, learn_merges

_SPECIAL = ("<pad>", "<bos>", "<eos>")
_FOREIGN = "\ufffd"
# White space stands in no word, so that no text is taken for the name of such a piece; BERT has "##", which a text may hold.
_INSIDE = "\t"
_UNKNOWN_WORD = f"\n{UNKNOWN}"
_LONGEST_WORD = 100
"""As in BERT: a longer word is unknown."""
_SEGMENT = re.compile(r"[^\W_]+|.", re.DOTALL)


class WordPiece:
    """WordPiece (Schuster and Nakajima 2012; Devlin et al. 2019), learnt from the train reports.

    As in BERT, the longest known piece is taken from the left, and a piece inside a word is another than the same letters at its
    beginning (marked ``##``). Unlike BERT, a punctuation mark is a piece inside of the word that it touches: "clear." is
    ``clear ##.``. So reports come back with their spaces where they were. A character that train lacks costs itself and not
    its word.

    What comes back is the text in lower case (by option) and in Unicode's form NFC, with single spaces between words, U+FFFD
    for every character that the train reports do not have, and ``<unk>`` for every word of more than 100 characters. No
    text can write a special id or the unknown word's.

    Args:
        train_reports: the reports of the train split.
        vocab_size: the most ids, special ones, the unknown word and the characters of the train reports among them.
        min_frequency: how often a pair must occur to become a piece of its own.
        lowercase: read every text in lower case.
        max_length: the most ids of a report, begin and end among them.

    Raises:
        ConfigError: no train report holds a word, or the characters alone are more than ``vocab_size``.
    """

    pad_token_id = 0
    bos_token_id = 1
    eos_token_id = 2

    def __init__(
        self,
        train_reports: Sequence[str],
        *,
        vocab_size: Annotated[int, Ge(8)] = 2000,
        min_frequency: Annotated[int, Ge(1)] = 2,
        lowercase: bool = True,
        max_length: Annotated[int, Ge(3)] = 100,
    ) -> None:
        check_reports("wordpiece", train_reports)
        self._lowercase = lowercase
        self.max_length = max_length
        seen = Counter(word for report in train_reports for word in self._words(report))
        characters = sorted({_FOREIGN, *(character for word in seen for character in word)})
        symbols = [*characters, *(f"{_INSIDE}{character}" for character in characters)]
        room = vocab_size - len(_SPECIAL) - 1
        if len(symbols) > room:
            raise ConfigError(
                "tokenizer wordpiece: option vocab_size",
                got=vocab_size,
                expected=f"at least {len(symbols) + vocab_size - room}, for the {len(characters)} characters of train",
                hint="raise vocab_size",
            )
        counts: Counter[Word] = Counter()
        for word, count in seen.items():
            for segment in _segments(word):
                counts[segment] += count
        names, _ = learn_merges(counts, symbols, room, min_frequency, _join)
        self._characters = frozenset(characters)
        self._names = [*_SPECIAL, _UNKNOWN_WORD, *names]
        self.vocab_size = len(self._names)
        ids = {name: place for place, name in enumerate(self._names) if place >= len(_SPECIAL)}
        model = models.WordPiece(
            vocab=ids, unk_token=_UNKNOWN_WORD, continuing_subword_prefix=_INSIDE, max_input_chars_per_word=_LONGEST_WORD
        )
        self._engine = Tokenizer(model)
        self._engine.pre_tokenizer = pre_tokenizers.WhitespaceSplit()

    def _words(self, text: str) -> list[str]:
        text = whole_characters(text)
        return words(unicodedata.normalize("NFC", text.lower() if self._lowercase else text))

    def encode(self, text: str) -> list[int]:
        """``[bos, .., eos]``, at most ``max_length`` ids."""
        room = self.max_length - 2
        # A word has at least one id: what follows so many words would be cut.
        known = (
            "".join(character if character in self._characters else _FOREIGN for character in word)
            for word in self._words(text)[:room]
        )
        ids = self._engine.encode(" ".join(known)).ids[:room]
        return [self.bos_token_id, *ids, self.eos_token_id]

    def decode(self, ids: Sequence[int]) -> str:
        """Words parted by single spaces, special ids left out.

        Raises:
            ValueError: an id that is not in the vocabulary.
        """
        check_ids(ids, self.vocab_size)
        names = (self._names[index] for index in ids if index >= len(_SPECIAL))
        return "".join(_spaced(name) for name in names).strip()


def _spaced(name: str) -> str:
    return name.removeprefix(_INSIDE) if name.startswith(_INSIDE) else f" {name.strip()}"


def _segments(word: str) -> Iterator[Word]:
    """A word as runs of letters and digits, and other characters one by one: no piece goes over such a border."""
    for found in _SEGMENT.finditer(word):
        yield tuple(f"{_INSIDE}{symbol}" if place else symbol for place, symbol in enumerate(found[0], start=found.start()))


def _join(left: str, right: str) -> str:
    return left + right.removeprefix(_INSIDE)
