"""How things are compared: side by side in one run, in turns, so that what else the machine does meets all of them."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Side:
    """One way to the end. ``run`` is what is timed; ``before`` is called ahead of it each time, and is not."""

    label: str
    run: Callable[[], Any]
    before: Callable[[], object] | None = None

    def seconds(self) -> tuple[float, Any]:
        """How long one call takes, and what it gives."""
        if self.before is not None:
            self.before()
        gc.collect()
        began = time.perf_counter()
        given = self.run()
        return time.perf_counter() - began, given


@dataclass(frozen=True)
class Second:
    """What the first side is compared with. ``same``: whether what the first and this one gave is the same."""

    title: str
    side: Side
    same: Callable[[Any, Any], bool]


@dataclass(frozen=True)
class Comparison:
    """A first side against one or more others; ``rounds`` where the usual number is too dear; ``items``: how many things a side
    goes through, where their number a second is to be told."""

    first: Side
    seconds: Sequence[Second]
    rounds: int | None = None
    items: int = 0


@dataclass(frozen=True)
class Measured:
    """What came out: one value a round of each side, in the order of the rounds. The ratio is second / first, round by round."""

    title: str
    labels: tuple[str, str]
    first: Sequence[float]
    second: Sequence[float]
    unit: str = "s"
    items: int = 0

    def json(self) -> dict[str, Any]:
        """Everything, as JSON data."""
        sides = zip(("first", "second"), self.labels, (self.first, self.second), strict=True)
        told = {
            name: {"label": label, "median": statistics.median(values), "values": list(values)} for name, label, values in sides
        }
        ratios = [second / first for first, second in zip(self.first, self.second, strict=True)]
        spread = {"median": statistics.median(ratios), "least": min(ratios), "most": max(ratios)}
        items = {"items": self.items} if self.items else {}
        return {"title": self.title, "unit": self.unit, **items, **told, "ratio": spread}


def measure(comparison: Comparison, rounds: int) -> list[Measured]:
    """One round that warms up and is checked, not timed; then ``rounds`` rounds, every second one in the opposite order.

    Raises:
        AssertionError: two sides gave different results, so that their times say nothing.
    """
    sides = [comparison.first, *(second.side for second in comparison.seconds)]
    expected, *given = (side.seconds()[1] for side in sides)
    for second, found in zip(comparison.seconds, given, strict=True):
        assert second.same(expected, found), f"{second.title}: {sides[0].label} and {second.side.label} do not give the same"
    del expected, given
    values: list[list[float]] = [[] for _ in sides]
    turns = list(range(len(sides)))
    for _ in range(comparison.rounds or rounds):
        for place in turns:
            values[place].append(sides[place].seconds()[0])
        turns.reverse()
    return [
        Measured(second.title, (sides[0].label, second.side.label), values[0], values[place], items=comparison.items)
        for place, second in enumerate(comparison.seconds, start=1)
    ]
