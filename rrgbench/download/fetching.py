"""One file from the network: resumed where it broke off, bounded, checked, and under its name only when it is whole."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import http.client
import json
import os
import re
import shutil
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

from rrgbench.errors import DataError, StoreError
from rrgbench.store import full_disk_is_an_error, sync, write_atomically
from rrgbench.types import Download

_ATTEMPTS = 4
"""How often a file is asked for in a row without a byte more of it."""

_RESTARTS = 3
"""How often a file is begun again because it is not the same as before."""

_PAUSE = 1.0
_TIMEOUT = 60.0
_CHUNK = 1 << 18
_MOST_BYTES = 1 << 34
"""What no file of a data set exceeds where its length is not known before."""

_SCHEMES = ("https", "http")
_AGENT = "rrgbench"
_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})")


class Progress(Protocol):
    """Told how far a file is: bytes of ``total`` while it is fetched (None where nobody knows), files while it is unpacked."""

    def __call__(self, what: str, done: int, total: int | None) -> None: ...


@dataclass(frozen=True)
class Fetched:
    """A whole file: where it is, its digest and length, and whether it was there already."""

    path: Path
    sha256: str
    bytes: int
    was_there: bool


@dataclass(frozen=True)
class _Version:
    """Which version of a file a part is of: what the server said of it. A part without a validator cannot be gone on with."""

    url: str
    etag: str
    modified: str
    total: int | None

    @property
    def validator(self) -> str:
        """What ``If-Range`` may hold: a strong entity tag, else the time of the last change."""
        return self.etag or self.modified


class _Broken(Exception):
    """The connection broke, or the server may do better in a moment."""


def fetch(item: Download, folder: Path, progress: Progress, *, base: str | None = None, resume: bool = True) -> Fetched:
    """One file into ``folder``, under its name.

    While it is incomplete it is ``.<name>.part`` with ``.<name>.part.json`` beside it; a later call goes on there, if the server
    still has the same version (entity tag or time of change), else from the beginning.

    Raises:
        DataError: it cannot be had, or is not what was announced or is known of it.
        StoreError: the folder cannot be written, or the disk is full.
    """
    url = item.url if base is None else f"{base.rstrip('/')}/{urllib.parse.quote(item.name)}"
    _check_url(url)
    path = folder / item.name
    with full_disk_is_an_error(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if path.exists():
            return _present(path, item)
        with _locked(folder / f".{item.name}.part") as part:
            return _Transfer(item, url, path, part, progress).run(resume)


def _check_url(url: str) -> None:
    try:
        parts = urllib.parse.urlsplit(url)
        right = parts.scheme in _SCHEMES and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        right = False
    if not right or not url.isascii() or not url.isprintable() or " " in url:
        raise DataError("the address to download from", got=repr(url), expected="https://.. or http://..")


def _present(path: Path, item: Download) -> Fetched:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    size = path.stat().st_size
    if (item.sha256 or digest) != digest or (item.bytes or size) != size:
        raise DataError(
            f"{path} is there and is not the published file",
            got=f"{size} bytes, SHA-256 {digest}",
            expected=f"{item.bytes} bytes, SHA-256 {item.sha256}",
            hint="remove it, and run the same command again",
        )
    return Fetched(path, digest, size, was_there=True)


@contextlib.contextmanager
def _locked(part: Path) -> Iterator[IO[bytes]]:
    """The part, open for one process alone."""
    with open(os.open(part, os.O_RDWR | os.O_CREAT, 0o644), "r+b") as file:  # noqa: PTH123 - created or kept, never cut
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StoreError(f"{part} is being written by another process", hint="wait for it to end") from error
        try:
            yield file
        finally:
            if not os.fstat(file.fileno()).st_size:
                part.unlink(missing_ok=True)


class _Transfer:
    """The transfer of one file: attempts that each go on where the one before broke off."""

    def __init__(self, item: Download, url: str, path: Path, part: IO[bytes], progress: Progress) -> None:
        self._item, self._url, self._path, self._part, self._progress = item, url, path, part, progress
        self._most = item.bytes or _MOST_BYTES
        self._part_path, self._note = path.parent / f".{item.name}.part", path.parent / f".{item.name}.part.json"
        self._version: _Version | None = None
        self._hash = hashlib.sha256()
        self._have = self._restarts = 0

    def run(self, resume: bool) -> Fetched:
        """Fetch, check and move into place.

        Raises:
            DataError: as ``fetch``.
        """
        self._begin(resume)
        left = _ATTEMPTS
        while True:
            before = self._have
            try:
                self._attempt()
                break
            except _Broken as error:
                left = _ATTEMPTS if self._have > before else left - 1
                if left <= 0:
                    raise self._wrong("broke off", error, hint="the same command goes on from there") from error
                time.sleep(_PAUSE * (_ATTEMPTS - left))
        return self._finish()

    def _wrong(self, what: str, got: object, expected: object = None, hint: str = "") -> DataError:
        return DataError(f"{self._url}: {what}", got=got, expected=expected, hint=hint)

    def _begin(self, resume: bool) -> None:
        """Take up the part of an earlier call, if it says which version it is of."""
        version = _read_version(self._note)
        if not resume or version is None or version.url != self._url or not version.validator:
            self._start_over()
            return
        self._version = version
        self._part.seek(0)
        while chunk := self._part.read(_CHUNK):
            self._hash.update(chunk)
            self._have += len(chunk)

    def _start_over(self) -> None:
        self._version, self._hash, self._have = None, hashlib.sha256(), 0
        self._note.unlink(missing_ok=True)
        self._part.seek(0)
        self._part.truncate()

    def _attempt(self) -> None:
        """Ask for what is missing and write it down.

        Raises:
            _Broken: try again.
            DataError: that would not help.
        """
        headers = {"User-Agent": _AGENT, "Accept-Encoding": "identity"}
        if self._have and self._version is not None:
            if self._have == self._version.total:
                return
            headers |= {"Range": f"bytes={self._have}-", "If-Range": self._version.validator}
        try:
            request = urllib.request.Request(self._url, headers=headers)  # noqa: S310 - http or https, by _check_url
            with _opener().open(request, timeout=_TIMEOUT) as answer:
                self._read(answer)
        except urllib.error.HTTPError as error:
            self._refused(error)
        except urllib.error.URLError as error:
            raise _Broken(str(error.reason)) from error
        except (http.client.HTTPException, TimeoutError, ConnectionError, ssl.SSLError, EOFError) as error:
            raise _Broken(f"{type(error).__name__}: {error}") from error

    def _refused(self, error: urllib.error.HTTPError) -> None:
        with error:
            if error.code == 416 and self._have:  # the file became shorter than the part
                self._start_over()
                raise _Broken("the part is longer than the file") from error
            if error.code in (408, 425, 429) or error.code >= 500:
                raise _Broken(f"HTTP {error.code} {error.reason}") from error
            hint = "look at the address in a browser; --url names another server"
            raise self._wrong("is not to be had", f"HTTP {error.code} {error.reason}", hint=hint) from error

    def _read(self, answer: Any) -> None:
        told = _told_version(self._url, answer)
        if self._have and self._version is not None and not self._continues(answer, told):
            self._start_over()
            self._restarts += 1
            if self._restarts > _RESTARTS:
                raise self._wrong(
                    "is not the same from one answer to the next", f"{self._restarts} versions", hint="try again later"
                )
            if answer.status == 206:
                raise _Broken("the file changed between two parts")
        if answer.status not in (200, 206) or (answer.status == 206 and not self._have):
            raise self._wrong("answered what was not asked for", f"HTTP {answer.status}")
        if not self._have:
            self._announced(told)
        self._part.seek(self._have)
        self._write(answer)

    def _continues(self, answer: Any, told: _Version) -> bool:
        """Whether an answer is the rest of the part, of the same version."""
        version, match = self._version, _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
        if answer.status != 206 or match is None or version is None or int(match[1]) != self._have:
            return False
        same = all(old == new or not new for old, new in ((version.etag, told.etag), (version.modified, told.modified)))
        return same and version.total in (None, int(match[3])) and int(match[2]) == int(match[3]) - 1

    def _announced(self, told: _Version) -> None:
        """Check what the server says of the file before anything is read, and note it."""
        if told.total is not None:
            if self._item.bytes not in (None, told.total):
                raise self._wrong("is another file than was published", f"{told.total} bytes", f"{self._item.bytes} bytes")
            if told.total > self._most:
                raise self._wrong("is too large", f"{told.total} bytes", f"at most {self._most}")
            free = shutil.disk_usage(self._path.parent).free
            if told.total > free:
                expected, hint = f"{told.total} bytes for {self._item.name}", "free some space, then run the same command again"
                raise StoreError(f"{self._path.parent}: the disk is too full", got=f"{free} bytes", expected=expected, hint=hint)
        self._version = told
        write_atomically(self._note, json.dumps(vars(told)).encode())

    def _write(self, answer: Any) -> None:
        assert self._version is not None, "what is read was announced"
        total = self._version.total
        while True:
            try:
                chunk = answer.read(_CHUNK)
            except http.client.IncompleteRead as error:
                chunk = error.partial
                if not chunk:
                    raise
            if not chunk:
                break
            if self._have + len(chunk) > (self._most if total is None else total):
                raise self._wrong(
                    "gives more than was announced", f"over {self._have + len(chunk)} bytes", hint="try again later"
                )
            self._part.write(chunk)
            self._hash.update(chunk)
            self._have += len(chunk)
            self._progress(self._item.name, self._have, total)
        self._part.flush()
        if total is not None and self._have < total:
            raise _Broken(f"{self._have} of {total} bytes")

    def _finish(self) -> Fetched:
        """Move a whole file into place; one that is not what it should be leaves nothing behind."""
        digest, size = self._hash.hexdigest(), self._have
        if not size or (self._item.sha256 or digest) != digest or (self._item.bytes or size) != size:
            self._start_over()
            self._part_path.unlink(missing_ok=True)
            expected = f"{self._item.bytes or 'some'} bytes, SHA-256 {self._item.sha256 or 'any'}"
            hint = "the file was changed or damaged on its way: try again, or another --url"
            raise self._wrong("is not the published file", f"{size} bytes, SHA-256 {digest}", expected, hint)
        self._part.flush()
        os.fsync(self._part.fileno())
        self._part_path.replace(self._path)
        self._note.unlink(missing_ok=True)
        sync(self._path.parent)
        return Fetched(self._path, digest, size, was_there=False)


def _read_version(note: Path) -> _Version | None:
    """What was noted of a part; None where nothing whole was."""
    try:
        raw = json.loads(note.read_bytes())
    except (OSError, ValueError):
        return None
    if not isinstance(raw, dict) or set(raw) != {"url", "etag", "modified", "total"}:
        return None
    texts = all(isinstance(raw[name], str) and raw[name].isprintable() for name in ("url", "etag", "modified"))
    return _Version(**raw) if texts and (raw["total"] is None or type(raw["total"]) is int) else None


def _told_version(url: str, answer: Any) -> _Version:
    """What an answer says of its file. A weak entity tag does not say that bytes are the same."""
    headers: Mapping[str, str] = answer.headers
    etag = headers.get("ETag", "")
    length = headers.get("Content-Length", "")
    whole = length.isascii() and length.isdigit() and len(length) < 19 and answer.status == 200
    return _Version(
        url=url,
        etag="" if etag.startswith("W/") else etag,
        modified=headers.get("Last-Modified", ""),
        total=int(length) if whole else None,
    )


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows to https, or from http to http; never to a file, never from https to http."""

    max_redirections = 5

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        old, new = urllib.parse.urlsplit(req.full_url).scheme, urllib.parse.urlsplit(newurl).scheme
        if new not in _SCHEMES or (old == "https" and new != "https"):
            raise DataError(f"{req.full_url}: leads elsewhere", got=newurl, expected="an address that begins with https://")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> urllib.request.OpenerDirector:
    """What opens addresses: http and https, by the proxies of the environment, and nothing else."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _Redirects(),
    ):
        opener.add_handler(handler)
    return opener
