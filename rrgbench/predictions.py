"""Reports from outside: a CSV, JSON or JSONL file of texts by study id, read strictly. What is wrong is said in one line."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rrgbench.errors import DataError

ID = "study_id"
_LARGEST = 1 << 29
_LONGEST = 1 << 17
"""Characters of one text: a report has some hundreds; more is a quotation mark that was never closed."""

_PACKED = {b"PK\x03\x04": "a zip archive (a spreadsheet?)", b"\x1f\x8b": "packed with gzip", b"%PDF": "a PDF"}
_WIDE = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}
_STUDIES = {"prediction": "model_prediction"}
"""Texts by column -> their key where a JSON file maps each id to an object, as benchmarks write a study (ReXrank)."""

_NO_TEXT = re.compile(r"nan|null|none|<na>|n/a|[-+]?[0-9]+(\.[0-9]*)?(e[-+]?[0-9]+)?", re.IGNORECASE)
_READ = {".csv": "CSV", ".json": "JSON", ".jsonl": "JSON lines", ".ndjson": "JSON lines"}


@dataclass(frozen=True)
class TextFile:
    """The texts of a file by study id, in its order. ``ignored`` names the columns or fields that were not read."""

    path: Path
    format: str
    texts: Mapping[str, str]
    ignored: tuple[str, ...]

    @property
    def empty(self) -> tuple[str, ...]:
        """The studies whose text is empty."""
        return tuple(study for study, text in self.texts.items() if not text.strip())


@dataclass(frozen=True)
class _Item:
    """One study's text, and where it stands."""

    place: str
    study_id: Any
    text: Any


def read_texts(path: Path, columns: Sequence[str] = ("prediction",)) -> TextFile:
    """Read texts by study id.

    Args:
        path: CSV with a header, JSON (a mapping of id to text or, for predictions, to an object with ``model_prediction``; or a
            list of objects) or JSON lines; told by the suffix, else by how the file begins. UTF-8, with or without a byte order
            mark.
        columns: the names that the text may have; exactly one must be there.

    Raises:
        DataError: anything that could change which studies are scored, or with which text.
    """
    text = _decoded(path, _bytes(path))
    kind = _READ.get(path.suffix.lower()) or _sniffed(text)
    ignored: dict[str, None] = {}
    items = {"CSV": _csv_items, "JSON": _json_items, "JSON lines": _line_items}[kind](path, text, columns, ignored)
    found: dict[str, str] = {}
    twice: Counter[str] = Counter()
    for item in items:
        study = _checked_id(path, item)
        if study in found:
            twice[study] += 1
            continue
        found[study] = _checked_text(path, item, study, columns[0])
    if twice:
        raise DataError(f"{path}: studies that stand more than once", got=_named(list(twice)), expected="each study once")
    if not found:
        raise DataError(f"{path} holds no {columns[0]}s", got="0", expected="at least one")
    return TextFile(path, kind, found, tuple(ignored))


def match_studies(
    file: TextFile, wanted: Sequence[str], of: str, elsewhere: Mapping[str, Collection[str]] | None = None
) -> dict[str, str]:
    """The texts of exactly these studies, in their order. Ids are matched as they are written.

    Args:
        file: what was read.
        wanted: the study ids to be scored.
        of: what they are the studies of, for people.
        elsewhere: other splits' study ids, to say where unknown ones belong.

    Raises:
        DataError: studies are missing or unknown; it says how ids differ where they seem to be the same.
    """
    missing = [study for study in wanted if study not in file.texts]
    known = frozenset(wanted)
    extra = [study for study in file.texts if study not in known]
    if missing or extra:
        got = ", ".join(f"{len(ids)} {what} ({_first(ids)})" for what, ids in (("missing", missing), ("unknown", extra)) if ids)
        hint = _difference(missing, extra) or _place_of(extra, elsewhere or {})
        raise DataError(f"{file.path}: not of the studies of {of}", got=got, expected=f"exactly its {len(wanted)}", hint=hint)
    return {study: file.texts[study] for study in wanted}


