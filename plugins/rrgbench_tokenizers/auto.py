"""The tokenizer that the decoder was trained with."""

from __future__ import annotations

from rrgbench import Tokenizer


def auto(own_tokenizer: Tokenizer) -> Tokenizer:
    """The tokenizer that the decoder declares as its own, unchanged."""
    return own_tokenizer
