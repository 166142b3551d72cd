"""Rows made by hand for the page: plain ones, and ones whose every text is an attack."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rrgbench.leaderboard.page import page
from rrgbench.row import FORMAT, Row

HOSTILE = (
    "</script><img src=x onerror=alert(1)>",
    '"><svg onload=alert(2)>',
    "' onmouseover='alert(3)",
    "$\\frac{1}{0}$ $x^2 & <b>",
    "a\u2028b\u2029c",
    "\u202eevil\u202c",
    "x" * 10240,
    "]]> --> <!-- {{ 7 * 7 }} {% raw %}",
    "\x00\x1b[31mred\x7f",
    "#010101 fill: #010101 url(#x)",
    "\u05e9\u05dc\u05d5\u05dd \u4f60\u597d \U0001f600",
    "one\ntwo\r\tthree",
    "&lt;img src=x onerror=alert(4)&gt; &amp;lt;script&amp;gt;",
    "javascript:alert(5)",
    "<!--<script>",
)


def _value(
    value: float, metric: str = "bleu", better: str = "higher", spread: float | None = 0.1, annotator: str = "", **changes: Any
) -> dict[str, Any]:
    signature = {
        "metric": f"{metric}|1",
        "metric_version": "1",
        "protocol": "raw()@1",
        "references_changed": False,
        "references": "r1r2r3",
        "studies": "s1",
        "n": 100,
    }
    if annotator:
        signature["metric_annotator"] = annotator
    low, high = (None, None) if spread is None else (value - spread, value + spread)
    told = {"metric": metric, "value": value, "low": low, "high": high, "sd": None, "seeds": [value], "better": better}
    return told | {"signature": signature} | changes


def _row(row_id: str, values: dict[str, dict[str, Any]], **changes: Any) -> Row:
    told = {
        "format": FORMAT,
        "id": row_id,
        "kind": "cell",
        "title": f"row {row_id}",
        "labels": {},
        "experiment": "e",
        "question": "Does it help?",
        "dataset": "d",
        "dataset_options": {},
        "license": "open",
        "protocol": "raw",
        "protocol_options": {},
        "metrics": {},
        "n": 100,
        "subjects": 90,
        "seeds": [0],
        "baseline": False,
        "values": values,
        "not_applicable": {},
        "floors": {},
        "parameters": None,
        "trainable": None,
        "train_seconds": None,
        "config": {},
        "steps": {"seed 0": f"step {row_id}"},
        "predictions": [f"predictions {row_id}"],
        "scores": {},
        "aurocs": {},
        "provenance": {},
        "written": "2026-01-01T00:00:00+00:00",
    }
    return Row.model_validate(told | changes)


@pytest.fixture(scope="session")
def make_value() -> Callable[..., dict[str, Any]]:
    """A value of a row; ``spread`` is half its interval, None for none."""
    return _value


@pytest.fixture(scope="session")
def make_row() -> Callable[..., Row]:
    """A row over 100 studies with these values."""
    return _row


@pytest.fixture(scope="session")
def hostile_texts() -> tuple[str, ...]:
    """Texts that break out of HTML, attributes, scripts, SVG, templates, mathtext or the direction of the line."""
    return HOSTILE


@pytest.fixture(scope="session")
def hostile_rows() -> list[Row]:
    """Rows of one board in which every text that a stranger may choose is an attack."""
    rows = []
    for place, evil in enumerate(HOSTILE):
        values = {
            f"v{HOSTILE[0]}": _value(0.2 + place / 50, metric=f"m{HOSTILE[1]}", annotator=HOSTILE[0]),
            f"w{HOSTILE[3]}": _value(0.3, metric=HOSTILE[2], seeds=[0.2, 0.4]),
        }
        cell = {"title": evil, "labels": {evil: evil, HOSTILE[1]: f"{evil[:50]}{place}", "text": f"{HOSTILE[0]}{place % 2}"}}
        more = {
            "question": evil,
            "experiment": f"e{place % 2}",
            "license": HOSTILE[0],
            "config": {evil: [evil]},
            "steps": {evil: evil},
        }
        rows.append(_row(f"r{place}", values, **cell, **more, predictions=[evil], provenance={evil: evil}, baseline=place == 1))
    for place, evil in enumerate(HOSTILE[:6]):
        values = {f"v{HOSTILE[0]}": _value(0.1 + place / 60, metric=f"m{HOSTILE[1]}", annotator=HOSTILE[0])}
        rows.append(
            _row(f"f{place}", values, kind="floor", title=evil, not_applicable={f"w{HOSTILE[3]}": evil}, license=HOSTILE[0])
        )
    return rows


@pytest.fixture(scope="session")
def hostile_page(hostile_rows: list[Row]) -> str:
    """The page of the hostile rows."""
    return page(hostile_rows)
