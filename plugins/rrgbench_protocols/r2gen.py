"""What R2Gen's published figures were measured on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge

from rrgbench.text import UNKNOWN, clean_r2gen_iu, vocabulary, words


class R2GenIU:
    """R2Gen's scoring on IU X-ray: cleaned words, references cut and their rare words replaced.

    A reference is what ``decode(ids[1:])`` gives (cuhksz-nlp/R2Gen ``modules/trainer.py``).

    References are cleaned, cut after ``max_length - 1`` words, and their words that the train reports hold fewer than
    ``threshold`` times become ``<unk>``. Predictions are cleaned only: written out at any length, and no word of theirs is
    turned into ``<unk>``, which would be rewarded wherever a reference holds one; a ``<unk>`` that a model writes becomes
    ``unk`` and matches nothing (in R2Gen it matches). Both sides have single spaces.

    Args:
        train_reports: the reports of the train split.
        threshold: how often a word must occur in them to be kept in references.
        max_length: R2Gen's ``max_seq_length``: the begin symbol and the words of a reference.
    """

    changes_references: ClassVar[bool] = True

    def __init__(
        self,
        train_reports: Sequence[str],
        *,
        threshold: Annotated[int, Ge(1)] = 3,
        max_length: Annotated[int, Ge(2)] = 60,
    ) -> None:
        self._known = frozenset(vocabulary(train_reports, clean_r2gen_iu, threshold))
        self._kept = max_length - 1

    def prepare(self, text: str, side: Literal["prediction", "reference"]) -> str:
        """Words parted by single spaces."""
        cleaned = words(clean_r2gen_iu(text))
        if side == "reference":
            cleaned = [word if word in self._known else UNKNOWN for word in cleaned[: self._kept]]
        return " ".join(cleaned)
