"""Files of unknown origin, read in bounds: CSV (plain or gzip), JSON lines, JSON.

A mistake is one line that names file and line. No message holds the text of a cell that may be a report.
"""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, TextIO

from rrgbench import DataError, ManyErrors, RRGBenchError

_BYTES = 1 << 31
_LINE = 1 << 24
_ROWS = 5_000_000
_MISTAKES = 20
_SURROGATE = re.compile("[\ud800-\udfff]")

Row = tuple[int, dict[str, str]]
"""The number of a line and its cells by column."""


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


class _Bounded(io.RawIOBase):
    """A stream that refuses to give more than ``_BYTES`` (a small gzip file may unpack to any size) or a NUL byte."""

    def __init__(self, stream: Any, path: Path, *, nul: bool) -> None:
        self._stream, self._path, self._left, self._nul = stream, path, _BYTES, nul

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        size = self._stream.readinto(buffer)
        self._left -= size
        if self._left < 0:
            raise DataError(f"{self._path} is too large", expected=f"at most {_BYTES} bytes, unpacked")
        if not self._nul and b"\0" in bytes(buffer[:size]):
            raise DataError(f"{self._path} holds a NUL byte", expected="text", hint="it may be UTF-16: save it as UTF-8")
        return size


@contextlib.contextmanager
def open_text(path: Path, encoding: str = "utf-8-sig") -> Iterator[TextIO]:
    """A text file, unpacked where its name ends in ``.gz``; line ends stay as they are.

    Raises:
        DataError: it is missing, cut short, too large, or not of this encoding, whenever that shows.
    """
    shown = "UTF-8" if encoding == "utf-8-sig" else encoding
    try:
        with path.open("rb") as raw, contextlib.ExitStack() as stack:
            stream: Any = stack.enter_context(gzip.open(raw)) if path.name.endswith(".gz") else raw
            bounded = _Bounded(stream, path, nul="16" in encoding)
            yield io.TextIOWrapper(io.BufferedReader(bounded, 1 << 20), encoding=encoding, newline="")
    except UnicodeDecodeError as error:
        got = f"byte 0x{error.object[error.start]:02x}"
        raise DataError(f"{path} is not {shown}", got=got, expected=f"text in {shown}", hint="save it as UTF-8") from error
    except UnicodeError as error:  # UTF-16 without a byte order mark
        raise DataError(f"{path} is not {shown}", got=error, hint="save it as UTF-8") from error
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        hint = "fetch or write the file again" if path.exists() else ""
        raise DataError(f"{path} cannot be read", got=reason, expected="a whole file", hint=hint) from error


def _lines(stream: TextIO, path: Path) -> Iterator[str]:
    while line := stream.readline(_LINE):
        if len(line) == _LINE:
            raise DataError(f"{path}: a line is too long", expected=f"fewer than {_LINE} characters")
        yield line


def csv_rows(path: Path, required: Collection[str], *, delimiter: str = ",", encoding: str = "utf-8-sig") -> Iterator[Row]:
    """The rows of a CSV with a header, one at a time.

    Raises:
        DataError: the header lacks a column or has one twice, a row is longer or shorter than it, the file is no CSV.
    """
    with open_text(path, encoding) as stream:
        reader = csv.reader(_lines(stream, path), delimiter=delimiter, strict=True)
        try:
            header = [name.strip() for name in next(reader, [])]
            _check_header(path, header, required)
            for count, cells in enumerate(reader):
                if not cells:
                    continue
                if len(cells) != len(header):
                    where = f"{path}: line {reader.line_num}"
                    raise DataError(where, got=f"{len(cells)} cells", expected=f"{len(header)}, as the header has")
                if count >= _ROWS:
                    raise DataError(f"{path}: too many rows", expected=f"at most {_ROWS}")
                yield reader.line_num, dict(zip(header, cells, strict=True))
        except csv.Error as error:
            where = f"{path}: line {reader.line_num}"
            raise DataError(
                f"{where} is not CSV", got=error, hint="the file may be cut short: write or fetch it again"
            ) from error


def _check_header(path: Path, header: list[str], required: Collection[str]) -> None:
    if not header:
        raise DataError(f"{path} is empty", expected=f"the columns {', '.join(required)}")
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise DataError(f"{path}: header", got=f"the column {twice[0]!r} twice", expected="each column once")
    missing = [name for name in required if name not in header]
    if missing:
        raise DataError(f"{path}: header: no column {', '.join(missing)}", got=f"columns {', '.join(header)}")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"key {next(key for key in keys if keys.count(key) > 1)!r} stands twice in one object")
    return made


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def parse_json(text: str, where: str) -> Any:
    """Strict JSON: no key twice, no NaN, no lone surrogate.

    Raises:
        DataError: it is not.
    """
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        got = f"{error.msg} at character {error.pos}"
        raise DataError(f"{where} is not JSON", got=got, hint="the file may be cut short: write or fetch it again") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where} is not JSON", got=error) from error
    # An escape may stand for half a character, which no text holds.
    if "\\ud" in text.lower() and _SURROGATE.search(json.dumps(value, ensure_ascii=False)):
        raise DataError(f"{where} holds a lone surrogate, which is no character", expected="text")
    return value


def json_lines(path: Path, encoding: str = "utf-8-sig") -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a file of JSON lines, one at a time.

    Raises:
        DataError: a line is no JSON object.
    """
    with open_text(path, encoding) as stream:
        for number, line in enumerate(_lines(stream, path), start=1):
            if not line.strip():
                continue
            if number > _ROWS:
                raise DataError(f"{path}: too many rows", expected=f"at most {_ROWS}")
            value = parse_json(line, f"{path}: line {number}")
            if not isinstance(value, dict):
                raise DataError(f"{path}: line {number}", got=kind_of(value), expected="an object")
            yield number, value


def json_document(path: Path) -> Any:
    """The one value of a JSON file.

    Raises:
        DataError: it cannot be read, or is no JSON.
    """
    with open_text(path) as stream:
        return parse_json(stream.read(), str(path))


def kind_of(value: object) -> str:
    """What a JSON value is called."""
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def is_inside(name: str) -> bool:
    """Whether a path that a file names stays in the folder that it is relative to, and is written as paths are."""
    path = PurePosixPath(name)
    plain = name.isprintable() and "\\" not in name and len(name) <= 1000 and bool(path.name)
    return plain and not path.is_absolute() and ".." not in path.parts


def first_file(root: Path, names: Collection[str]) -> Path | None:
    """The first of these files that is in the root."""
    return next((root / name for name in names if (root / name).is_file()), None)


def one_line(text: str) -> str:
    """A text with every run of white space as one space."""
    return " ".join(text.split())


def told(names: Mapping[str, Any] | Collection[str], limit: int = 5) -> str:
    """The first of many names, for a message."""
    shown = list(names)
    return ", ".join(map(str, shown[:limit])) + (f" and {len(shown) - limit} more" if len(shown) > limit else "")
