"""Files and the text in them, in bounds: plain or gzip, whole or line by line."""

from __future__ import annotations

import contextlib
import gzip
import io
import stat
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from rrgbench import DataError

_STREAM = 1 << 33
_UNPACKED = 1 << 31
_WHOLE = 1 << 29
_LINE = 1 << 24


class Bounded(io.RawIOBase):
    """A stream that refuses to give more than ``most`` bytes: a small packed file may unpack to any size."""

    def __init__(self, stream: Any, path: Path, most: int) -> None:
        self._stream, self._path, self._most, self._left = stream, path, most, most

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        size: int = self._stream.readinto(buffer)
        self._left -= size
        if self._left < 0:
            raise DataError(f"{self._path} is too large", got="more, unpacked", expected=f"at most {self._most} bytes")
        return size


class _Counted(io.BufferedIOBase):
    """Bytes on their way to a decoder, which knows not where in the file it is when it stumbles."""

    def __init__(self, stream: Bounded, path: Path, encoding: str) -> None:
        self._stream, self._path, self._encoding = stream, path, encoding
        self._size, self._lines, self._last = 0, 0, b""

    def readable(self) -> bool:
        return True

    def read1(self, size: int = -1) -> bytes:
        self._size += len(self._last)
        self._lines += self._last.count(b"\n")
        self._last = self._stream.read(size) or b""
        # A NUL byte is a character's half in UTF-16, and a binary file's elsewhere.
        if b"\0" in self._last and "16" not in self._encoding:
            raise _nul(f"{self._path}: line {self._lines + 1 + self._last[: self._last.index(0)].count(10)}")
        return self._last

    def mistake(self, error: UnicodeDecodeError) -> DataError:
        """What is wrong, and where: the decoder stumbled in the bytes that it had last, and a few that it had kept."""
        place = self._size + len(self._last) - len(error.object) + error.start
        line = self._lines + 1 + self._last[: max(0, place - self._size)].count(b"\n")
        where = str(self._path) if "16" in self._encoding else f"{self._path}: line {line}"
        return _undecoded(where, error, place, self._encoding)


def _nul(where: str) -> DataError:
    got, hint = "a NUL byte, as in binary files and UTF-16", "fetch it again, or save it as UTF-8"
    return DataError(f"{where} is not text", got=got, expected="text", hint=hint)


def _undecoded(where: str, error: UnicodeDecodeError, place: int, encoding: str = "utf-8-sig") -> DataError:
    shown = _shown(encoding)
    got = f"byte 0x{error.object[error.start]:02x} at offset {place}"
    return DataError(f"{where} is not {shown}", got=got, expected=f"text in {shown}", hint="save it as UTF-8")


def _shown(encoding: str) -> str:
    return "UTF-8" if encoding == "utf-8-sig" else encoding


@contextlib.contextmanager
def _opened(path: Path, most: int | None, hint: str) -> Iterator[Bounded]:
    """The bytes of a file, unpacked where its name ends in ``.gz``."""
    packed = path.name.endswith(".gz")
    most = most or (_UNPACKED if packed else _STREAM)
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # to open a pipe would be to wait
            got = "a folder" if stat.S_ISDIR(status.st_mode) else "a pipe or a device"
            raise DataError(f"{path} cannot be read", got=got, expected="a file", hint=hint)
        if status.st_size > most:
            raise DataError(f"{path} is too large", got=f"{status.st_size} bytes", expected=f"at most {most}", hint=hint)
        with path.open("rb", buffering=0) as raw, contextlib.ExitStack() as stack:
            yield Bounded(stack.enter_context(gzip.open(raw)) if packed else raw, path, most)
    except (OSError, EOFError, zlib.error) as error:
        got = getattr(error, "strerror", None) or error
        told = hint or "fetch or write the file again"
        raise DataError(f"{path} cannot be read", got=got, expected="a whole file", hint=told) from error


@contextlib.contextmanager
def open_text(path: Path, encoding: str = "utf-8-sig", hint: str = "") -> Iterator[TextIO]:
    """A text file as a stream, unpacked where its name ends in ``.gz``; line ends stay as they are.

    Raises:
        DataError: it is missing, cut short, too large, or not of this encoding, whenever that shows.
    """
    with _opened(path, None, hint) as stream:
        counted = _Counted(stream, path, encoding)
        try:
            yield io.TextIOWrapper(counted, encoding=encoding, newline="")
        except UnicodeDecodeError as error:
            raise counted.mistake(error) from error
        except UnicodeError as error:  # UTF-16 without a byte order mark
            raise DataError(f"{path} is not {_shown(encoding)}", got=error, hint="save it as UTF-8") from error


def lines(stream: TextIO, path: Path) -> Iterator[str]:
    """The lines of a stream with their ends, each bounded.

    Raises:
        DataError: a line is too long.
    """
    number = 0
    while line := stream.readline(_LINE):
        number += 1
        if len(line) == _LINE:
            where = f"{path}: line {number} is too long"
            raise DataError(where, got=f"{_LINE} characters or more", expected="a text file")
        yield line


def read_text(path: Path, *, most: int = _WHOLE, hint: str = "") -> str:
    """A whole text, unpacked where its name ends in ``.gz``, with or without a byte order mark.

    Raises:
        DataError: it cannot be read, holds more than ``most`` bytes, or is not UTF-8.
    """
    with _opened(path, most, hint) as stream:
        return decoded(str(path), stream.readall())


def decoded(where: str, content: bytes) -> str:
    """Bytes as text.

    Raises:
        DataError: they are not UTF-8.
    """
    if b"\0" in content:
        raise _nul(f"{where}: line {1 + content[: content.index(0)].count(10)}")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = len(content) - len(error.object) + error.start  # a byte order mark is not in what is decoded
        raise _undecoded(f"{where}: line {1 + content[:place].count(10)}", error, place) from error
