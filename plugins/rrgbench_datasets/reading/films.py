"""The files of films: found under the name that they should have, or one of its other suffixes."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from rrgbench import DataError

SUFFIXES = (".jpg", ".png", ".jpeg", ".dcm")


def stem(name: str) -> str:
    """A film's name without its suffix, if that is a suffix of films."""
    return name.rpartition(".")[0] if name.lower().endswith(SUFFIXES) else name


class Films:
    """Finds films below a folder, by the rule of the option ``missing_images``.

    Args:
        folder: what the names of films are relative to.
        missing: ``drop`` goes on without films that are not there; ``error`` tells them together, when ``tell`` is called.
        suffixes: those that a film may have in place of its own.
    """

    def __init__(self, folder: Path, missing: Literal["error", "drop"], suffixes: Sequence[str] = SUFFIXES) -> None:
        self._folder, self._suffixes = folder, suffixes
        self.drops = missing == "drop"
        self._first = ""
        self._asked = 0
        self.dropped: list[str] = []
        """The names of films that are not there, in the order in which they were asked for."""

    def find(self, where: str, name: str) -> Path | None:
        """The file of a film; None where it is missing.

        Args:
            where: whose film it is, for a mistake.
            name: a path inside the folder.

        Raises:
            DataError: there is something, but an empty file or no file.
        """
        self._asked += 1
        plain = stem(name)
        for candidate in dict.fromkeys((name, *(plain + suffix for suffix in self._suffixes))):
            path = self._folder / candidate
            try:
                status = path.stat()
            except (OSError, ValueError):
                continue
            if not stat.S_ISREG(status.st_mode) or not status.st_size:
                hint = "fetch the film again"
                raise DataError(f"{where}: film {path}", got="an empty file or a folder", expected="an image", hint=hint)
            return path
        self._first = self._first or where
        self.dropped.append(name)
        return None

    def tell(self) -> None:
        """Say which films are missing, unless they may be.

        Raises:
            DataError: the first, and how many there are.
        """
        if self.drops or not self.dropped:
            return
        more = f", and {len(self.dropped) - 1} more of {self._asked}" if len(self.dropped) > 1 else ""
        raise DataError(
            f"{self._first}: a film is missing{more}",
            got=f"no file {self._folder / self.dropped[0]}",
            expected="the film" + (f", as {', '.join(self._suffixes[:-1])} or {self._suffixes[-1]}" if self._suffixes else ""),
            hint="fetch it, or set the option missing_images to drop",
        )
