"""What stands in reports where somebody's name, a date or a place was taken out: ``XXXX`` in OpenI's, ``___`` in MIMIC-CXR's."""

from __future__ import annotations

import re
from typing import Literal

Placeholders = Literal["keep", "drop", "token"]
"""``keep``: as they are. ``drop``: taken out. ``token``: one word, ``PLACEHOLDER``, for all of them."""

PLACEHOLDER = "XXXX"
"""OpenI's own; in lower case it is a word for every cleaning rule, where R2Gen's takes ``___`` out."""

# No English word holds four X, so that they are found where they touch one ("AXXXX", "XXXX's"), as they do in OpenI.
_PLACEHOLDER = re.compile(r"X{4,}|_{2,}")


def placeholders(text: str) -> int:
    """How many placeholders a text holds: a row of four or more ``X`` or of two or more ``_`` is one."""
    return sum(1 for _ in _PLACEHOLDER.finditer(text))


def treat_placeholders(text: str, rule: Placeholders) -> str:
    """A text with its placeholders kept, dropped (with the spaces before them), or made one word.

    ``token`` sets a space where a letter, a digit or another placeholder would touch the word. Punctuation stays, that between
    two placeholders too.
    """
    found = list(_PLACEHOLDER.finditer(text))
    if rule == "keep" or not found:
        return text
    between = [text[end:start] for end, start in zip([0, *(one.end() for one in found)], [*(one.start() for one in found), None])]
    if rule == "drop":
        return "".join([*(part.rstrip(" \t") for part in between[:-1]), between[-1]]).strip()
    parts = [between[0]]
    for part in between[1:]:
        before = " " if parts[-1][-1:].isalnum() else ""
        after = " " if part[:1].isalnum() or not part else ""
        parts += [f"{before}{PLACEHOLDER}{after}", part]
    return "".join(parts).strip()
