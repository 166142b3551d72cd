"""The leaderboard as one HTML page that needs nothing but itself: no network, no other file.

Whatever stands in a row is hostile: it reaches the page as text through jinja's escaping or matplotlib's XML writer, and no
script. The table is plain HTML; DataTables (from itables, MIT) sorts and filters it where scripts may run.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from rrgbench.leaderboard import Board, boards
from rrgbench.leaderboard.plots import Plot, plots
from rrgbench.leaderboard.view import ARROWS, Column, axes, columns, interval, number, shortened, visible, warnings
from rrgbench.row import Row
from rrgbench.store import write_atomically

_WIDE = 8
"""With more values than this, only headlines are shown until the reader asks for more."""

_BEFORE = 4
"""Columns before the values: place, row, kind, seeds. After them: parameters, seconds of training, the axes."""


@dataclass(frozen=True)
class _Cell:
    """One value of one row as it stands in the table: text, interval, what it sorts by, and why there is none."""

    text: str
    sort: str
    interval: str = ""
    missing: str = ""
    scored: bool = True


@dataclass(frozen=True)
class _Line:
    """A row of the table, with what is folded away below it."""

    anchor: str
    row: Row
    title: str
    warnings: Sequence[str]
    cells: Sequence[_Cell]
    provenance: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class _Section:
    """A board as the template needs it."""

    board: Board
    anchor: str
    axes: Sequence[str]
    columns: Sequence[Column]
    metrics: Sequence[tuple[str, int]]
    lines: Sequence[_Line]
    plots: Sequence[Plot]
    options: str

    @property
    def first(self) -> Row:
        """A row that speaks for all of them where they agree."""
        return self.board.rows[0]


def write_page(rows: Sequence[Row], path: Path) -> None:
    """Write the page of these rows, atomically. The same rows give the same bytes.

    Raises:
        StoreError: the file cannot be written.
    """
    write_atomically(path, page(rows).encode())


def page(rows: Sequence[Row]) -> str:
    """The page of these rows, one at least, as HTML."""
    import jinja2

    assert rows
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=lambda value: visible(value) if type(value) is str else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"shortened": shortened, "number": number, "zip": zip}
    script = _read("page.js")
    return environment.from_string(_read("page.html.j2")).render(
        questions=list(dict.fromkeys((row.experiment, row.question) for row in rows)),
        sections=[_section(board, f"b{place}") for place, board in enumerate(boards(rows), start=1)],
        arrows=ARROWS,
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        style=_read("page.css"),
        **_datatables(),
    )


def _read(name: str) -> str:
    return (files("rrgbench.leaderboard") / "templates" / name).read_text(encoding="utf-8")


def _datatables() -> dict[str, str]:
    """The library that sorts: its module as a JSON string, its style sheet, its version and its licence."""
    import itables.options

    bundle = Path(itables.options.dt_bundle)
    licence = importlib.metadata.distribution("itables").read_text("licenses/LICENSE") or "MIT"
    # Inside <script> only "<" could end the element; JSON has another spelling for it.
    module = json.dumps(bundle.read_text(encoding="utf-8")).replace("<", "\\u003c")
    sheet = bundle.with_suffix(".css").read_text(encoding="utf-8")
    assert "</" not in sheet
    return {
        "datatables_module": module,
        "datatables_style": sheet,
        "datatables_version": importlib.metadata.version("itables"),
        "datatables_licence": licence,
    }


def _section(board: Board, anchor: str) -> _Section:
    shown, along = columns(board), axes(board.rows)
    metrics = [(metric, sum(column.metric == metric for column in shown)) for metric in dict.fromkeys(c.metric for c in shown)]
    lines = [
        _Line(
            anchor=f"{anchor}-r{place}",
            row=row,
            title=row.title,
            warnings=told,
            cells=[_cell(row, column) for column in shown],
            provenance=list(_provenance(row)),
        )
        for place, (row, told) in enumerate(zip(board.rows, warnings(board)), start=1)
    ]
    options = json.dumps(_options(shown, len(board.rows)))
    return _Section(board, anchor, along, shown, metrics, lines, plots(board, anchor), options)


def _cell(row: Row, column: Column) -> _Cell:
    value = row.values.get(column.name)
    if value is not None:
        text, between = interval(value)
        return _Cell(text, repr(value.value), between)
    last = "1e308" if column.better == "lower" else "-1e308"
    if column.name in row.not_applicable:
        return _Cell("not applicable", last, missing=row.not_applicable[column.name], scored=False)
    return _Cell("not scored", last, scored=False)


def _options(shown: Sequence[Column], count: int) -> dict[str, Any]:
    """What DataTables is told: numbers and our own words only, never text from a row."""
    places = range(_BEFORE, _BEFORE + len(shown))
    rest = [place for place, column in zip(places, shown) if not column.headline]
    definitions: list[dict[str, Any]] = [
        {"targets": [place], "type": "num", "orderSequence": ["asc", "desc"] if column.better == "lower" else ["desc", "asc"]}
        for place, column in zip(places, shown)
    ]
    definitions += [
        {"targets": [0, _BEFORE - 1, places.stop, places.stop + 1], "type": "num"},
        {"targets": rest if len(shown) > _WIDE else [], "visible": False},
    ]
    return {
        "columnDefs": definitions,
        "headlines": {"show": [place for place in places if place not in rest], "hide": rest},
        "searching": count > 1,
    }


def _provenance(row: Row) -> Iterator[tuple[str, str]]:
    """What a row is made of, as headings with YAML below them."""
    told = row.model_dump(mode="json")
    signatures: dict[str, Mapping[str, Any]] = {}
    for value in told["values"].values():
        signatures.setdefault(value["metric"], value["signature"])
    about = {key: told[key] for key in ("id", "experiment", "kind", "labels", "dataset", "dataset_options", "license")}
    about |= {key: told[key] for key in ("protocol", "protocol_options", "n", "subjects", "seeds", "written")}
    yield "Row", _yaml(about)
    if row.aurocs:
        yield "Findings on validate: mean AUROC after a stage, by seed", _yaml(told["aurocs"])
    yield "Cost", _yaml({key: told[key] for key in ("parameters", "trainable", "train_seconds")}, flow=False)
    yield "Signature of each metric", _yaml(signatures, flow=False)
    yield "Metrics", _yaml(told["metrics"])
    yield "Configuration", _yaml(told["config"])
    yield "Steps that wrote the reports", _yaml(told["steps"], flow=False)
    yield "SHA-256 of the predictions, by seed", _yaml(told["predictions"], flow=False)
    yield "Steps that scored, by seed", _yaml(told["scores"], flow=False)
    yield "Libraries and numerics", _yaml(told["provenance"])


def _yaml(value: Any, flow: bool = True) -> str:
    """YAML of plain data; ``flow`` puts innermost collections on one line."""
    return _dumped(json.dumps(value), flow)


@lru_cache(maxsize=512)
def _dumped(value: str, flow: bool) -> str:
    """YAML of a JSON text; rows of one experiment share much, and writing YAML is slow."""
    import yaml

    style = None if flow else False
    return yaml.safe_dump(json.loads(value), sort_keys=False, allow_unicode=True, default_flow_style=style, width=110).strip()
