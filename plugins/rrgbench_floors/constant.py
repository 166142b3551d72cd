"""The one report that does best when it is written for everybody."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import ClassVar

from rrgbench import Examples, Inputs, ScoringProtocol
from rrgbench.text import bleu_from_counts, ngrams, words

_ORDERS = range(1, 5)


class Constant:
    """The train report with the best BLEU-4 on validate, under the protocol of the experiment, for every study.

    Candidates are the train reports, one of those that the protocol makes equal; of equally good ones the first in train
    order wins. ``report`` is that train report as it stands in the train split, so that any protocol can score it.

    Args:
        train_reports: the reports of the train split.
        validate: both sides of the validate split; only the targets are read.
        protocol: prepares candidates as predictions and validate's reports as references.
    """

    draws: ClassVar[bool] = False

    def __init__(self, train_reports: Sequence[str], validate: Examples, protocol: ScoringProtocol) -> None:
        candidates: dict[str, str] = {}
        for report in train_reports:
            candidates.setdefault(protocol.prepare(report, "prediction"), report)
        references = _References(protocol.prepare(target.report, "reference") for target in validate.targets)
        # max keeps the first of equals, and a dict keeps the order of train.
        self.report = candidates[max(candidates, key=references.bleu_4)]

    def generate(self, inputs: Sequence[Inputs]) -> list[str]:
        """The same report for each study."""
        return [self.report for _ in inputs]


class _References:
    """Many references against which one text is scored at once.

    Sum over references of ``min(own count, reference's count)`` = sum over t = 1 .. own count of the number of references
    that hold the n-gram at least t times: counted once, looked up for every candidate.
    """

    def __init__(self, references: Iterable[str]) -> None:
        self._holders: Counter[tuple[tuple[str, ...], int]] = Counter()
        self._number = self._length = 0
        for reference in references:
            tokens = words(reference)
            self._number += 1
            self._length += len(tokens)
            for order in _ORDERS:
                for ngram, count in ngrams(tokens, order).items():
                    self._holders.update((ngram, copies) for copies in range(1, count + 1))

    def bleu_4(self, text: str) -> float:
        """Corpus BLEU-4 of ``text`` written for every reference, the number that pycocoevalcap 1.2 gives."""
        tokens = words(text)
        correct = [
            sum(self._holders[ngram, copies] for ngram, count in ngrams(tokens, order).items() for copies in range(1, count + 1))
            for order in _ORDERS
        ]
        guess = [self._number * max(0, len(tokens) - order + 1) for order in _ORDERS]
        return bleu_from_counts(correct, guess, self._number * len(tokens), self._length)[-1]
