"""A train report drawn for each study."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rrgbench import Inputs, derive_seed


class Random:
    """A random train report for each study.

    It depends on the seed and the study's id alone, so that order does not matter.

    Args:
        train_reports: the reports of the train split; one that occurs often is drawn often.
        seed: the seed of the run.
    """

    draws: ClassVar[bool] = True

    def __init__(self, train_reports: Sequence[str], seed: int) -> None:
        self._reports = tuple(train_reports)
        self._seed = seed

    def generate(self, inputs: Sequence[Inputs]) -> list[str]:
        """One report a study."""
        places = [derive_seed("random floor", self._seed, study.study_id) % len(self._reports) for study in inputs]
        return [self._reports[place] for place in places]
