"""What every layout reads: text in UTF-8 of a bounded size, tables with the columns they should have, names that stay inside."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from rrgbench import DataError

_TEXT_BYTES = 1 << 28


def read_text(path: Path, hint: str, *, expected: str = "a file") -> str:
    """A file of text, unpacked where its name ends in .gz.

    Raises:
        DataError: it cannot be read, is too large or is not UTF-8.
    """
    try:
        if path.suffix == ".gz":
            with gzip.open(path, "rb") as packed:
                content = packed.read(_TEXT_BYTES + 1)
            size = len(content)
        else:
            size = path.stat().st_size
            content = path.read_bytes() if size <= _TEXT_BYTES else b""
        if size > _TEXT_BYTES:
            raise DataError(f"{path} is too large", got=f"{size} bytes", expected=f"at most {_TEXT_BYTES}")
        return content.decode("utf-8")
    except OSError as error:
        got = error.strerror or error
        raise DataError(f"{path} cannot be read", got=got, expected=expected, hint=hint) from error
    except (EOFError, zlib.error) as error:
        raise DataError(f"{path} is not a whole .gz file", got=error, hint=hint) from error
    except UnicodeDecodeError as error:
        got = f"byte 0x{error.object[error.start]:02x} at offset {error.start}"
        raise DataError(f"{path} is not UTF-8", got=got, expected="text in UTF-8", hint="save it as UTF-8") from error


def read_rows(path: Path, columns: Sequence[str], hint: str) -> Iterator[tuple[str, Mapping[str, str]]]:
    """The rows of a CSV file, each with where it stands; a field that a row lacks is empty.

    Raises:
        DataError: it cannot be read, is not CSV, or lacks one of ``columns``.
    """
    text = read_text(path, hint).removeprefix("\ufeff")
    rows = csv.DictReader(io.StringIO(text, newline=""), strict=True, restval="")
    try:
        header = rows.fieldnames or ()
        if not set(columns) <= set(header):
            told = f"the columns {', '.join(columns[:-1])} and {columns[-1]}"
            raise DataError(f"{path}: header", got=f"columns {', '.join(header)}"[:200], expected=told, hint=hint)
        for row in rows:
            if None in row:
                raise DataError(f"{path}: line {rows.line_num}", got="more fields than the header has", hint=hint)
            yield f"{path}: line {rows.line_num}", row
    except csv.Error as error:
        raise DataError(f"{path} is not CSV", got=error, hint=hint) from error


def check_inside(where: str, name: str) -> None:
    """That a film's name leads to nothing outside the folder of films.

    Raises:
        DataError: an absolute path, '..', a backslash, a control character.
    """
    path = PurePosixPath(name)
    if not path.name or not name.isprintable() or "\\" in name or path.is_absolute() or ".." in path.parts:
        expected = "a path inside images/, with forward slashes and without '..'"
        raise DataError(where, got=repr(name), expected=expected)
