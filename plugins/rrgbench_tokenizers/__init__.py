"""Tokenizers of reports."""

from __future__ import annotations

import rrgbench
from rrgbench_tokenizers.auto import auto
from rrgbench_tokenizers.word import Word


@rrgbench.hookimpl
def rrgbench_tokenizers() -> dict[str, object]:
    return {"word": Word, "auto": auto}
