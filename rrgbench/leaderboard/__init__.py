"""The leaderboard: rows side by side. Rows whose signatures differ are never in one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rrgbench.identity import digest
from rrgbench.row import Row, read_rows
from rrgbench.store import default_store

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True)
class Board:
    """Rows that may be compared: the same data set, protocol, references, studies and metric implementations."""

    dataset: str
    protocol: str
    n: int
    references: str
    rows: tuple[Row, ...]

    def values(self) -> list[str]:
        """The names of the values, in the order of the rows' metrics."""
        return list(dict.fromkeys(name for row in self.rows for name in row.values))


def _family(row: Row) -> str:
    """What rows of one board share, whatever was measured."""
    return digest([row.dataset, row.dataset_options, row.split, row.protocol, row.n])


def _signature(row: Row) -> str:
    """What must agree between rows of one board; which metrics a row has may differ, not how one of them is computed."""
    shared = {key: value for item in row.values.values() for key, value in item.signature.items() if not key.startswith("metric")}
    return digest([_family(row), shared])


def _once(rows: Sequence[Row]) -> list[Row]:
    """Rows without repetitions: where experiments share a cell, the one with the same reports and values stands once."""
    found: dict[str, Row] = {}
    for row in rows:
        earlier = found.setdefault(digest([row.id, row.steps]), row)
        if earlier is not row and _agree(earlier, row):
            values = {**earlier.values, **{name: value for name, value in row.values.items() if name not in earlier.values}}
            found[digest([row.id, row.steps])] = earlier.model_copy(update={"values": values})
        elif earlier is not row:
            found[digest([row.id, row.steps, row.experiment])] = row
    return list(found.values())


def _agree(row: Row, other: Row) -> bool:
    return _signature(row) == _signature(other) and all(
        row.values[name] == other.values[name] for name in row.values.keys() & other.values
    )


def boards(rows: Sequence[Row]) -> list[Board]:
    """The rows in groups that may be ranked together, each with the best headline value first.

    Metrics of one name but different implementations part the rows too. A row in which nothing applies stands last in every
    board of its data set and protocol.
    """
    groups: dict[str, list[Row]] = {}
    empty = [row for row in rows if not row.values]
    for row in _once([row for row in rows if row.values]):
        groups.setdefault(_signature(row), []).append(row)
    parts = [part for group in groups.values() for part in _by_metric_signatures(group)]
    families = {_family(part[0]) for part in parts}
    parts += [[row] for row in empty if _family(row) not in families]
    return [_board([*part, *(row for row in empty if row not in part and _family(row) == _family(part[0]))]) for part in parts]


def _board(rows: Sequence[Row]) -> Board:
    first = rows[0]
    references = next((str(value.signature.get("references", "")) for value in first.values.values()), "")
    board = Board(first.dataset, first.protocol, first.n, references, tuple(rows))
    return replace(board, rows=tuple(_ranked(board)))


def _by_metric_signatures(group: Sequence[Row]) -> list[list[Row]]:
    """Part rows in which one value was computed in two ways; a row joins the first part that it does not contradict."""
    parts: list[tuple[dict[str, str], list[Row]]] = []
    for row in group:
        own = {name: digest(value.signature) for name, value in row.values.items()}
        for known, members in parts:
            if all(known.get(name, item) == item for name, item in own.items()):
                known.update(own)
                members.append(row)
                break
        else:
            parts.append((own, [row]))
    return [members for _, members in parts]


def _ranked(board: Board) -> list[Row]:
    headline = next(
        (name for name in board.values() if any(r.values[name].better != "neither" for r in board.rows if name in r.values)), None
    )
    if headline is None:
        return list(board.rows)

    def key(row: Row) -> tuple[bool, float]:
        value = row.values.get(headline)
        if value is None:
            return True, 0.0
        return False, value.value if value.better == "lower" else -value.value

    return sorted(board.rows, key=key)


_COLUMNS: Mapping[str, str] = {
    "id": "object",
    "kind": "object",
    "title": "object",
    "experiment": "object",
    "dataset": "object",
    "protocol": "object",
    "n": "int64",
    "value_name": "object",
    "value": "float64",
    "low": "float64",
    "high": "float64",
    "sd": "float64",
    "seeds": "int64",
    "better": "object",
    "signature": "object",
}
"""The columns of ``rows`` and their types; those of the axes stand after ``n``."""


def rows(store: str | Path | None = None, experiment: str | None = None) -> pandas.DataFrame:
    """The rows of a store as a table: one line a row and value.

    Args:
        store: the folder; None takes $RRGBENCH_STORE, else ``./store``.
        experiment: only rows of the experiment of that name.

    Returns:
        Columns id, kind, title, experiment, dataset, protocol, n, one ``axis.<name>`` an axis (None where a row has no such
        axis), value_name, value, low, high, sd (NaN where there is none), seeds, better, signature. No lines, but all
        columns, where there are no rows.

    Raises:
        StoreError: a file there is not a row.
    """
    import pandas

    found = load_rows(store, experiment)
    axes = [f"axis.{axis}" for axis in dict.fromkeys(axis for row in found for axis in row.labels)]
    lines: list[dict[str, object]] = []
    for row in found:
        about = row.model_dump(include={"id", "kind", "title", "experiment", "dataset", "protocol", "n"})
        about |= {f"axis.{axis}": label for axis, label in row.labels.items()}
        for name, value in row.values.items():
            counted = value.model_dump(include={"value", "low", "high", "sd", "better"})
            told = {"value_name": name, "seeds": len(value.seeds), "signature": digest(value.signature)[:12]}
            lines.append({**dict.fromkeys(axes), **about, **counted, **told})
    names = list(_COLUMNS)
    place = names.index("n") + 1
    table = pandas.DataFrame(lines, columns=[*names[:place], *axes, *names[place:]], dtype="object")
    return table.astype({**_COLUMNS, **dict.fromkeys(axes, "object")})


def load_rows(store: str | Path | None = None, experiment: str | None = None) -> list[Row]:
    """The rows of a store, of one experiment or of all.

    Raises:
        StoreError: a file there is not a row.
    """
    folder = Path(store) if store is not None else default_store()
    return [row for row in read_rows(folder / "rows") if experiment in (None, row.experiment)]
