"""Damage to tables and JSON. What a change draws comes from the generator given."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from .plain import ANY, HUGE, Change, File

Row = dict[str, str]
TYPES: Mapping[str, Any] = {"a number": 3.5, "null": None, "an object": {"a": 1}, "a nested list": [[["deep"]]], "true": True}


# CSV.


def table_changes(file: File) -> dict[str, Change]:
    """What can happen to a CSV."""
    found: dict[str, Change] = {
        **ANY,
        "cut in a row": cut_row,
        "header only": lambda content, random: _text(_rows(content), rows=0),
        "a column gone": lambda content, random: _text([_without(row, file.column) for row in _rows(content)]),
        "a column twice": _renamed(file.column),
        "a row twice": _any_row(lambda rows, row: rows.append(row)),
        "a cell gone": lambda content, random: _raw(content, random, lambda cells: cells[:-1]),
        "a cell more": lambda content, random: _raw(content, random, lambda cells: [*cells, "x"]),
        "a quotation mark never closed": lambda content, random: content + b'"' + b"x" * HUGE,
        "a huge field": _any_row(lambda rows, row: row.update({file.column: "word " * HUGE})),
    }
    for column, value in file.wrong.items():
        found[f"{column} wrong"] = _any_row(lambda rows, row, column=column, value=value: row.update({column: value}))
    if file.path:
        for name, value in (("upward", "../../etc/passwd"), ("absolute", "/etc/passwd"), ("backslashes", "..\\passwd.png")):
            found[f"a path {name}"] = _any_row(lambda rows, row, value=value: row.update({file.path: value}))
    return found


def cut_row(content: bytes, random: Random) -> bytes:
    """Cut in the middle of the first cell of a row, so that cells are missing."""
    rows = _rows(content)
    keep = random.randrange(len(rows) // 2, len(rows))
    whole = _text(rows, rows=keep)
    line = _text(rows, rows=keep + 1)[len(whole) :]
    return whole + line[: max(1, line.index(b",") // 2)]


def harmless_tables() -> dict[str, Change]:
    """CSV as other programs write it."""
    return {
        "a byte order mark": lambda content, random: b"\xef\xbb\xbf" + content,
        "line ends of Unix": lambda content, random: content.replace(b"\r\n", b"\n"),
        "its columns in another order": lambda content, random: _text([dict(reversed(row.items())) for row in _rows(content)]),
        "a column that nobody knows": lambda content, random: _text([row | {"colour": "grey"} for row in _rows(content)]),
    }


def _rows(content: bytes) -> list[Row]:
    return list(csv.DictReader(io.StringIO(content.decode(), newline="")))


def _text(found: list[Row], rows: int | None = None) -> bytes:
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, list(found[0]))
    writer.writeheader()
    writer.writerows(found[:rows])
    return out.getvalue().encode()


def _without(row: Row, column: str) -> Row:
    return {name: cell for name, cell in row.items() if name != column}


def _renamed(column: str) -> Change:
    """The column beside it has its name too."""

    def change(content: bytes, random: Random) -> bytes:
        rows = list(csv.reader(io.StringIO(content.decode(), newline="")))
        rows[0][rows[0].index(column) - 1] = column
        return _lines(rows)

    return change


def _any_row(edit: Callable[[list[Row], Row], object]) -> Change:
    def change(content: bytes, random: Random) -> bytes:
        rows = _rows(content)
        edit(rows, random.choice(rows))
        return _text(rows)

    return change


def _raw(content: bytes, random: Random, edit: Callable[[list[str]], list[str]]) -> bytes:
    rows = list(csv.reader(io.StringIO(content.decode(), newline="")))
    place = random.randrange(1, len(rows))
    rows[place] = edit(rows[place])
    return _lines(rows)


def _lines(rows: list[list[str]]) -> bytes:
    out = io.StringIO(newline="")
    csv.writer(out).writerows(rows)
    return out.getvalue().encode()


# JSON.


def json_changes(file: File) -> dict[str, Change]:
    """What can happen to JSON: one value (a list of objects below a key, or objects by name), or an object a line."""
    found: dict[str, Change] = {
        **ANY,
        "cut in the middle": _cut_json,
        "very deep": lambda content, random: b"[" * HUGE,
        "a list in its place": lambda content, random: b"[1, 2]\n",
        "a number in its place": lambda content, random: b"7\n",
        "a number of 5,000 digits": lambda content, random: b'{"a": ' + b"9" * 5000 + b"}\n",
        "a key twice": lambda content, random: b'{"a": 1, "a": 2}\n',
        "an entry that is none": _entries(file, lambda entries, place: _put(entries, place, 7)),
        f"{file.text} gone": _entry(file, lambda entry: entry.pop(file.text)),
        f"{file.text} huge": _entry(file, lambda entry: entry.update({file.text: "word " * HUGE})),
        f"{file.text} with half a character": _entry(file, lambda entry: entry.update({file.text: "half \ud800"})),
        f"{file.text} with an escaped NUL": _entry(file, lambda entry: entry.update({file.text: "a\0b"})),
        f"{file.text} a list": _entry(file, lambda entry: entry.update({file.text: [entry[file.text]]})),
    }
    if file.kind != "object":
        found["an entry twice"] = _entries(file, lambda entries, place: entries.append(entries[place]))
    for name, value in TYPES.items():
        found[f"{file.text} {name}"] = _entry(file, lambda entry, value=value: entry.update({file.text: value}))
        if file.many:
            found[f"{file.many} {name}"] = _entry(file, lambda entry, value=value: entry.update({file.many: value}))
    for column, value in file.wrong.items():
        found[f"{column} wrong"] = _entry(file, lambda entry, column=column, value=value: entry.update({column: value}))
    if file.many:
        for name, value in (("upward", "../../etc/passwd"), ("absolute", "/etc/passwd"), ("backslashes", "..\\passwd.png")):
            found[f"a path {name}"] = _entry(file, lambda entry, value=value: entry.update({file.many: [value]}))
        found[f"{file.many} empty"] = _entry(file, lambda entry: entry.update({file.many: []}))
    return found


def harmless_json(file: File) -> dict[str, Change]:
    """JSON as other programs write it."""
    return {
        "a field that nobody knows": _entry(file, lambda entry: entry.update(colour="grey")),
        "white space around": lambda content, random: b"\n" + content + b" \n\n",
    }


def _cut_json(content: bytes, random: Random) -> bytes:
    """Cut between two letters of a word: never where a line ends."""
    place = random.randrange(len(content) // 3, 2 * len(content) // 3)
    while not content[place - 1 : place + 1].isalpha():
        place += 1
    return content[:place]


def _put(entries: Any, place: Any, value: object) -> None:
    entries[place] = value


def _entries(file: File, edit: Callable[[Any, Any], object]) -> Change:
    """All entries of a file (a list, or objects by name), and the place of one."""

    def change(content: bytes, random: Random) -> bytes:
        if file.kind == "jsonl":
            lines = [json.loads(line) for line in content.splitlines()]
            edit(lines, 0 if file.first else random.randrange(len(lines)))
            return "".join(f"{json.dumps(line)}\n" for line in lines).encode()
        whole = json.loads(content)
        entries = whole[file.key] if file.key else whole
        edit(entries, random.choice(list(entries)) if isinstance(entries, dict) else random.randrange(len(entries)))
        return json.dumps(whole).encode()

    return change


def _entry(file: File, edit: Callable[[dict[str, Any]], object]) -> Change:
    return _entries(file, lambda entries, place: edit(entries[place]))
