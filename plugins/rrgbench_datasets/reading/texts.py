"""Texts and values of unknown origin, and mistakes about many of them."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from rrgbench import DataError, ManyErrors, RRGBenchError

MOST_CHARACTERS = 1 << 17
"""Of one text; the csv module holds its fields to it too, since more is a quotation mark that was never closed."""

_MISTAKES = 20
_SURROGATE = re.compile("[\ud800-\udfff]")


class Mistakes:
    """Collects what is wrong with many rows, so that they can be mended together; twenty are enough to see what it is."""

    def __init__(self) -> None:
        self._errors: list[RRGBenchError] = []

    def add(self, error: RRGBenchError) -> None:
        """Keep a mistake; the twentieth ends the reading."""
        self._errors.append(error)
        if len(self._errors) >= _MISTAKES:
            self.tell()

    def tell(self) -> None:
        """Raise nothing, the one mistake, or all of them."""
        if len(self._errors) == 1:
            raise self._errors[0]
        if self._errors:
            raise ManyErrors(self._errors)


def one_line(text: str) -> str:
    """A text with every run of white space as one space: line breaks are typography, and some tokenizers glue words over one."""
    return " ".join(text.split())


def checked_text(where: str, text: str) -> str:
    """The same text, if it has none of what is no character, and a bounded length.

    Raises:
        DataError: naming what is wrong with it; nothing of it is told.
    """
    if len(text) > MOST_CHARACTERS:
        raise DataError(where, got=f"{len(text)} characters", expected=f"at most {MOST_CHARACTERS}")
    if "\0" in text:
        raise DataError(where, got="a NUL character", expected="text")
    if _SURROGATE.search(text):
        raise DataError(where, got="a lone surrogate, which is no character", expected="text")
    return text


def kind_of(value: object) -> str:
    """What a JSON value is called."""
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def told(names: Mapping[str, Any] | Collection[str], limit: int = 5) -> str:
    """The first of many names, for a message."""
    shown = list(names)
    return ", ".join(map(str, shown[:limit])) + (f" and {len(shown) - limit} more" if len(shown) > limit else "")
