"""Rows of a table from outside: CSV, JSON lines or Parquet, a row as column -> cell."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from rrgbench import ConfigError, DataError
from rrgbench_datasets.reading import MOST_ROWS, csv_rows, json_objects

_DELIMITED = {".csv": ",", ".tsv": "\t"}
FORMATS = ".csv, .tsv, .jsonl (each also .gz) or .parquet"
_BATCH = 4096
_MAP = "say which column it is, as columns.study_id=NAME (null where there is none); split: subject draws the split"
_BYTES = 1 << 32


def read_rows(
    path: Path, columns: Collection[str], prefix: str, delimiter: str | None, encoding: str
) -> Iterator[tuple[str, Any]]:
    """Where a row stands, and its cells; those of a CSV are text, others are what they are.

    Args:
        path: the file; its suffix tells its format.
        columns: those that must be there.
        prefix: columns that begin with it are read too; none where it is empty.
        delimiter: what parts the cells of a CSV, where it is not told by the suffix.
        encoding: of a CSV or of JSON lines.

    Raises:
        DataError: the file cannot be read, or lacks a column.
        ConfigError: a format that is not known, or whose reader is not installed.
    """
    kind = path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix
    if not path.is_file():
        raise DataError(f"{path}: no such file", expected="the table, in the root", hint="the option file names it")
    if kind in _DELIMITED:
        parts = delimiter or _DELIMITED[kind]
        yield from csv_rows(path, columns, prefix=prefix, delimiter=parts, encoding=encoding, hint=_MAP)
    elif kind == ".jsonl":
        yield from _objects(path, columns, encoding)
    elif path.suffix == ".parquet":
        yield from _parquet(path, columns, prefix)
    else:
        raise ConfigError("table: option file", got=path.name, expected=f"a name that ends in {FORMATS}")


def _objects(path: Path, columns: Collection[str], encoding: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Objects may leave a field out, which is as null; a field that none has is a mistake in the column map."""
    seen: set[str] = set()
    for where, row in json_objects(path, encoding=encoding):
        seen.update(row)
        yield where, {**dict.fromkeys(columns), **row}
    missing = [name for name in columns if name not in seen]
    if missing:
        raise DataError(f"{path}: no field {', '.join(missing)} in any line", got=f"fields {', '.join(sorted(seen))}", hint=_MAP)


def _parquet(path: Path, columns: Collection[str], prefix: str) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        hint = 'pip install "rrgbench[parquet]"'
        raise ConfigError(f"{path}: Parquet needs pyarrow, which is not installed", hint=hint) from error
    try:
        with parquet.ParquetFile(path, page_checksum_verification=True) as file:
            names = list(file.schema_arrow.names)
            missing = [name for name in columns if name not in names]
            if missing:
                raise DataError(f"{path}: no column {', '.join(missing)}", got=f"columns {', '.join(names)}", hint=_MAP)
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise DataError(f"{path}: the column {twice[0]!r} stands twice", expected="each column once")
            wanted = [name for name in names if name in columns or (prefix and name.startswith(prefix))]
            _check_size(path, file)
            number = 0
            for batch in file.iter_batches(batch_size=_BATCH, columns=wanted):
                for row in batch.to_pylist():
                    number += 1
                    yield f"{path}: row {number}", row
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError, MemoryError) as error:
        got = str(error).split("\n")[0][:200]
        raise DataError(f"{path} cannot be read", got=got, expected="a whole Parquet file", hint="write it again") from error


def _check_size(path: Path, file: Any) -> None:
    """The file says how much it holds; a small one may unpack to any size."""
    rows, size = file.metadata.num_rows, sum(file.metadata.row_group(i).total_byte_size for i in range(file.num_row_groups))
    if rows > MOST_ROWS or size > _BYTES:
        raise DataError(f"{path} is too large", got=f"{rows} rows, {size} bytes", expected=f"at most {MOST_ROWS} and {_BYTES}")
