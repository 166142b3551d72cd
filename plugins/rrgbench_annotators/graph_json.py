"""RadGraph's JSON, read element by element: files of all reports of a data set do not fit into memory at once.

A file holds an object (``{"0": {"text", "entities"}, ..}``, whatever the keys are) or a list of such objects or of annotations,
as CheXpert Plus ships them. Torch-free. What is read may be anything.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from rrgbench import DataError, Entity, ReportGraph

_CHUNK = 1 << 20
_LONGEST = 1 << 23
"""Bytes of one element above which a file is refused."""

_ENTITIES, _NAME = 20_000, 1_000


def text_key(text: str) -> bytes:
    """What is the same for a report and for its tokens with spaces between: lower case, without any white space."""
    return hashlib.sha256("".join(text.lower().split()).encode("utf-8", "surrogatepass")).digest()[:16]


@dataclass(frozen=True)
class Index:
    """Where the annotation of each text stands in a file; of several of one text, the first."""

    path: Path
    places: Mapping[bytes, tuple[int, int]]
    sha256: str

    def graph(self, text: str) -> ReportGraph | None:
        """The graph of a text, or None where the file has none.

        Raises:
            DataError: the file is not the one that was indexed.
        """
        key = text_key(text)
        if key not in self.places:
            return None
        start, length = self.places[key]
        try:
            with self.path.open("rb") as file:
                file.seek(start)
                element = json.loads(file.read(length))
        except (OSError, ValueError) as error:
            raise DataError(f"{self.path} changed while it was read", got=error, hint="run the same command again") from error
        found = next((one for one in _annotations(element, str(self.path)) if text_key(one["text"]) == key), None)
        if found is None:
            raise DataError(f"{self.path} changed while it was read", hint="run the same command again")
        return _graph(found, str(self.path))


def read_index(path: Path) -> Index:
    """Read a file once, checking every annotation.

    Raises:
        DataError: it is not RadGraph's JSON; names the element, never its text.
    """
    places: dict[bytes, tuple[int, int]] = {}
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            for number, (start, raw) in enumerate(_elements(file, digest, str(path))):
                where = f"{path}: element {number}"
                try:
                    element = json.loads(raw)
                except (ValueError, RecursionError) as error:
                    got = f"{type(error).__name__} in {len(raw)} bytes"
                    raise DataError(where, got=got, expected="JSON in UTF-8") from error
                for one in _annotations(element, where):
                    _graph(one, where)
                    places.setdefault(text_key(one["text"]), (start, len(raw)))
    except OSError as error:
        raise DataError(f"{path} cannot be read", got=error.strerror) from error
    if not places:
        raise DataError(f"{path}: annotations", got="none", expected="at least one report with its entities")
    return Index(path, places, digest.hexdigest())


class _Window:
    """A part of a file, as one character a byte, so that places in it are places in the file."""

    def __init__(self, file: BinaryIO, digest: Any) -> None:
        self._file, self._digest = file, digest
        self.text, self.start, self.at, self.ended = "", 0, 0, False

    def more(self) -> bool:
        """Read on; False at the end of the file. What was left behind is forgotten."""
        chunk = self._file.read(_CHUNK)
        self._digest.update(chunk)
        self.ended = self.ended or not chunk
        self.text, self.start, self.at = self.text[self.at :] + chunk.decode("latin-1"), self.start + self.at, 0
        return bool(chunk)

    def peek(self) -> str:
        """The next character that is no space; empty at the end."""
        while True:
            while self.at < len(self.text) and self.text[self.at] in " \t\r\n":
                self.at += 1
            if self.at < len(self.text):
                return self.text[self.at]
            if not self.more():
                return ""


def _elements(file: BinaryIO, digest: Any, where: str) -> Iterator[tuple[int, bytes]]:
    """Place and bytes of each element of the list, or of each value of the object, that a file holds."""
    window = _Window(file, digest)
    window.more()
    if window.text.startswith("\xef\xbb\xbf"):
        window.at = 3
    opening = window.peek()
    if opening not in ("{", "["):
        raise DataError(where, got="neither", expected="a JSON object of annotations, or a list of them")
    window.at += 1
    closing = "}" if opening == "{" else "]"
    after = closing if window.peek() == closing else ","
    while after == ",":
        if opening == "{":
            _key(window, where)
        if window.peek() != "{":
            raise DataError(where, got="an element that is no object", expected='{"text": .., "entities": ..}')
        yield _value(window, where)
        after = window.peek()
        window.at += after == ","
    if after != closing:
        raise DataError(where, got="elements that break off", expected="whole JSON")
    window.at += 1
    if window.peek() != "":
        raise DataError(where, got="more after its end", expected="one JSON value")


def _key(window: _Window, where: str) -> None:
    """Pass over the key of an object and its colon."""
    if window.peek() != '"':
        raise DataError(where, got="an object that breaks off or has a key that is no text", expected="whole JSON")
    _value(window, where)
    if window.peek() != ":":
        raise DataError(where, got="a key without a value", expected="whole JSON")
    window.at += 1


def _value(window: _Window, where: str) -> tuple[int, bytes]:
    """The JSON value that begins here: its place and bytes. More is read until it is whole."""
    while True:
        try:
            _, end = json.JSONDecoder().raw_decode(window.text, window.at)
            break
        except json.JSONDecodeError as error:
            if len(window.text) - window.at > _LONGEST or not window.more():
                got = f"no JSON value of at most {_LONGEST} bytes at byte {window.start + window.at}"
                raise DataError(where, got=got, expected="whole JSON") from error
        except (RecursionError, ValueError) as error:
            raise DataError(
                where, got=f"{type(error).__name__} at byte {window.start + window.at}", expected="plain JSON"
            ) from error
    if end - window.at > _LONGEST:
        raise DataError(where, got=f"an element of {end - window.at} bytes", expected=f"at most {_LONGEST}")
    found = window.start + window.at, window.text[window.at : end].encode("latin-1")
    window.at = end
    return found


def _annotations(element: Any, where: str) -> Iterator[Mapping[str, Any]]:
    """The annotations of an element: itself, or each of those that it holds by number."""
    held = [element] if "text" in element or "entities" in element else list(element.values())
    for one in held:
        if not isinstance(one, Mapping) or not isinstance(one.get("text"), str) or not isinstance(one.get("entities"), Mapping):
            got = f"an object with {', '.join(sorted(map(str, one))[:4])}" if isinstance(one, Mapping) else type(one).__name__
            raise DataError(where, got=got, expected="`text` (a text) and `entities` (an object)")
        yield one


def _graph(annotation: Mapping[str, Any], where: str) -> ReportGraph:
    """The graph of an annotation, every field checked; relations of an entity to itself left out.

    Raises:
        DataError: a field that is missing or not what it should be.
    """
    held = annotation["entities"]
    if len(held) > _ENTITIES:
        raise DataError(f"{where}: entities", got=len(held), expected=f"at most {_ENTITIES}")
    numbers = {key: number for number, key in enumerate(held)}
    entities = []
    for key, entity in held.items():
        place = f"{where}, entity {str(key)[:20]}"
        if not isinstance(entity, Mapping):
            raise DataError(place, got=type(entity).__name__, expected="an object")
        tokens, label, start, end = (entity.get(name) for name in ("tokens", "label", "start_ix", "end_ix"))
        named = all(isinstance(text, str) and 0 < len(text) <= _NAME for text in (tokens, label))
        if not named or type(start) is not int or type(end) is not int or not 0 <= start <= end:
            expected = "tokens, label (texts), start_ix <= end_ix (numbers from 0)"
            raise DataError(place, got=f"fields {', '.join(sorted(map(str, entity))[:6])}", expected=expected)
        related = entity.get("relations", [])
        pairs = isinstance(related, list) and all(isinstance(pair, list) and len(pair) == 2 for pair in related)
        if not pairs or not all(isinstance(name, str) and str(target) in numbers for name, target in related):
            raise DataError(f"{place}: relations", expected="a list of [name, key of an entity]")
        linked = tuple((name, numbers[str(target)]) for name, target in related if str(target) != key)
        entities.append(Entity(str(tokens), str(label), start, end, linked))
    return ReportGraph(annotation["text"], tuple(entities))
