"""CSV, a row at a time."""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from rrgbench import DataError
from rrgbench_datasets.reading.files import lines, open_text

MOST_ROWS = 5_000_000
"""More are no table of studies."""

_CUT = "a quotation mark may not be closed, or the file is cut short: write or fetch it again"


def csv_rows(
    path: Path,
    columns: Collection[str],
    *,
    optional: Collection[str] = (),
    prefix: str = "",
    delimiter: str = ",",
    encoding: str = "utf-8-sig",
    hint: str = "",
    header_hint: str = "",
) -> Iterator[tuple[str, dict[str, str]]]:
    """Where each row of a CSV with a header begins, and its cells by column; never more than a row is held.

    Args:
        path: the file, plain or ``.gz``.
        columns: those that must be there.
        optional: those that are read too where they are there.
        prefix: as are all that begin with it; none where it is empty.
        delimiter: what parts cells.
        encoding: of the file.
        hint: what to do about a file that is not what it should be.
        header_hint: what to do about a header that lacks a column, where it is something else.

    Raises:
        DataError: the file cannot be read or is no CSV, the header lacks a column or has it twice, a row has more cells or
            fewer than it.
    """
    with open_text(path, encoding, hint) as stream:
        records = _records(csv.reader(lines(stream, path), delimiter=delimiter, strict=True), path, hint)
        _, header = next(records, (0, []))
        header = [name.strip() for name in header]
        places = _places(path, header, columns, optional, prefix, header_hint or hint)
        for count, (line, cells) in enumerate(records):
            if len(cells) != len(header):
                got, expected = f"{len(cells)} cells", f"{len(header)}, as the header has"
                told = hint or "the file may be cut short: write or fetch it again"
                raise DataError(f"{path}: line {line}", got=got, expected=expected, hint=told)
            if count >= MOST_ROWS:
                raise DataError(f"{path}: too many rows", expected=f"at most {MOST_ROWS}")
            yield f"{path}: line {line}", {name: cells[place] for name, place in places.items()}


def _records(reader: Any, path: Path, hint: str) -> Iterator[tuple[int, list[str]]]:
    """The line where each record begins, and its cells; blank lines are none."""
    line = 1
    try:
        for cells in reader:
            if cells:
                yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{path}: line {line} is not CSV", got=error, hint=hint or _CUT) from error


def _places(
    path: Path, header: list[str], columns: Collection[str], optional: Collection[str], prefix: str, hint: str
) -> dict[str, int]:
    expected = f"the columns {', '.join(columns)}"
    if not header:
        raise DataError(f"{path} is empty", expected=expected, hint=hint)
    missing = [name for name in columns if name not in header]
    if missing:
        got = "columns " + ", ".join(name[:40] for name in header)
        raise DataError(f"{path}: header: no column {', '.join(missing)}", got=got, expected=expected, hint=hint)
    wanted = [name for name in header if name in columns or name in optional or (prefix and name.startswith(prefix))]
    if twice := [name for name in wanted if wanted.count(name) > 1]:
        raise DataError(f"{path}: header", got=f"the column {twice[0][:80]!r} twice", expected="each column once", hint=hint)
    return {name: header.index(name) for name in wanted}
