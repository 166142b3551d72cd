"""Words for people: names that come close, and text of plugins on one line."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

_SUMMARY = 200


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """A hint for a name that is not there."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    listed = ", ".join(sorted(known)) or "nothing"
    return f"did you mean {close[0]!r}? Known: {listed}" if close else f"known: {listed}"


def summary(docstring: str | None) -> str:
    """The first paragraph of a docstring on one line, without control characters; what is too long ends in an ellipsis."""
    paragraph = re.split(r"\n\s*\n", (docstring or "").strip(), maxsplit=1)[0]
    line = " ".join("".join(c if c.isprintable() or c.isspace() else "?" for c in paragraph).split())
    if len(line) <= _SUMMARY:
        return line
    return line[: _SUMMARY - 2].rpartition(" ")[0] + " …"
