"""Tokenizers of reports."""

from __future__ import annotations

import rrgbench
from rrgbench_tokenizers.auto import auto
from rrgbench_tokenizers.bpe import BPE
from rrgbench_tokenizers.causal import causal
from rrgbench_tokenizers.pretrained import Pretrained
from rrgbench_tokenizers.word import Word
from rrgbench_tokenizers.wordpiece import WordPiece


@rrgbench.hookimpl
def rrgbench_tokenizers() -> dict[str, object]:
    return {"word": Word, "bpe": BPE, "wordpiece": WordPiece, "pretrained": Pretrained, "causal": causal, "auto": auto}
