"""The annotation memo: what an annotator made of a text is kept in the store, so that no step pays for it again.

It is pure: a step gives the same with it, without it and with a damaged one. An entry is found by SHA-256 over who annotated
(the component with its options and content version, and the annotator's own identity) and the text; it carries a digest, and
what does not fit its digest is made anew. Entries are appended, each batch in one write, so that several workers share a file;
two writes that were mixed all the same (some network file systems do that) are entries without a right digest. Open and
credentialed texts lie in folders of their own, ``memo/open`` and ``memo/credentialed``, which may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rrgbench.errors import PluginError
from rrgbench.identity import digest
from rrgbench.interfaces import Annotator
from rrgbench.types import Entity, ReportGraph

_LOG = logging.getLogger(__name__)

AT_ONCE = 16
"""Texts that an annotator is given at once: after so many, what was made is safe and what others made is seen."""

_LONGEST = 1 << 22
"""Bytes of a line that may be an entry; longer ones are not read."""

Tell = Callable[[int, int, str], None]
"""Told of progress: done, total, what."""


class _File:
    """One annotator's entries of one licence: lines ``key digest json``. Memory holds a place a key, never a graph."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._places: dict[bytes, tuple[int, int]] = {}
        self._read = 0
        self._node = 0

    def refresh(self) -> None:
        """See what was appended since the last look, by whomever. A line that is not finished yet is looked at again."""
        try:
            with self._path.open("rb") as file:
                status = os.fstat(file.fileno())
                if status.st_ino != self._node or status.st_size < self._read:  # deleted and begun anew
                    self._places, self._read, self._node = {}, 0, status.st_ino
                file.seek(self._read)
                while line := file.readline(_LONGEST):
                    whole = line.endswith(b"\n")
                    if not whole and len(line) < _LONGEST:
                        break
                    if whole and (key := _key_in(line)) is not None:
                        self._places[key] = (self._read, len(line))
                    self._read += len(line)
        except OSError:
            self._places, self._read, self._node = {}, 0, 0

    def get(self, key: str) -> ReportGraph | None:
        """The graph under a key, or None where there is none that can be trusted."""
        place = self._places.get(bytes.fromhex(key)[:16])
        if place is None:
            return None
        try:
            with self._path.open("rb") as file:
                file.seek(place[0])
                found = _decoded(key, file.read(place[1]))
        except OSError:
            return None
        return found

    def append(self, entries: Mapping[str, bytes]) -> None:
        """Add entries in one write. Begins with a line break: a line that somebody left unfinished spoils no other.

        The memo only saves time: where it cannot be written, it is left alone.
        """
        lines = b"\n" + b"".join(_line(key, payload) for key, payload in entries.items())
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            try:
                os.write(descriptor, lines)
            finally:
                os.close(descriptor)
        except OSError as error:
            _LOG.warning("annotations are not kept: %s: %s", self._path, error.strerror)


def _line(key: str, payload: bytes) -> bytes:
    return b"%s %s %s\n" % (key.encode(), _check(key, payload).encode(), payload)


def _check(key: str, payload: bytes) -> str:
    return hashlib.sha256(key.encode() + payload).hexdigest()[:32]


def _key_in(line: bytes) -> bytes | None:
    """The first half of the key of a line, if it looks like an entry."""
    try:
        return bytes.fromhex(line[:64].decode("ascii"))[:16] if len(line) > 98 and line[64:65] == b" " else None
    except ValueError:
        return None


def _decoded(key: str, line: bytes) -> ReportGraph | None:
    """The graph of a line, if the line is what was written under this key."""
    try:
        there, check, payload = line.rstrip(b"\n").split(b" ", 2)
        return _graph(payload) if there.decode() == key and check.decode() == _check(key, payload) else None
    except (ValueError, TypeError):
        return None


def _payload(graph: ReportGraph) -> bytes:
    """A graph as one line of ASCII.

    Raises:
        TypeError, ValueError, AttributeError: it is not of the schema's types.
    """
    entities = [
        [e.tokens, e.label, int(e.start), int(e.end), [[name, int(to)] for name, to in e.relations]] for e in graph.entities
    ]
    return json.dumps([graph.text, entities], separators=(",", ":"), allow_nan=False).encode("ascii")


