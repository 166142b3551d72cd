"""The train report that is written most often."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import ClassVar

from rrgbench import Inputs, ScoringProtocol


class MostFrequent:
    """The train report that occurs most often, for every study.

    Reports are counted as the protocol prepares predictions, so that two that differ only in what it drops count as one; of
    equally frequent ones the first in train order wins. ``report`` is that report as it first stands in the train split.

    Args:
        train_reports: the reports of the train split.
        protocol: prepares them as predictions.
    """

    draws: ClassVar[bool] = False

    def __init__(self, train_reports: Sequence[str], protocol: ScoringProtocol) -> None:
        prepared = [protocol.prepare(report, "prediction") for report in train_reports]
        counts = Counter(prepared)
        # max keeps the first of equals, and a Counter keeps the order of train.
        self.report = train_reports[prepared.index(max(counts, key=counts.__getitem__))]

    def generate(self, inputs: Sequence[Inputs]) -> list[str]:
        """The same report for each study."""
        return [self.report for _ in inputs]
