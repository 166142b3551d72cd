"""The option ``text`` of data sets: how reports are prepared for training. The reports that are judged stay verbatim."""

from __future__ import annotations

from typing import Literal

from rrgbench.text import clean_r2gen_iu, clean_r2gen_mimic, words

TextRule = Literal["raw", "r2gen"]
"""``raw``: verbatim. ``r2gen``: R2Gen's rule for the data set's family."""

Family = Literal["iu", "mimic"]
"""Of which of its two rules R2Gen's is meant."""


def prepare_report(report: str, rule: TextRule, family: Family = "iu") -> str:
    """A report of the train split as a model learns to write it."""
    if rule == "raw":
        return report
    clean = clean_r2gen_iu if family == "iu" else clean_r2gen_mimic
    return " ".join(words(clean(report)))
