"""Which rows somebody means: by id, title or axes, and which of two sides belong together."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rrgbench.catalogue import did_you_mean
from rrgbench.errors import ConfigError
from rrgbench.row import Row, no_rows, read_rows
from rrgbench.store import Store

_SHORTEST_PREFIX = 4
_PRINTED = re.compile(r"^floor: | \(baseline\)$")
"""What tables print around a title."""


@dataclass(frozen=True)
class Selection:
    """The rows that a selector names, and the axes that it speaks of."""

    selector: str
    rows: tuple[Row, ...]
    axes: frozenset[str]


def load_candidates(store: Store, experiment: str | None = None) -> list[Row]:
    """The rows of a store, one a cell: where experiments share it, the one with the most values.

    Raises:
        ConfigError: there are none.
        StoreError: a file there is not a row.
    """
    found: dict[tuple[str, str], Row] = {}
    for row in read_rows(store.root / "rows"):
        if experiment in (None, row.experiment):
            key = (row.id, ",".join(row.steps.values()))
            if key not in found or len(row.values) > len(found[key].values):
                found[key] = row
    if not found:
        raise no_rows(store.root / "rows", experiment)
    return list(found.values())


def select(rows: Sequence[Row], selector: str, where: str) -> Selection:
    """Rows by id (or its beginning), title as tables print it, ``experiment:title``, or ``axis=label`` conditions with commas.

    Raises:
        ConfigError: nothing matches, or a name matches several rows.
    """
    text = _PRINTED.sub("", selector.strip())
    experiment, _, rest = text.partition(":")
    ways = (
        [row for row in rows if row.id == text],
        [row for row in rows if len(text) >= _SHORTEST_PREFIX and row.id.startswith(text)],
        [row for row in rows if row.title == text],
        [row for row in rows if (row.experiment, row.title) == (experiment, rest.strip())],
    )
    found = next((way for way in ways if way), [])
    if len(found) > 1:
        got = " | ".join(f"{row.id[:12]} {row.experiment}:{row.title}" for row in found[:3])
        hint = "name one by its id, or as experiment:title, or give --experiment"
        raise ConfigError(f"{where} {selector!r} names {len(found)} rows", got=got, expected="one", hint=hint)
    if found:
        return Selection(selector, tuple(found), frozenset())
    conditions = [condition.partition("=") for condition in text.split(",")]
    if not all(sign and axis.strip() and label.strip() for axis, sign, label in conditions):
        known = sorted({row.title for row in rows} | {row.id[:12] for row in rows})
        raise ConfigError(f"{where}: no such row", got=repr(selector), hint=did_you_mean(text, known))
    return _by_axes(rows, selector, [(axis.strip(), label.strip()) for axis, _, label in conditions], where)


def _by_axes(rows: Sequence[Row], selector: str, conditions: Sequence[tuple[str, str]], where: str) -> Selection:
    axes = sorted({axis for row in rows for axis in row.labels})
    found, named = list(rows), set[str]()
    for path, wanted in conditions:
        own = [axis for axis in axes if _is_axis(path, axis)]
        if not own:
            raise ConfigError(f"{where} {selector!r}: no row has the axis {path}", hint=did_you_mean(path, axes))
        named |= set(own)
        there = sorted({row.labels[axis] for row in rows for axis in own if axis in row.labels})
        found = [row for row in found if any(_is_label(wanted, row.labels[axis]) for axis in own if axis in row.labels)]
        if not any(_is_label(wanted, label) for label in there):
            raise ConfigError(f"{where} {selector!r}: no row has {path}={wanted}", hint=did_you_mean(wanted, there))
    if not found:
        raise ConfigError(f"{where} {selector!r}: no row has all of it")
    return Selection(selector, tuple(found), frozenset(named))


def _is_axis(path: str, axis: str) -> bool:
    """Rows name axes by the shortest tail of their path."""
    return path == axis or path.endswith(f".{axis}") or axis.endswith(f".{path}")


def _is_label(wanted: str, label: str) -> bool:
    """The whole label, or the name before its options; null is none."""
    plain = "none" if wanted in ("null", "~") else wanted
    return plain in (label, label.partition("(")[0])


@dataclass(frozen=True)
class Pairing:
    """Rows side by side, and those that have no partner."""

    pairs: tuple[tuple[Row, Row], ...]
    unpaired: tuple[Row, ...]


def pair_rows(first: Selection, second: Selection) -> Pairing:
    """Pair rows by the axes that neither selector speaks of; a row without axes (a floor, one from outside) goes with each.

    Raises:
        ConfigError: a row with itself, no pair at all, or several rows that nothing tells apart.
    """
    if len(first.rows) == len(second.rows) == 1:
        pairs = [(first.rows[0], second.rows[0])]
    else:
        named = first.axes | second.axes
        sides = [_by_other_axes(side, named) for side in (first, second)]
        pairs = [(sides[0][key], sides[1][key]) for key in sides[0] if key in sides[1]]
        for side, other in ((first, second), (second, first)):
            if len(side.rows) == 1 and not side.rows[0].labels:
                alone = side.rows[0]
                pairs = [(alone, row) if side is first else (row, alone) for row in other.rows]
    same = [one for one, other in pairs if one.id == other.id and one.steps == other.steps]
    if same:
        raise ConfigError("both sides are the same row", got=same[0].title, expected="two rows")
    if not pairs:
        got = f"{len(first.rows)} and {len(second.rows)} rows"
        raise ConfigError("no row of A has the other axes of a row of B", got=got, hint="name rows by their id")
    used = {id(row) for pair in pairs for row in pair}
    left = tuple(row for row in (*first.rows, *second.rows) if id(row) not in used)
    return Pairing(tuple(pairs), left)


def _by_other_axes(side: Selection, named: frozenset[str]) -> dict[tuple[tuple[str, str], ...], Row]:
    found: dict[tuple[tuple[str, str], ...], Row] = {}
    for row in side.rows:
        key = tuple(sorted((axis, label) for axis, label in row.labels.items() if axis not in named))
        if found.setdefault(key, row) is not row:
            got = f"{found[key].experiment}:{found[key].title} | {row.experiment}:{row.title}"
            hint = "give --experiment, or name the other axes too"
            raise ConfigError(f"{side.selector!r}: rows that no axis tells apart", got=got, hint=hint)
    return found
