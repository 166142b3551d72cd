"""Files of unknown origin, read in bounded memory: CSV row by row, JSON as a whole or line by line, names inside a folder."""

from __future__ import annotations

import csv
import json
import re
import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from rrgbench import ConfigError, DataError

_CSV_BYTES = 1 << 33
_JSON_BYTES = 1 << 29
_LINE_BYTES = 1 << 24
_FIELD = 1 << 17
"""Characters of one field or text; the csv module holds it by default, and more is a quotation mark that was never closed."""

_SHOWN = 200


def flat(text: str) -> str:
    """A text on one line: blanks and line breaks are typography, and some tokenizers glue words over a line break."""
    return " ".join(text.split())


def kind(value: object) -> str:
    """What a JSON value is, for people."""
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


# Files and their names.


def inside(name: str, where: str, error: type[ConfigError] | type[DataError] = DataError) -> PurePosixPath:
    """A name as a path inside a folder.

    Raises:
        ConfigError, DataError: it is absolute, leads outside or is no name of a file.
    """
    path = PurePosixPath(name)
    odd = not path.name or not name.isprintable() or "\\" in name or len(name) > 1000
    if odd or path.is_absolute() or ".." in path.parts:
        expected = "a path inside the folder, with forward slashes and without '..'"
        raise error(where, got=repr(name[:_SHOWN]), expected=expected)
    return path


def is_film(path: Path, where: str) -> bool:
    """Whether a film's file is there.

    Raises:
        DataError: there is something, but an empty file or no file.
    """
    try:
        status = path.stat()
    except (OSError, ValueError):
        return False
    if not stat.S_ISREG(status.st_mode) or not status.st_size:
        raise DataError(f"{where}: film {path}", got="an empty file or a folder", expected="an image", hint="fetch it again")
    return True


def _opened(path: Path, largest: int, hint: str) -> BinaryIO:
    try:
        if path.is_dir():
            raise DataError(f"{path} is a folder", expected="a file", hint=hint)
        file = path.open("rb")
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file", hint=hint) from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read", got=getattr(error, "strerror", None) or error, hint=hint) from error
    size = path.stat().st_size
    if size > largest or not size:
        file.close()
        raise DataError(f"{path} is {'empty' if not size else 'too large'}", got=f"{size} bytes", hint=hint)
    return file


def _lines(path: Path, file: BinaryIO) -> Iterator[str]:
    """The lines of a file with their ends, each bounded, as UTF-8; a byte order mark in front is left out."""
    number = 0
    while True:
        try:
            raw = file.readline(_LINE_BYTES)
        except OSError as error:
            raise DataError(f"{path} cannot be read", got=error.strerror or error) from error
        if not raw:
            return
        number += 1
        where = f"{path}, line {number}"
        if len(raw) == _LINE_BYTES:
            raise DataError(f"{where} is too long", got=f"{_LINE_BYTES} bytes or more", expected="a text file")
        if b"\0" in raw:
            got, hint = "a NUL byte, as in binary files and UTF-16", "save it as UTF-8"
            raise DataError(f"{where} is not text", got=got, expected="text in UTF-8", hint=hint)
        try:
            yield raw.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            got = f"byte {raw[error.start]:#04x} at place {error.start}"
            raise DataError(f"{where} is not UTF-8", got=got, expected="text in UTF-8", hint="save it as UTF-8") from error


# CSV.


def csv_rows(path: Path, columns: Sequence[str], hint: str = "") -> Iterator[tuple[int, tuple[str, ...]]]:
    """The line where each row begins, and its fields of these columns; never more than a row is held.

    Raises:
        DataError: the file cannot be read, is not CSV in UTF-8, or lacks a column.
    """
    with _opened(path, _CSV_BYTES, hint) as file:
        reader = csv.reader(_lines(path, file), strict=True)
        line = 1
        try:
            header = next((row for row in reader if row), [])
            places = _places(path, header, columns)
            line = reader.line_num + 1
            for row in reader:
                if row:
                    if len(row) != len(header):
                        got, expected = f"{len(row)} fields", f"{len(header)}, as in the header"
                        raise DataError(f"{path}, line {line}", got=got, expected=expected, hint="the file may be cut short")
                    yield line, tuple(row[place] for place in places)
                line = reader.line_num + 1
        except csv.Error as error:
            told = "a quotation mark may not be closed, or the file is cut short"
            raise DataError(f"{path}, line {line}: not readable as CSV", got=error, hint=told) from error


def _places(path: Path, header: Sequence[str], columns: Sequence[str]) -> list[int]:
    missing = [name for name in columns if name not in header]
    twice = [name for name in columns if header.count(name) > 1]
    if missing or twice:
        what = f"missing columns {', '.join(missing)}" if missing else f"columns that stand twice: {', '.join(twice)}"
        got = ", ".join(name[:40] for name in islice(header, 8)) + (" .." if header[8:] else "")
        raise DataError(f"{path}: the header: {what}", got=got or "nothing", expected=f"the columns {', '.join(columns)}")
    return [header.index(name) for name in columns]


# JSON.


class _TwiceError(ValueError):
    """A key that stands twice in one object."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise _TwiceError(f"the key {twice[:_SHOWN]!r} twice in one object")
    return made


def parsed(where: str, text: str, hint: str = "") -> Any:
    """A JSON value; NaN, which JSON does not know but pandas writes, is a float.

    Raises:
        DataError: it is not JSON, too deep, or has a key twice in one object.
    """
    try:
        return json.loads(text, object_pairs_hook=_object)
    except _TwiceError as error:
        raise DataError(f"{where}: a key stands twice", got=error, expected="each key once") from error
    except RecursionError as error:
        raise DataError(f"{where} is not readable as JSON", got="too many levels", hint=hint) from error
    except ValueError as error:
        raise DataError(f"{where} is not readable as JSON", got=error, hint=hint or "the file may be cut short") from error


def read_json(path: Path, hint: str = "") -> Any:
    """A whole JSON file.

    Raises:
        DataError: it cannot be read or is not JSON in UTF-8.
    """
    with _opened(path, _JSON_BYTES, hint) as file:
        text = "".join(_lines(path, file))
    return parsed(str(path), text)


def json_objects(path: Path, hint: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects of JSON lines, or of one JSON list of objects, each with its place.

    Raises:
        DataError: it cannot be read, is not JSON in UTF-8, or holds something else.
    """
    with _opened(path, _JSON_BYTES, hint) as file:
        lines = enumerate(_lines(path, file), start=1)
        number, first = next(((number, line) for number, line in lines if line.strip()), (1, ""))
        if first.lstrip().startswith("["):
            items = parsed(str(path), first + "".join(line for _, line in lines))
            found = ((f"{path}, item {place}", item) for place, item in enumerate(items))
        else:
            every = ((at, line) for at, line in chain([(number, first)], lines) if line.strip() or at == number)
            found = ((f"{path}, line {at}", parsed(f"{path}, line {at}", line)) for at, line in every)
        for where, item in found:
            if not isinstance(item, dict):
                raise DataError(where, got=kind(item), expected="an object", hint=hint)
            yield where, item


_SURROGATE = re.compile("[\ud800-\udfff]")


def checked_text(where: str, text: str) -> str:
    """A text without what is no character, of bounded length.

    Raises:
        DataError: naming what is wrong with it.
    """
    if len(text) > _FIELD:
        raise DataError(where, got=f"{len(text)} characters", expected=f"at most {_FIELD}")
    if "\0" in text:
        raise DataError(where, got="a NUL character", expected="text")
    if _SURROGATE.search(text):
        raise DataError(where, got="a lone surrogate, which is no character", expected="text")
    return text
