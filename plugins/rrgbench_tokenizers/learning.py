"""Learns the merges of byte-pair encoding (Sennrich et al. 2016), which WordPiece is learnt by too.

The ``tokenizers`` library has trainers of its own. They are not used: that of WordPiece numbers its symbols in the order of a
hash map, so that every run ends with another vocabulary (huggingface/tokenizers#1794, true of 0.22), and what they give may
change with the library's version. Here ties are broken by the symbols' ids, and nothing depends on threads. Where the library's
result is always the same, it is this one.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

Word = tuple[str, ...]
"""A word as its symbols."""


def learn_merges(
    counts: Mapping[Word, int], symbols: Sequence[str], size: int, min_frequency: int, join: Callable[[str, str], str]
) -> tuple[list[str], list[tuple[str, str]]]:
    """The vocabulary in the order of its making, ``symbols`` first, and the merges that made the rest.

    The most frequent pair of neighbours is merged, of equally frequent ones that whose symbols are older; until the vocabulary
    has ``size`` entries or no pair occurs ``min_frequency`` times.

    Args:
        counts: how often each word occurs.
        symbols: every symbol of the words, and others that the vocabulary shall hold.
        size: the most entries.
        min_frequency: how often a pair must occur to be merged.
        join: how two neighbours are written as one.
    """
    names = list(symbols)
    ids = {name: number for number, name in enumerate(names)}
    words = [[ids[symbol] for symbol in word] for word in counts]
    table = _Pairs(words, list(counts.values()))
    merges: list[tuple[str, str]] = []
    while len(names) < size and (pair := table.most_frequent(min_frequency)) is not None:
        left, right = (names[number] for number in pair)
        name = join(left, right)
        # Two ways may lead to one piece: "a" + "bc" and "ab" + "c".
        if name not in ids:
            ids[name] = len(names)
            names.append(name)
        merges.append((left, right))
        table.merge(pair, ids[name])
    return names, merges


class _Pairs:
    """How often each pair of neighbours occurs in the words, kept up to date while pairs are merged."""

    def __init__(self, words: list[list[int]], frequencies: list[int]) -> None:
        self._words, self._frequencies = words, frequencies
        self._counts: Counter[tuple[int, int]] = Counter()
        self._where: defaultdict[tuple[int, int], set[int]] = defaultdict(set)
        for place, word in enumerate(words):
            self._add(place, word, 1)
        self._queue = [(-count, pair) for pair, count in self._counts.items()]
        heapq.heapify(self._queue)

    def _add(self, place: int, word: list[int], sign: int) -> set[tuple[int, int]]:
        pairs = set(pairwise(word))
        for pair in pairwise(word):
            self._counts[pair] += sign * self._frequencies[place]
        for pair in pairs:
            (self._where[pair].add if sign > 0 else self._where[pair].discard)(place)
        return pairs

    def most_frequent(self, least: int) -> tuple[int, int] | None:
        while self._queue:
            count, pair = heapq.heappop(self._queue)
            now = self._counts[pair]
            if now == -count and now >= least:
                return pair
            if now == -count:
                return None
            # An older entry: a pair that was merged elsewhere since. Its true count stands in the queue where it grew.
            if 0 < now < -count:
                heapq.heappush(self._queue, (-now, pair))
        return None

    def merge(self, pair: tuple[int, int], merged: int) -> None:
        grown: set[tuple[int, int]] = set()
        for place in sorted(self._where[pair]):
            word = self._words[place]
            self._add(place, word, -1)
            self._words[place] = word = _merged(word, pair, merged)
            grown |= self._add(place, word, 1)
        for new in grown:
            if merged in new:
                heapq.heappush(self._queue, (-self._counts[new], new))


def _merged(word: list[int], pair: tuple[int, int], merged: int) -> list[int]:
    found: list[int] = []
    place = 0
    while place < len(word):
        if tuple(word[place : place + 2]) == pair:
            found.append(merged)
            place += 2
        else:
            found.append(word[place])
            place += 1
    return found
