"""A file that is damaged, and what can happen to any file or text. What a change draws comes from the generator given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random

Change = Callable[[bytes, Random], bytes]
"""Other bytes in place of bytes."""

PAGE = b"<!DOCTYPE html>\n<html><head><title>403 Forbidden</title></head><body>Sign in to go on, please</body></html>\n"
HUGE = 200_000


@dataclass(frozen=True)
class File:
    """A file of a tree. ``pattern``: one of those is damaged; ``kind``: what it is.

    ``column``: of a CSV or Parquet, one that is needed; ``path``: one that holds paths of films; ``wrong``: a value that a
    column may not have. ``text``, ``many``: fields of a JSON object that hold a text and a list; ``key``: the key of the list
    of objects, where they stand in one; ``first``: only the first object is sure to be read.
    """

    pattern: str
    kind: str
    column: str = ""
    path: str = ""
    wrong: Mapping[str, str] = field(default_factory=dict)
    text: str = "report"
    many: str = "image_path"
    key: str = ""
    first: bool = False


def empty(content: bytes, random: Random) -> bytes:
    return b""


def blank(content: bytes, random: Random) -> bytes:
    return b" \r\n" * 20


def noise(content: bytes, random: Random) -> bytes:
    return random.randbytes(4096)


def page(content: bytes, random: Random) -> bytes:
    """What a server says in place of the file."""
    return PAGE


def utf16(content: bytes, random: Random) -> bytes:
    return content.decode().encode("utf-16")


def latin(content: bytes, random: Random) -> bytes:
    """One letter of Latin-1 between two of ASCII."""
    place = random.randrange(len(content) // 3, 2 * len(content) // 3)
    return content[:place] + b"e\xe9e" + content[place:]


def nul(content: bytes, random: Random) -> bytes:
    place = random.randrange(len(content) // 3, 2 * len(content) // 3)
    return content[:place] + b"\0" + content[place:]


ANY: dict[str, Change] = {
    "empty": empty,
    "random bytes": noise,
    "a web page": page,
    "UTF-16": utf16,
    "a byte of Latin-1": latin,
    "a NUL byte": nul,
}
