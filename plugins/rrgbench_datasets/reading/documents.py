"""JSON: a whole document, or an object a line."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rrgbench import DataError
from rrgbench_datasets.reading.files import lines, open_text, read_text
from rrgbench_datasets.reading.tables import MOST_ROWS
from rrgbench_datasets.reading.texts import kind_of

_CUT = "the file may be cut short: write or fetch it again"


class _TwiceError(ValueError):
    """A key that stands twice in one object."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise _TwiceError(f"key {twice[:80]!r} stands twice in one object")
    return made


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def parse_json(where: str, text: str, *, nan: bool = False, hint: str = "") -> Any:
    """A JSON value.

    Args:
        where: begins a mistake.
        text: the value as it is written.
        nan: whether NaN and infinity, which JSON does not know but pandas writes, are numbers.
        hint: what to do about it.

    Raises:
        DataError: it is not JSON, too deep, or has a key twice in one object.
    """
    if not text.strip():
        raise DataError(f"{where} is empty", expected="JSON", hint=hint or _CUT)
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=float if nan else _refuse)
    except _TwiceError as error:
        raise DataError(f"{where}: {error}", expected="each key once", hint=hint) from error
    except RecursionError as error:
        raise DataError(f"{where} is not JSON", got="too many levels", hint=hint) from error
    except json.JSONDecodeError as error:
        # A character's number helps on a line, and nobody in a long file.
        place = f"line {error.lineno}, column {error.colno}" if error.lineno > 1 else f"character {error.pos}"
        raise DataError(f"{where} is not JSON", got=f"{error.msg} at {place}", hint=hint or _CUT) from error
    except ValueError as error:
        raise DataError(f"{where} is not JSON", got=error, hint=hint) from error


def read_json(path: Path, *, nan: bool = False, hint: str = "") -> Any:
    """The one value of a JSON file.

    Raises:
        DataError: it cannot be read, or is no JSON.
    """
    return parse_json(str(path), read_text(path, hint=hint), nan=nan, hint=hint)


def json_objects(
    path: Path, *, listed: bool = False, nan: bool = False, encoding: str = "utf-8-sig", hint: str = ""
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Where each object of JSON lines stands, and the object; never more than a line is held.

    Args:
        path: the file, plain or ``.gz``.
        listed: whether the file may be one JSON list of objects as well; it is read as a whole then.
        nan: whether NaN and infinity are numbers.
        encoding: of the lines.
        hint: what to do about a file that is not what it should be.

    Raises:
        DataError: it cannot be read, holds no object, or something else.
    """
    with open_text(path, encoding, hint) as stream:
        whole = listed and stream.read(1 << 12).lstrip().startswith("[")
    for where, value in _items(path, nan, hint) if whole else _lines(path, nan, encoding, hint):
        if not isinstance(value, dict):
            raise DataError(where, got=kind_of(value), expected="an object", hint=hint)
        yield where, value


def _items(path: Path, nan: bool, hint: str) -> Iterator[tuple[str, Any]]:
    for place, item in enumerate(read_json(path, nan=nan, hint=hint)):
        yield f"{path}: item {place}", item


def _lines(path: Path, nan: bool, encoding: str, hint: str) -> Iterator[tuple[str, Any]]:
    number, found = 0, 0
    with open_text(path, encoding, hint) as stream:
        for number, line in enumerate(lines(stream, path), start=1):
            if line.strip():
                found += 1
                if found > MOST_ROWS:
                    raise DataError(f"{path}: too many rows", expected=f"at most {MOST_ROWS}")
                yield f"{path}: line {number}", parse_json(f"{path}: line {number}", line, nan=nan, hint=hint)
    if not found:
        raise DataError(f"{path} is empty", expected="an object a line", hint=hint)
