"""What every layout gives, before it becomes inputs and targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rrgbench import Count, Split


@dataclass(frozen=True)
class Study:
    """One study. ``where`` begins every mistake about it; ``films`` are the names of its files in the folder of films."""

    where: str
    study_id: str
    number: int
    films: tuple[str, ...]
    sections: Mapping[str, str]


@dataclass(frozen=True)
class Collection:
    """What a layout holds: studies by split, what was left after each rule, the files read, the views of films by stem."""

    splits: Mapping[Split, Sequence[Study]]
    counts: tuple[Count, ...]
    sources: tuple[Path, ...]
    folder: Path
    views: Mapping[str, str]
    sizes: Mapping[str, tuple[int, int]]
    """The width and height of a film before it was squashed to a square, by stem, where that is told."""


def count(rule: str, studies: Sequence[Study]) -> Count:
    """How many studies and films there are."""
    return Count(rule, len(studies), sum(len(study.films) for study in studies))
