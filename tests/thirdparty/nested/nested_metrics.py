"""Metrics made of metrics, and factories of every make."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy
from nested_parts import UNIT
from pydantic import Field

import rrgbench
from rrgbench import Metric, Texts


class Length:
    """Words of a prediction, times a factor."""

    values: ClassVar[Mapping[str, str]] = {"length": "neither"}
    needs: ClassVar[frozenset[str]] = frozenset({"texts"})
    resampled: ClassVar[bool] = True

    def __init__(self, *, factor: float = 1, words: Path | Literal["all"] = "all") -> None:
        self.factor, self.words = factor, words

    def score(self, texts: Texts) -> Any:
        return numpy.array([[len(text.split()) * UNIT] for text in texts.predictions], dtype=float)

    def aggregate(self, statistics: Any) -> dict[str, float]:
        return {"length": float(statistics.mean()) * self.factor}

    def signature(self) -> str:
        return f"length|factor {self.factor}"


class Composed(Length):
    """Metrics of every shape of choice."""

    def __init__(
        self,
        *,
        one: Metric,
        maybe: Metric | None = None,
        several: Sequence[Metric] = ("length",),
        named: Mapping[str, Metric] = {"length": {"name": "length", "factor": 2.0}},
        files: tuple[Path, ...] = (),
        pair: tuple[int, str] = (1, "a"),
    ) -> None:
        super().__init__()
        self.one, self.maybe, self.several, self.named, self.files, self.pair = one, maybe, several, named, files, pair


@dataclass
class Data(Length):
    """A dataclass whose fields are options."""

    _: KW_ONLY
    factor: Annotated[float, Field(gt=0)] = 1.0


class Two(Length):
    """A metric with a second way to make it."""

    @classmethod
    def make(cls, *, factor: float = 2.0) -> Two:
        """Made by a classmethod."""
        return cls(factor=factor)

    make.__func__.values, make.__func__.needs, make.__func__.resampled = Length.values, Length.needs, True


def function(*, factor: int = 3) -> Length:
    """Made by a function."""
    return Length(factor=factor)


function.values, function.needs, function.resampled = Length.values, Length.needs, True

partial = functools.partial(Length, factor=4)
partial.values, partial.needs, partial.resampled = Length.values, Length.needs, True


@rrgbench.hookimpl
def rrgbench_metrics():
    return {
        "length": Length,
        "composed": Composed,
        "data": Data,
        "classmethod": Two.make,
        "function": function,
        "partial": partial,
    }
