"""The tokenizer of a causal language model, whichever it is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from annotated_types import Ge

from rrgbench import Tokenizer
from rrgbench_tokenizers.pretrained import Pretrained
from rrgbench_tokenizers.word import Word


def causal(
    train_reports: Sequence[str],
    *,
    model: str | None = None,
    checkpoint: Path | None = None,
    max_length: Annotated[int, Ge(3)] = 100,
) -> Tokenizer:
    """That of a pretrained language model, and words where there is none.

    A begin or padding token that it lacks is its end token, as in GPT-2: what is padding is told by masks.

    Args:
        train_reports: the reports of the train split: their words are the vocabulary where no model is named.
        model: a name on the hub.
        checkpoint: a folder that ``save_pretrained`` wrote. Its content counts in ids, its place does not.
        max_length: the most ids of a report, begin and end among them.

    Raises:
        ConfigError: ``model`` and ``checkpoint`` are both given, or what they name cannot be loaded.
    """
    if model is None and checkpoint is None:
        return Word(train_reports, max_length=max_length)
    return Pretrained(model=model, checkpoint=checkpoint, missing="end", max_length=max_length)
