"""The leaderboard: rows side by side. Rows whose signatures differ are never in one table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rrgbench.identity import digest
from rrgbench.row import Row, read_rows

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


def _signature(row: Row) -> str:
    """What must agree between rows of one board; which metrics a row has may differ, not how one of them is computed."""
    shared = {key: value for item in row.values.values() for key, value in item.signature.items() if not key.startswith("metric")}
    return digest([row.dataset, row.dataset_options, shared])


def boards(rows: Sequence[Row]) -> list[Board]:
    """The rows in groups that may be ranked together, each with the best headline value first.

    Metrics of one name but different implementations part the rows too.
    """
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(_signature(row), []).append(row)
    found = []
    for group in groups.values():
        for same in _by_metric_signatures(group):
            first = next(iter(same[0].values.values())).signature
            board = Board(same[0].dataset, same[0].protocol, same[0].n, str(first["references"]), tuple(same))
            found.append(Board(board.dataset, board.protocol, board.n, board.references, tuple(_ranked(board))))
    return found


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


def rows(store: str | Path | None = None, experiment: str | None = None) -> pandas.DataFrame:
    """The rows of a store as a table: one line a row and value.

    Args:
        store: the folder; None takes $RRGBENCH_STORE, else ``./store``.
        experiment: only rows of the experiment of that name.

    Returns:
        Columns id, kind, title, experiment, dataset, protocol, n, one ``axis.<name>`` an axis, value_name, value, low, high,
        sd, seeds, better, signature.

    Raises:
        StoreError: a file there is not a row.
    """
    import pandas

    lines = []
    for row in load_rows(store, experiment):
        about = {
            "id": row.id,
            "kind": row.kind,
            "title": row.title,
            "experiment": row.experiment,
            "dataset": row.dataset,
            "protocol": row.protocol,
            "n": row.n,
            **{f"axis.{axis}": label for axis, label in row.labels.items()},
        }
        for name, value in row.values.items():
            counted = value.model_dump(include={"value", "low", "high", "sd", "better"})
            lines.append(
                about | {"value_name": name} | counted | {"seeds": len(value.seeds), "signature": digest(value.signature)[:12]}
            )
    return pandas.DataFrame(lines)


def load_rows(store: str | Path | None = None, experiment: str | None = None) -> list[Row]:
    """The rows of a store, of one experiment or of all.

    Raises:
        StoreError: a file there is not a row.
    """
    from rrgbench.store import default_store

    folder = Path(store) if store is not None else default_store()
    return [row for row in read_rows(folder / "rows") if experiment in (None, row.experiment)]
