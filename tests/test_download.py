"""The download: against a server on loopback that does everything a server may do wrong, and archives that mean harm."""

from __future__ import annotations

import errno
import fcntl
import gzip
import hashlib
import io
import json
import os
import tarfile
import threading
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from rrgbench import KINDS, DataError, Download, StoreError
from rrgbench.catalogue.signature import read_signature
from rrgbench.download import fetching, obtain, unpacking
from rrgbench.download.fetching import Fetched, fetch
from rrgbench.download.unpacking import unpack
from rrgbench.errors import RRGBenchError

CONTENT = bytes(range(256)) * 4096  # a megabyte: more than the sockets between hold
DIGEST = hashlib.sha256(CONTENT).hexdigest()
FILMS = r"film[0-9]+\.png"


@dataclass
class Served:
    """One file and how it is served. ``requests`` are the headers of those that came."""

    content: bytes = CONTENT
    etag: str | None = '"one"'
    modified: str | None = None
    ranges: bool = True
    break_at: list[int] = field(default_factory=list)
    """After so many bytes of its answer each request breaks off, while there are entries."""
    length: int | None = None
    status: list[int] = field(default_factory=list)
    location: str = ""
    change_to: bytes | None = None
    """What the file becomes after the first answer, with another tag."""
    chunked: bool = False
    careless: bool = False
    """Answers a range whatever ``If-Range`` says."""
    requests: list[dict[str, str]] = field(default_factory=list)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    served: dict[str, Served]

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self.close_connection = True
        served = self.served.get(self.path.lstrip("/"))
        if served is None:
            self.send_error(404)
            return
        served.requests.append(dict(self.headers.items()))
        if served.status:
            status = served.status.pop(0)
            self.send_response(status)
            if served.location:
                self.send_header("Location", served.location)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self._answer(served)

    def _answer(self, served: Served) -> None:
        start, asked = 0, self.headers.get("Range", "")
        validator = self.headers.get("If-Range")
        if served.ranges and asked and (served.careless or validator in (served.etag, served.modified)):
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
        if start > len(served.content):
            self.send_error(416)
            return
        body = served.content[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(served.content) - 1}/{len(served.content)}")
        if served.etag:
            self.send_header("ETag", served.etag)
        if served.modified:
            self.send_header("Last-Modified", served.modified)
        if not served.chunked:
            self.send_header("Content-Length", str(served.length if served.length is not None else len(body)))
        self.end_headers()
        self.wfile.write(body[: served.break_at.pop(0)] if served.break_at else body)
        if served.change_to is not None:
            served.content, served.etag, served.change_to = served.change_to, '"two"', None


