"""The tokens of the COCO caption evaluation, which CXRMate and others score on."""

from __future__ import annotations

import re
import secrets
from functools import lru_cache
from typing import ClassVar, Literal

from rrgbench.jvm import JavaProgram, packaged

_PUNCTUATION = frozenset(
    ["''", "'", "``", "`", "-LRB-", "-RRB-", "-LCB-", "-RCB-", ".", "?", "!", ",", ":", "-", "--", "...", ";"]
)
"""The tokens that pycocoevalcap drops. They are compared after lower-casing, so that the brackets stay, as ``-lrb-``."""

_LINE_ENDS = re.compile("[\n\r\x0b\x0c\u2028\u2029]")
"""What the tokenizer takes for the end of a line."""

_MARK = f"mark{secrets.token_hex(8)}"
"""A word that ends an answer; no text holds it, as each process makes its own."""

# The tokenizer writes through three buffers of 8,192 and flushes none: a long word after each text pushes its answer out.
_FILLER = "a" * 26_000

# An unclosed tag goes on over line ends: whatever it waits for, this ends it without closing it.
_BREAK = '")")'


def _arguments() -> list[str]:
    jar = packaged("pycocoevalcap", "tokenizer/stanford-corenlp-3.4.1.jar")
    return ["-cp", str(jar), "edu.stanford.nlp.process.PTBTokenizer", "-preserveLines", "-lowerCase"]


_TOKENIZER = JavaProgram("Stanford PTBTokenizer", _arguments, heap="256m")


@lru_cache(maxsize=50_000)
def _tokens(text: str) -> str:
    line = _LINE_ENDS.sub(" ", text).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    answer = _TOKENIZER.ask(f"{line}\n{_BREAK} {_MARK}\n{_FILLER}\n", lambda told: told.endswith(_MARK))
    return " ".join(told for told in answer[:-1] if told != _FILLER)


class CocoPTB:
    """pycocoevalcap's ``PTBTokenizer``: lower case, Penn Treebank tokens, punctuation dropped.

    The tokenizer of Stanford CoreNLP 3.4.1 does the work, with American spellings ("oedema" becomes "edema"). A text is
    tokenized by itself: pycocoevalcap lays all texts end to end, and takes any line separator inside of one for its end.
    """

    changes_references: ClassVar[bool] = True

    def prepare(self, text: str, side: Literal["prediction", "reference"]) -> str:
        """Tokens parted by single spaces; a few tokens (``1 1/2``) hold a space that does not break.

        Raises:
            PluginError: there is no Java, or the jar fails.
        """
        return " ".join(token for token in _tokens(text).rstrip().split(" ") if token not in _PUNCTUATION)
