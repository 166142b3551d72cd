"""What tokenizers refuse, each in the same words."""

from __future__ import annotations

from collections.abc import Sequence

from rrgbench import ConfigError


def check_reports(name: str, train_reports: Sequence[str]) -> None:
    """There is something to learn from.

    Raises:
        ConfigError: no report holds a word.
    """
    if not any(report.strip() for report in train_reports):
        raise ConfigError(
            f"tokenizer {name}: no train report holds a word",
            got=f"{len(train_reports)} train reports",
            expected="reports with words",
            hint="check the train split",
        )


def check_ids(ids: Sequence[int], vocab_size: int) -> None:
    """Every id is in the vocabulary.

    Raises:
        ValueError: one is not.
    """
    stray = next((index for index in ids if not 0 <= index < vocab_size), None)
    if stray is not None:
        raise ValueError(f"id {stray} is outside the vocabulary of {vocab_size}")