class Server:
    """What a test serves, and where."""

    def __init__(self, port: int, files: dict[str, Served]) -> None:
        self.base, self._files = f"http://127.0.0.1:{port}", files

    def serve(self, name: str = "file.bin", **how: Any) -> Served:
        self._files[name] = Served(**how)
        return self._files[name]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for proxy in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(proxy, raising=False)
    monkeypatch.setattr(fetching, "_PAUSE", 0.0)
    files: dict[str, Served] = {}
    handler = type("Bound", (Handler,), {"served": files})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http_server:
        thread = threading.Thread(target=http_server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield Server(http_server.server_address[1], files)
        finally:
            http_server.shutdown()
            thread.join()


def quiet(*_: object) -> None:
    pass


def get(server: Server, folder: Path, **known: Any) -> Fetched:
    resume = known.pop("resume", True)
    return fetch(Download("file.bin", f"{server.base}/file.bin", **known), folder, quiet, resume=resume)


def mistake(server: Server, folder: Path, kind: type[RRGBenchError] = DataError, **known: Any) -> str:
    with pytest.raises(kind) as caught:
        get(server, folder, **known)
    assert not (folder / "file.bin").exists()
    line = str(caught.value)
    assert "\n" not in line
    return line


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# Fetching.


def test_a_file_is_fetched_whole_and_nothing_lies_beside_it(server: Server, tmp_path: Path) -> None:
    server.serve()
    told: list[tuple[int, int | None]] = []
    item = Download("file.bin", f"{server.base}/file.bin", sha256=DIGEST, bytes=len(CONTENT))
    fetched = fetch(item, tmp_path / "new" / "folder", lambda what, done, total: told.append((done, total)))
    assert fetched == Fetched(tmp_path / "new/folder/file.bin", DIGEST, len(CONTENT), was_there=False)
    assert fetched.path.read_bytes() == CONTENT
    assert names(fetched.path.parent) == ["file.bin"]
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_a_file_that_is_there_is_checked_and_not_fetched_again(server: Server, tmp_path: Path) -> None:
    served = server.serve()
    assert not get(server, tmp_path, sha256=DIGEST).was_there
    assert get(server, tmp_path, sha256=DIGEST).was_there
    assert len(served.requests) == 1
    with pytest.raises(DataError, match=r"is there and is not the published file.*remove it"):
        get(server, tmp_path, sha256="0" * 64)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


def test_a_connection_that_breaks_off_is_taken_up_where_it_was(server: Server, tmp_path: Path) -> None:
    served = server.serve(break_at=[300_000, 200_000])
    assert get(server, tmp_path).sha256 == DIGEST
    assert [request.get("Range") for request in served.requests] == [None, "bytes=300000-", "bytes=500000-"]
    assert {request.get("If-Range") for request in served.requests[1:]} == {'"one"'}


def test_a_later_call_goes_on_with_the_part_of_an_earlier_one(server: Server, tmp_path: Path) -> None:
    served = server.serve(break_at=[300_000, 0, 0, 0, 0])
    assert "broke off; got 300000 of 1048576 bytes" in mistake(server, tmp_path)
    assert names(tmp_path) == [".file.bin.part", ".file.bin.part.json"]
    served.break_at.clear()
    served.requests.clear()
    assert get(server, tmp_path).sha256 == DIGEST
    assert [request.get("Range") for request in served.requests] == ["bytes=300000-"]
    assert names(tmp_path) == ["file.bin"]


def test_without_resume_the_part_is_thrown_away(server: Server, tmp_path: Path) -> None:
    served = server.serve(break_at=[300_000, 0, 0, 0, 0])
    mistake(server, tmp_path)
    served.break_at.clear()
    served.requests.clear()
    assert get(server, tmp_path, resume=False).sha256 == DIGEST
    assert [request.get("Range") for request in served.requests] == [None]


def test_the_time_of_change_will_do_where_there_is_no_strong_tag(server: Server, tmp_path: Path) -> None:
    changed = "Tue, 02 Feb 2016 21:33:00 GMT"
    served = server.serve(etag='W/"weak"', modified=changed, break_at=[300_000])
    assert get(server, tmp_path).sha256 == DIGEST
    assert served.requests[1]["If-Range"] == changed


def test_a_part_that_nothing_vouches_for_is_not_gone_on_with(server: Server, tmp_path: Path) -> None:
    served = server.serve(etag=None, break_at=[300_000, 0, 0, 0, 0])
    mistake(server, tmp_path)
    served.break_at.clear()
    served.requests.clear()
    assert get(server, tmp_path).sha256 == DIGEST
    assert [request.get("Range") for request in served.requests] == [None]


@pytest.mark.parametrize("note", [b"", b"[]", b"{}", b"\xff", b'{"url": 1, "etag": "", "modified": "", "total": null}'])
def test_a_part_with_a_damaged_note_is_not_gone_on_with(server: Server, tmp_path: Path, note: bytes) -> None:
    served = server.serve()
    (tmp_path / ".file.bin.part").write_bytes(b"something else")
    (tmp_path / ".file.bin.part.json").write_bytes(note)
    assert get(server, tmp_path).sha256 == DIGEST
    assert "Range" not in served.requests[0]


def test_a_server_that_ignores_ranges_gives_the_whole_file_once_more(server: Server, tmp_path: Path) -> None:
    served = server.serve(ranges=False, break_at=[300_000])
    fetched = get(server, tmp_path)
    assert (fetched.sha256, fetched.bytes) == (DIGEST, len(CONTENT))
    assert len(served.requests) == 2


def test_a_file_that_changes_between_two_parts_is_fetched_anew(server: Server, tmp_path: Path) -> None:
    other = CONTENT[::-1]
    served = server.serve(break_at=[300_000], change_to=other)
    assert get(server, tmp_path).path.read_bytes() == other
    assert len(served.requests) == 2


def test_a_server_that_gives_the_rest_of_another_version_is_not_believed(server: Server, tmp_path: Path) -> None:
    served = server.serve(break_at=[300_000], change_to=CONTENT[::-1], careless=True)
    assert get(server, tmp_path).path.read_bytes() == CONTENT[::-1]
    assert [request.get("Range") for request in served.requests] == [None, "bytes=300000-", None]


def test_a_file_that_is_another_one_each_time_ends(server: Server, tmp_path: Path) -> None:
    served = server.serve(ranges=False, break_at=[300_000 + 1000 * place for place in range(20)])
    assert "is not the same from one answer to the next; got 4 versions" in mistake(server, tmp_path)
    assert len(served.requests) == 5


def test_a_part_that_is_longer_than_the_file_is_begun_again(server: Server, tmp_path: Path) -> None:
    served = server.serve(break_at=[300_000, 0, 0, 0, 0])
    mistake(server, tmp_path)
    served.break_at.clear()
    served.content = CONTENT[:1000]
    assert get(server, tmp_path).bytes == 1000


def test_a_server_that_announces_too_much_is_told(server: Server, tmp_path: Path) -> None:
    server.serve(length=len(CONTENT) + 10)
    assert "is not the same from one answer to the next" in mistake(server, tmp_path)


def test_a_server_that_announces_too_little_is_found_out_by_the_digest(server: Server, tmp_path: Path) -> None:
    server.serve(length=1000)
    line = mistake(server, tmp_path, sha256=DIGEST)
    assert "is not the published file; got 1000 bytes, SHA-256" in line
    assert names(tmp_path) == []


def test_another_length_than_the_published_one_is_told_before_anything_is_read(server: Server, tmp_path: Path) -> None:
    server.serve()
    assert "got 1048576 bytes; expected 77 bytes" in mistake(server, tmp_path, bytes=77)
    assert names(tmp_path) == []


def test_a_file_of_no_announced_length_is_bounded(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server.serve(chunked=True)
    assert get(server, tmp_path / "free").sha256 == DIGEST
    monkeypatch.setattr(fetching, "_MOST_BYTES", 500_000)
    assert "gives more than was announced" in mistake(server, tmp_path)
    server.serve()
    assert "is too large; got 1048576 bytes; expected at most 500000" in mistake(server, tmp_path / "other")


def test_a_file_that_is_not_the_published_one_leaves_nothing_behind(server: Server, tmp_path: Path) -> None:
    server.serve(content=b"another")
    assert "is not the published file" in mistake(server, tmp_path, sha256=DIGEST)
    assert names(tmp_path) == []
    server.serve(content=b"")
    assert "is not the published file; got 0 bytes" in mistake(server, tmp_path)
    assert names(tmp_path) == []


@pytest.mark.parametrize(("status", "asked"), [(404, 1), (403, 1), (410, 1), (500, 4), (503, 4)])
def test_an_error_of_the_server_is_one_line(server: Server, tmp_path: Path, status: int, asked: int) -> None:
    served = server.serve(status=[status] * 9)
    assert f"HTTP {status}" in mistake(server, tmp_path)
    assert len(served.requests) == asked
    assert names(tmp_path) == []


def test_an_error_that_passes_is_waited_for(server: Server, tmp_path: Path) -> None:
    server.serve(status=[503, 500])
    assert get(server, tmp_path).sha256 == DIGEST


def test_a_server_that_is_not_there_is_one_line(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="broke off") as caught:
        fetch(Download("file.bin", "http://127.0.0.1:9/file.bin"), tmp_path, quiet)
    assert "refused" in str(caught.value)
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    "location", ["file:///etc/passwd", "ftp://127.0.0.1/file.bin", "data:text/plain,hello", "javascript:0", "//", ""]
)
def test_a_redirect_to_another_scheme_is_not_followed(server: Server, tmp_path: Path, location: str) -> None:
    server.serve(status=[302] * 9, location=location)
    mistake(server, tmp_path)
    assert names(tmp_path) == []


def test_a_redirect_within_http_is_followed_and_one_in_a_circle_ends(server: Server, tmp_path: Path) -> None:
    server.serve("there.bin")
    server.serve(status=[302], location=f"{server.base}/there.bin")
    assert get(server, tmp_path).sha256 == DIGEST
    (tmp_path / "file.bin").unlink()
    server.serve(status=[302] * 90, location=f"{server.base}/file.bin")
    assert "HTTP 302" in mistake(server, tmp_path)


def test_https_never_leads_to_http() -> None:
    asked = urllib.request.Request("https://example.org/file.bin")
    with pytest.raises(DataError, match="leads elsewhere"):
        fetching._Redirects().redirect_request(asked, None, 302, "Found", {}, "http://example.org/file.bin")


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://host/file", "https://", "host/file", "http://a b/", "http://a:x/"])
def test_an_address_that_is_no_address_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(DataError, match="the address to download from"):
        fetch(Download("file.bin", url), tmp_path, quiet)
    assert not tmp_path.exists() or names(tmp_path) == []


def test_two_processes_do_not_write_the_same_part(server: Server, tmp_path: Path) -> None:
    server.serve()
    with (tmp_path / ".file.bin.part").open("wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert "is being written by another process" in mistake(server, tmp_path, StoreError)


def test_a_disk_that_is_too_small_is_told_before(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server.serve()
    free = type("Usage", (), {"free": 1000})()
    monkeypatch.setattr(fetching.shutil, "disk_usage", lambda _: free)
    assert "the disk is too full; got 1000 bytes; expected 1048576 bytes" in mistake(server, tmp_path, StoreError)


def no_space(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_disk_that_fills_up_is_told(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server.serve()
    monkeypatch.setattr(fetching.os, "fsync", no_space)
    assert "the disk is full: free some space" in mistake(server, tmp_path, StoreError)
    monkeypatch.undo()
    assert get(server, tmp_path).sha256 == DIGEST


def test_a_folder_that_cannot_be_made_is_one_line(server: Server, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(StoreError, match="cannot write"):
        get(server, tmp_path / "taken")


# Unpacking.


def member(name: str, content: bytes = b"film", **fields: Any) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in fields.items():
        setattr(info, key, value)
    return info, content


def archive(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))
    return path


def refused(path: Path) -> str:
    folder = path.parent / "films"
    before = set(path.parent.rglob("*"))
    with pytest.raises(DataError) as caught:
        unpack(path, folder, FILMS, quiet)
    assert set(path.parent.rglob("*")) == before
    line = str(caught.value)
    assert "\n" not in line
    assert line.startswith(str(path))
    return line


def test_films_are_unpacked_flat_and_all_at_once(tmp_path: Path) -> None:
    path = archive(
        tmp_path / "a.tgz",
        member("png/", b"", type=tarfile.DIRTYPE),
        member("png/film1.png", b"one", mode=0o6777, uid=0),
        member("film2.png", b"two"),
        member("./png/deep/film3.png", b""),
    )
    assert unpack(path, tmp_path / "films", FILMS, quiet) == 3
    assert names(tmp_path) == ["a.tgz", "films"]
    assert {film.name: film.read_bytes() for film in (tmp_path / "films").iterdir()} == {
        "film1.png": b"one",
        "film2.png": b"two",
        "film3.png": b"",
    }
    assert not (tmp_path / "films/film1.png").stat().st_mode & 0o6111


HOSTILE: dict[str, tuple[tuple[tarfile.TarInfo, bytes], str]] = {
    "traversal": (member("../film9.png"), "a name that leads elsewhere"),
    "traversal inside": (member("a/../../film9.png"), "a name that leads elsewhere"),
    "absolute": (member("/tmp/film9.png"), "a name that leads elsewhere"),
    "backslash": (member("..\\film9.png"), "a name that leads elsewhere"),
    "control": (member("a\nb/film9.png"), "a name that leads elsewhere"),
    "symlink": (member("film9.png", b"", type=tarfile.SYMTYPE, linkname="/etc/passwd"), "a link, device or other"),
    "hard link": (member("film9.png", b"", type=tarfile.LNKTYPE, linkname="film1.png"), "a link, device or other"),
    "device": (member("film9.png", b"", type=tarfile.CHRTYPE, devmajor=1, devminor=3), "a link, device or other"),
    "pipe": (member("film9.png", b"", type=tarfile.FIFOTYPE), "a link, device or other"),
    "folder outside": (member("../elsewhere", b"", type=tarfile.DIRTYPE), "a link, device or other"),
    "unexpected": (member("script.sh"), "a name that was not expected"),
    "hidden": (member(".film1.png"), "a name that was not expected"),
    "twice": (member("other/film1.png"), "a name stands twice; got 'film1.png'"),
}


@pytest.mark.parametrize("harm", HOSTILE)
def test_a_hostile_member_ends_it_and_leaves_nothing(harm: str, tmp_path: Path) -> None:
    bad, told = HOSTILE[harm]
    assert told in refused(archive(tmp_path / "a.tgz", member("film1.png"), bad))


def header(**fields: Any) -> bytes:
    """The 512 bytes of a header, as they may claim."""
    info, _ = member("film1.png")
    for key, value in fields.items():
        setattr(info, key, value)
    return info.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (header(size=-512), "a negative size"),
        (header(type=tarfile.GNUTYPE_SPARSE, size=1 << 40), "a sparse file"),
        (header(type=tarfile.XHDTYPE, size=1 << 30), "a header of 1073741824 bytes"),
        (header(type=tarfile.GNUTYPE_LONGNAME, size=1 << 30), "a header of 1073741824 bytes"),
        (header(size=1 << 40), "is too large; got 1099511627776 bytes"),
        (header(size=1000) + b"cut", "is no whole archive"),
        (b"no tar at all" * 100, "is no whole archive"),
        (b"", "is no whole archive"),
        (header(name="png", type=tarfile.DIRTYPE, size=0), "holds no file"),
    ],
)
def test_a_header_that_lies_is_not_believed(content: bytes, told: str, tmp_path: Path) -> None:
    (tmp_path / "a.tgz").write_bytes(gzip.compress(content))
    assert told in refused(tmp_path / "a.tgz")


def test_headers_that_nest_without_end_are_refused(tmp_path: Path) -> None:
    block = header(type=tarfile.XHDTYPE, size=0)
    (tmp_path / "a.tgz").write_bytes(gzip.compress(block * 5000))
    assert "is no whole archive" in refused(tmp_path / "a.tgz")


def test_a_sparse_file_in_the_pax_way_is_refused(tmp_path: Path) -> None:
    info, content = member("film1.png", b"x" * 512)
    info.pax_headers = {"GNU.sparse.size": str(1 << 40), "GNU.sparse.map": f"0,0,{1 << 40},0", "GNU.sparse.name": "film1.png"}
    refused(archive(tmp_path / "a.tgz", (info, content)))


def test_a_truncated_archive_is_told(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.tgz", *(member(f"film{n}.png", hashlib.sha256(bytes([n])).digest() * 50) for n in range(9)))
    whole = path.read_bytes()
    for kept in (10, len(whole) // 2, len(whole) - 4):
        path.write_bytes(whole[:kept])
        assert "is no whole archive" in refused(path)
    path.write_bytes(whole[:-8] + b"\0\0\0\0" + whole[-4:])
    assert "is no whole archive" in refused(path)


def test_a_bomb_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "_SLACK", 1 << 16)
    assert "unpacks to too much" in refused(archive(tmp_path / "a.tgz", member("film1.png", bytes(1 << 24))))
    monkeypatch.setattr(unpacking, "_MEMBER_BYTES", 1 << 20)
    assert "is too large; got 16777216 bytes" in refused(archive(tmp_path / "a.tgz", member("film1.png", bytes(1 << 24))))


def test_members_without_end_are_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "_MEMBERS", 500)
    with gzip.open(tmp_path / "a.tgz", "wb", compresslevel=1) as packed:
        packed.write(header(name="png", type=tarfile.DIRTYPE, size=0) * 20_000)
    assert "too many members; got over 500" in refused(tmp_path / "a.tgz")


def test_a_disk_that_fills_up_while_unpacking_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = archive(tmp_path / "a.tgz", member("film1.png"))
    monkeypatch.setattr(unpacking.os, "fsync", no_space)
    with pytest.raises(StoreError, match="the disk is full"):
        unpack(path, tmp_path / "films", FILMS, quiet)
    assert names(tmp_path) == ["a.tgz"]


# Both, and the command.


def two_films(path: Path) -> bytes:
    return archive(path, member("png/film1.png", b"one"), member("png/film2.png", b"two")).read_bytes()


def test_an_archive_becomes_a_folder_and_goes(server: Server, tmp_path: Path) -> None:
    server.serve("films.tgz", content=two_films(tmp_path / "films.tgz"))
    server.serve("reports.bin")
    offered = (
        Download("reports.bin", f"{server.base}/reports.bin", DIGEST, len(CONTENT)),
        Download("films.tgz", f"{server.base}/films.tgz", folder="films", members=FILMS),
    )
    folder = tmp_path / "data"
    first = obtain(offered, folder, quiet)
    assert names(folder) == ["films", "reports.bin"]
    assert [(item.name, item.files, item.was_there) for item in first] == [("reports.bin", None, False), ("films.tgz", 2, False)]
    again = obtain(offered, folder, quiet)
    assert [(item.files, item.was_there) for item in again] == [(None, True), (2, True)]
    kept = obtain(offered[1:], tmp_path / "kept", quiet, keep_archives=True)
    assert names(tmp_path / "kept") == ["films", "films.tgz"]
    assert kept[0].sha256 == hashlib.sha256((tmp_path / "kept/films.tgz").read_bytes()).hexdigest()


PLUGIN = '''
"""Data sets that are offered for download, and some that are not."""
import rrgbench
from rrgbench import Download


class Open:
    """A data set with public files."""

    license = "open"
    downloads = (
        Download("notes.txt", "https://example.org/notes.txt", {digest!r}, {size}),
        Download("films.tgz", "https://example.org/films.tgz", folder="films", members={films!r}),
    )

    def __init__(self, root):
        pass


class Closed(Open):
    """A data set that one applies for."""

    license = "credentialed"
    access = "Apply at example.org; the folder then holds notes.txt."


class Made:
    """A data set that makes its films."""

    license = "open"


@rrgbench.hookimpl
def rrgbench_datasets():
    return {{"open": Open, "closed": Closed, "made": Made}}
'''


@pytest.fixture
def offering(plugin: Callable[..., dict[str, str]], tmp_path: Path) -> dict[str, str]:
    source = PLUGIN.format(digest=hashlib.sha256(b"notes").hexdigest(), size=5, films=FILMS)
    environment = plugin("offering", source)
    return environment | {"RRGBENCH_PLUGINS": "offering", "RRGBENCH_CACHE": str(tmp_path / "cache")}


@pytest.mark.heavy
def test_the_command_fetches_what_a_data_set_offers(server: Server, tmp_path: Path, shell: Any, offering: dict[str, str]) -> None:
    server.serve("notes.txt", content=b"notes")
    server.serve("films.tgz", content=two_films(tmp_path / "a.tgz"))
    ran = shell("data", "download", "open", "--to", tmp_path / "data", "--url", server.base, "--json", env=offering)
    assert ran.code == 0, ran.err
    assert [(item["name"], item["files"]) for item in ran.json] == [("notes.txt", None), ("films.tgz", 2)]
    assert names(tmp_path / "data") == ["films", "notes.txt"]
    ran = shell("data", "download", "open", "--to", tmp_path / "data", "--url", server.base, "--only", "notes.txt", env=offering)
    assert ran.code == 0, ran.err
    assert "was there" in ran.out
    assert "as published" in ran.out
    assert "films" not in ran.out


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["closed"], "data set closed is credentialed, and never downloaded. Hint: Apply at example.org"),
        (["made"], "data set made has nothing to download"),
        (["opne"], "did you mean 'open'?"),
        (["open", "--only", "films"], "--only; got 'films'; expected notes.txt or films.tgz"),
        (["open", "--url", "file:///etc"], "the address to download from"),
    ],
)
def test_what_cannot_be_fetched_is_one_line(
    arguments: list[str], told: str, tmp_path: Path, shell: Any, offering: dict[str, str]
) -> None:
    ran = shell("data", "download", *arguments, "--to", tmp_path / "data", env=offering)
    assert (ran.code, ran.out) == (2, "")
    assert len(ran.err.splitlines()) == 1
    assert told in ran.err
    assert not (tmp_path / "data").exists()


def test_what_a_download_says_is_data_that_a_catalogue_can_keep() -> None:
    class Offering:
        license = "open"
        downloads = (Download("a", "https://example.org/a"),)

        def __init__(self, root: Path) -> None:
            pass

    _, _, attributes = read_signature(KINDS["datasets"], Offering)
    assert json.loads(json.dumps(attributes))["downloads"][0]["url"] == "https://example.org/a"
    assert "access" not in attributes
