"""Random numbers that are the same on every machine: the raw words of PCG64, whose stream numpy promises to keep."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from rrgbench import derive_seed

T = TypeVar("T")


class Draws:
    """A stream of its own for each named purpose, so that a draw more here never moves a draw there."""

    def __init__(self, *purpose: object) -> None:
        self._words = np.random.PCG64(derive_seed("phantom", *purpose))

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        """A float64 in [low, high), from the upper 53 bits of one word."""
        return low + (high - low) * ((self._words.random_raw() >> 11) / 9007199254740992.0)

    def chance(self, probability: float) -> bool:
        """True with this probability; takes one word, whatever the probability."""
        return self.uniform() < probability

    def below(self, bound: int) -> int:
        """An integer in [0, bound)."""
        return int(self._words.random_raw()) % bound

    def one_of(self, items: Sequence[T], weights: Sequence[float] | None = None) -> T:
        """One of ``items``, by ``weights`` that sum to 1."""
        if weights is None:
            return items[self.below(len(items))]
        left = self.uniform()
        for item, weight in zip(items, weights, strict=True):
            left -= weight
            if left < 0:
                return item
        return items[-1]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """The items in a random order."""
        mixed = list(items)
        for last in range(len(mixed) - 1, 0, -1):
            other = self.below(last + 1)
            mixed[last], mixed[other] = mixed[other], mixed[last]
        return mixed

    def octets(self, count: int) -> NDArray[np.float64]:
        """(count,) float64 whole numbers in [0, 255]; eight a word."""
        words = self._words.random_raw((count + 7) // 8).astype("<u8")
        return words.view(np.uint8)[:count].astype(np.float64)
