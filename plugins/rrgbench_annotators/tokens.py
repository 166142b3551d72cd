"""Tokens of a report as RadGraph parts them, and the spans of them that are entities."""

from __future__ import annotations

import re
from dataclasses import dataclass

from rrgbench_annotators.vocabulary import PHRASES, WORDS, Kind

# One pass, no nesting: linear for any text. Hyphens and apostrophes stay inside of words, as in RadGraph's own tokens.
_TOKEN = re.compile(r"[^\W_]+(?:[-'\u2019][^\W_]+)*|_+|[^\w\s]")
_ENDS = frozenset(".!?;:")
_HYPHENED = 48
"""The longest hyphenated word that is looked into."""
_LONGEST: dict[str, int] = {}
for _phrase in PHRASES:
    _LONGEST[_phrase[0]] = max(len(_phrase), _LONGEST.get(_phrase[0], 0))


@dataclass(frozen=True)
class Span:
    """Tokens ``start`` to ``end``, both inclusive, that are one entity."""

    start: int
    end: int
    kind: Kind


def tokenize(text: str) -> list[str]:
    """Lower-case tokens: words with their hyphens, and every other mark by itself."""
    return _TOKEN.findall(text.lower())


def sentences(tokens: list[str]) -> list[tuple[int, int]]:
    """Begin and end (exclusive) of each sentence; the full stop of a number such as 2.5 ends none."""
    found, begin = [], 0
    for place, mark in enumerate(tokens):
        if mark not in _ENDS:
            continue
        number = mark == "." and tokens[place - 1 : place] and tokens[place - 1].isdigit()
        if number and begin < place - 1 and tokens[place + 1 : place + 2] and tokens[place + 1][:1].isdigit():
            continue
        found.append((begin, place))
        begin = place + 1
    found.append((begin, len(tokens)))
    return [(start, end) for start, end in found if start < end]


def kind_of(word: str) -> Kind | None:
    """The kind of one word; of a hyphenated one that is not listed, the kind of the part that says most."""
    kind = WORDS.get(word)
    if kind is not None:
        return kind
    if "-" in word and len(word) <= _HYPHENED:
        kinds = [WORDS[part] for part in word.split("-") if part in WORDS]
        for best in ("observation", "quality", "place", "anatomy"):
            if best in kinds:
                return best
    return None


def spans(tokens: list[str], begin: int, end: int) -> list[Span]:
    """The entities of a sentence from left to right, the longest phrase first."""
    found, place = [], begin
    while place < end:
        length, kind = 1, kind_of(tokens[place])
        for size in range(min(_LONGEST.get(tokens[place], 1), end - place), 1, -1):
            phrase = tuple(tokens[place : place + size])
            if phrase in PHRASES:
                length, kind = size, PHRASES[phrase]
                break
        if kind is not None:
            found.append(Span(place, place + length - 1, kind))
        place += length
    return found