def filled(path: Path, predictions: Mapping[str, str]) -> tuple[bytes, tuple[str, ...]]:
    """A benchmark's file of studies with ``model_prediction`` added to each: what its own evaluation reads.

    Args:
        path: JSON that maps each study id to an object, as ReXrank publishes it.
        predictions: texts by study id; studies without are left out, and named beside the JSON.

    Raises:
        DataError: the file is not what it should be, or a prediction is of no study in it.
    """
    content = _parsed(path, _decoded(path, _bytes(path)))
    if not isinstance(content, dict) or not all(isinstance(item, dict) for item in content.values()):
        raise DataError(f"{path}: the whole", got=_kind(content), expected="a mapping of study ids, each to an object")
    extra = [study for study in predictions if study not in content]
    if extra:
        hint = _difference(list(content), extra)
        raise DataError(
            f"{path}: predictions of studies that are not in it", got=_named(extra), expected="its studies", hint=hint
        )
    named = next(iter(_STUDIES.values()))
    made = {study: item | {named: predictions[study]} for study, item in content.items() if study in predictions}
    text = json.dumps(_without_nan(made), indent=4, allow_nan=False)
    return f"{text}\n".encode(), tuple(study for study in content if study not in predictions)


def _without_nan(value: Any) -> Any:
    """JSON knows no NaN: what pandas wrote so is null."""
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


# Bytes to text.


def _bytes(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise DataError(f"{path} is a folder", expected="a file")
        with path.open("rb") as file:
            raw = file.read(_LARGEST + 1)
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read", got=getattr(error, "strerror", None) or error) from error
    if len(raw) > _LARGEST:
        raise DataError(f"{path} is too large", got=f"more than {_LARGEST} bytes")
    if not raw.strip():
        raise DataError(f"{path} is empty", got=f"{len(raw)} bytes")
    return raw


def _decoded(path: Path, raw: bytes) -> str:
    """UTF-8 text without its byte order mark."""
    told = next((what for magic, what in _PACKED.items() if raw.startswith(magic)), "")
    wide = next((what for magic, what in _WIDE.items() if raw.startswith(magic)), "")
    try:
        text = raw.decode("utf-8")
        bad = text.find("\0")
        if bad < 0:
            return text.removeprefix("\ufeff")
        offset, byte = len(text[:bad].encode()), 0
    except UnicodeDecodeError as error:
        offset, byte = error.start, raw[error.start]
    line = raw[:offset].count(b"\n") + 1
    hint = f"it seems to be {told}: unpack it or save it as CSV" if told else ""
    hint = f"it seems to be {wide}: save it as UTF-8" if wide else hint
    what = f"{path}, line {line}: not UTF-8 text" if byte else f"{path}, line {line}: a NUL byte, as in binary files"
    raise DataError(what, got=f"byte {byte:#04x} at offset {offset}", expected="UTF-8 text", hint=hint)


def _sniffed(text: str) -> str:
    """The format of a file whose suffix says nothing."""
    start = text.lstrip()[:1]
    if start not in ("{", "["):
        return "CSV"
    first, _, rest = text.lstrip().partition("\n")
    try:
        one = json.loads(first)
    except (ValueError, RecursionError):
        return "JSON"
    alone = isinstance(one, dict) and ID in one and isinstance(one[ID], str) and len(one) > 1
    return "JSON lines" if isinstance(one, dict) and (rest.strip() or alone) else "JSON"


# Items of each format.


def _csv_items(path: Path, text: str, columns: Sequence[str], ignored: dict[str, None]) -> Iterator[_Item]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)  # only \n and \r end a line: U+2028 is text
    try:
        header = next((row for row in reader if row), [])
        places = _columns(path, header, columns, ignored)
        line = reader.line_num + 1
        for row in reader:
            if row:
                if len(row) != len(header):
                    hint = "a text that holds a comma, a quotation mark or a line break stands in quotation marks"
                    got, expected = f"{len(row)} fields", f"{len(header)}, as in the header"
                    raise DataError(f"{path}, line {line}", got=got, expected=expected, hint=hint)
                study, given = (row[place] for place in places)
                if _NO_TEXT.fullmatch(given.strip()):
                    hint = "leave it empty where nothing was written; JSON can hold such a text"
                    raise _no_text(f"{path}, line {line}", columns[0], study, repr(given), hint)
                yield _Item(f"line {line}", study, given)
            line = reader.line_num + 1
    except csv.Error as error:
        told = str(error)
        hint = "is a quotation mark not closed?" if "limit" in told or "end of data" in told else ""
        raise DataError(f"{path}, line {reader.line_num}: not readable as CSV", got=told, hint=hint) from error


