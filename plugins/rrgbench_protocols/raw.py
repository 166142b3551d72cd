"""Nothing is done."""

from __future__ import annotations

from typing import ClassVar, Literal


class Raw:
    """Both sides verbatim: cased, with their punctuation attached to the words."""

    changes_references: ClassVar[bool] = False

    def prepare(self, text: str, side: Literal["prediction", "reference"]) -> str:
        """The text itself."""
        return text