def _graph(payload: bytes) -> ReportGraph:
    text, entities = json.loads(payload)
    return ReportGraph(
        text,
        tuple(
            Entity(tokens, label, start, end, tuple((name, to) for name, to in related))
            for tokens, label, start, end, related in entities
        ),
    )


class Remembered:
    """An annotator with its memo: an ``Annotator`` that gives the same graphs, and asks the one inside only for new texts.

    Several workers that lack the same texts begin at different places and look into the file between batches, so that they
    share the work.

    Args:
        annotator: the one inside. Where it has a method ``normal_form(text) -> str``, texts with the same normal form have the
            same graph, and it is given the normal form.
        who: what tells it from others beside its identity: plain data.
        folder: ``memo`` of a store.
        license: of the texts. Credentialed steps read what open ones wrote, and never the other way round.
        tell: told of progress.
    """

    def __init__(self, annotator: Annotator, who: Mapping[str, Any], folder: Path, license: str, tell: Tell) -> None:  # noqa: A002
        self._annotator = annotator
        self._who = who
        self._folder = folder
        self._licenses = ("open",) if license == "open" else ("credentialed", "open")
        self._tell = tell
        self._files: list[_File] = []
        self._id = ""

    @property
    def identity(self) -> str:
        """That of the annotator inside."""
        return self._annotator.identity

    def __call__(self, reports: Sequence[str]) -> list[ReportGraph]:
        """One graph a report, in order.

        Raises:
            PluginError: the annotator does not give one ReportGraph a report.
        """
        if not reports:
            return []
        self._open()
        normal = getattr(self._annotator, "normal_form", None)
        texts = [normal(report) if normal else report for report in reports]
        keys = {text: self._key(text) for text in dict.fromkeys(texts)}
        found = dict(self._known(keys))
        missing = [text for text in keys if text not in found]
        begin = os.getpid() * 7919 % len(missing) if missing else 0
        waiting = missing[begin:] + missing[:begin]
        for first in range(0, len(waiting), AT_ONCE):
            self._tell(len(keys) - len(waiting) + first, len(keys), "texts annotated")
            batch = {text: keys[text] for text in waiting[first : first + AT_ONCE]}
            found |= dict(self._known(batch))
            if new := {text: key for text, key in batch.items() if text not in found}:
                found |= self._made(new)
        return [found[text] for text in texts]

    def _open(self) -> None:
        """The files, once the annotator's identity is needed: it may cost a look at large weights."""
        if not self._files:
            self._id = digest({"who": self._who, "identity": self.identity})
            name = f"{str(self._who.get('name', 'annotator'))[:40]}-{self._id[:24]}.txt"
            self._files = [_File(self._folder / license_ / name) for license_ in self._licenses]

    def _key(self, text: str) -> str:
        return hashlib.sha256(self._id.encode() + b"\0" + text.encode("utf-8", "surrogatepass")).hexdigest()

    def _known(self, keys: Mapping[str, str]) -> Iterator[tuple[str, ReportGraph]]:
        for file in self._files:
            file.refresh()
        for text, key in keys.items():
            graph = next((graph for file in self._files if (graph := file.get(key)) is not None), None)
            if graph is not None:
                yield text, graph

    def _made(self, keys: Mapping[str, str]) -> dict[str, ReportGraph]:
        """New graphs, which are kept. They are given as they will be read, so that the first time is like every other."""
        name = type(self._annotator).__name__
        graphs = list(self._annotator(list(keys)))
        if len(graphs) != len(keys):
            expected = f"one for each of {len(keys)} reports"
            raise PluginError(f"annotator {name}: graphs", got=len(graphs), expected=expected)
        try:
            payloads = [_payload(graph) for graph in graphs]
        except (TypeError, ValueError, AttributeError) as error:
            raise PluginError(f"annotator {name}: a graph cannot be kept", got=error, expected="ReportGraph") from error
        self._files[0].append(dict(zip(keys.values(), payloads)))
        self._files[0].refresh()
        return {text: _graph(payload) for text, payload in zip(keys, payloads)}