def _columns(path: Path, header: Sequence[str], columns: Sequence[str], ignored: dict[str, None]) -> tuple[int, int]:
    """The places of the id and of the text."""
    wanted = " and ".join((ID, " or ".join(columns)))
    got = ", ".join(repr(name[:40]) for name in header[:5]) + (f" and {len(header) - 5} more" if header[5:] else "")
    named = [name for name in header if name in columns]
    if header.count(ID) == 1 and len(named) == 1:
        ignored |= dict.fromkeys(name for name in header if name not in (ID, named[0]))
        return header.index(ID), header.index(named[0])
    what = f"{path}, line 1: the header"
    if header.count(ID) > 1 or len(named) > 1:
        raise DataError(f"{what} names a column twice", got=got, expected=f"{wanted} once")
    plain = {re.sub(r"\W", "", name).lower() for name in header}
    hint = "the first line names the columns"
    if len(header) == 1 and re.search(r"[;\t|]", header[0]):
        hint = "fields are parted by commas"
    elif plain & {"studyid", *columns}:
        hint = "names are written exactly so, without spaces"
    raise DataError(what, got=got, expected=wanted, hint=hint)


class _TwiceError(ValueError):
    """A key that stands twice in one object."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = [key for key, count in Counter(key for key, _ in pairs).items() if count > 1]
        raise _TwiceError(_named(twice))
    return found


def _parsed(path: Path, text: str, line: int | None = None) -> Any:
    where = f"{path}, line {line}" if line else str(path)
    try:
        return json.loads(text, object_pairs_hook=_object)
    except _TwiceError as error:
        raise DataError(f"{where}: keys that stand more than once in one object", got=error, expected="each once") from error
    except json.JSONDecodeError as error:
        cut = error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated")
        more = not line and error.msg == "Extra data" and error.lineno > 1
        hint = "it seems to be cut off" if cut else "one object a line is JSON lines: name it .jsonl" if more else ""
        got = f"{error.msg} at line {line or error.lineno}, column {error.colno}"
        raise DataError(f"{where}: not readable as JSON", got=got, hint=hint) from error
    except RecursionError as error:
        raise DataError(f"{where}: not readable as JSON", got="too many levels") from error
    except ValueError as error:  # a number of more digits than Python reads
        raise DataError(f"{where}: not readable as JSON", got=error) from error


def _json_items(path: Path, text: str, columns: Sequence[str], ignored: dict[str, None]) -> Iterator[_Item]:
    value = _parsed(path, text)
    nested = _STUDIES.get(columns[0])
    if isinstance(value, dict) and nested and any(isinstance(item, dict) for item in value.values()):
        for key, item in value.items():
            place = f"key {key[:80]!r}"
            if not isinstance(item, dict) or nested not in item:
                got = f"an object with {', '.join(list(item)[:5]) or 'no key'}" if isinstance(item, dict) else _kind(item)
                raise DataError(f"{path}, {place}", got=got, expected=f"a text for every id, or an object with {nested}")
            ignored |= dict.fromkeys(name for name in item if name != nested)
            yield _Item(place, key, item[nested])
    elif isinstance(value, dict):
        yield from (_Item(f"key {key[:80]!r}", key, item) for key, item in value.items())
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield _member(path, f"item {number}", item, columns, ignored)
    else:
        expected = "a mapping of study id to text, or a list of objects"
        raise DataError(f"{path}: the whole", got=_kind(value), expected=expected)


def _line_items(path: Path, text: str, columns: Sequence[str], ignored: dict[str, None]) -> Iterator[_Item]:
    for number, line in enumerate(text.split("\n"), start=1):  # not splitlines: U+2028 may stand inside a text
        if line.strip():
            yield _member(path, f"line {number}", _parsed(path, line, number), columns, ignored)


def _member(path: Path, place: str, item: Any, columns: Sequence[str], ignored: dict[str, None]) -> _Item:
    """The id and the text of one object."""
    wanted = f"an object with {ID} and {' or '.join(columns)}"
    if not isinstance(item, dict):
        raise DataError(f"{path}, {place}", got=_kind(item), expected=wanted)
    named = [name for name in columns if name in item]
    if ID not in item or len(named) != 1:
        got = ", ".join(list(item)[:5]) or "no key"
        raise DataError(f"{path}, {place}: its keys", got=got, expected=wanted)
    ignored |= dict.fromkeys(key for key in item if key not in (ID, named[0]))
    return _Item(place, item[ID], item[named[0]])


# What an id and a text must be.


def _kind(value: Any) -> str:
    if value is None or isinstance(value, (bool, int, float)):
        return json.dumps(value)[:60]
    return "an object" if isinstance(value, dict) else "a list" if isinstance(value, list) else "a text"


def _checked_id(path: Path, item: _Item) -> str:
    if not isinstance(item.study_id, str):
        hint = "write it in quotation marks" if isinstance(item.study_id, int) else ""
        raise DataError(f"{path}, {item.place}: {ID}", got=_kind(item.study_id), expected="a text", hint=hint)
    if not item.study_id.strip():
        raise DataError(f"{path}, {item.place}: {ID}", got=repr(item.study_id[:40]), expected="a text that is not empty")
    _checked_characters(path, item, item.study_id, ID)
    return item.study_id


def _no_text(where: str, column: str, study: str, got: str, hint: str) -> DataError:
    return DataError(f"{where}: the {column} of {study[:80]}", got=got, expected="a text", hint=hint)


def _checked_text(path: Path, item: _Item, study: str, column: str) -> str:
    where = f"{path}, {item.place}"
    if not isinstance(item.text, str):
        raise _no_text(where, column, study, _kind(item.text), 'write "" where nothing was written')
    _checked_characters(path, item, item.text, column)
    return item.text


def _checked_characters(path: Path, item: _Item, text: str, column: str) -> None:
    where = f"{path}, {item.place}: {column}"
    if len(text) > _LONGEST:
        raise DataError(where, got=f"{len(text)} characters", expected=f"at most {_LONGEST}")
    if "\0" in text:
        raise DataError(where, got="a NUL character", expected="text")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise DataError(where, got="half a character (a surrogate escape)", expected="text")


# Ids that seem to be the same.


def _first(ids: Sequence[str]) -> str:
    return ", ".join(study[:60] for study in ids[:3]) + (", .." if ids[3:] else "")


def _named(ids: Sequence[str]) -> str:
    return f"{len(ids)}: {_first(ids)}"


_ALIKE: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("whitespace", lambda study: "".join(study.split())),
    ("case", str.casefold),
    ("leading zeros", lambda study: study.lstrip("0")),
    ("a folder in front", lambda study: study.rpartition("/")[2]),
    ("a suffix", lambda study: study.rpartition(".")[0] or study),
)


def _difference(missing: Sequence[str], extra: Sequence[str]) -> str:
    """How missing and unknown ids differ, where most of them would match otherwise."""
    best: tuple[int, str] = (0, "")
    for what, plain in (*_ALIKE, *_prefixes(missing, extra)):
        own = {plain(study): study for study in missing}
        pairs = [(study, own[plain(study)]) for study in extra if plain(study) in own]
        if len(pairs) > best[0]:
            best = (len(pairs), f"{len(pairs)} differ by {what} only: {pairs[0][0][:60]!r} for {pairs[0][1][:60]!r}")
    return best[1]


def _prefixes(missing: Sequence[str], extra: Sequence[str]) -> Iterator[tuple[str, Callable[[str], str]]]:
    """Prefixes that one side has and the other has not, guessed from the first ids."""
    both: Iterable[tuple[Sequence[str], Sequence[str]]] = ((missing, extra), (extra, missing))
    for shorter, longer in both:
        found = {long.removesuffix(short) for short in shorter[:3] for long in longer if long.endswith(short) and long != short}
        for prefix in sorted(found)[:3]:
            yield f"the prefix {prefix[:20]!r}", lambda study, prefix=prefix: study.removeprefix(prefix)  # type: ignore[misc]


def _place_of(extra: Sequence[str], elsewhere: Mapping[str, Collection[str]]) -> str:
    counts = {place: sum(study in ids for study in extra) for place, ids in elsewhere.items()}
    place = max(counts, key=lambda name: counts[name], default="")
    return f"{counts[place]} of the unknown ones are of {place}" if place and counts[place] else ""
