"""An archive from the network into a folder: regular files with the names expected, flat, bounded; all of them or none."""

from __future__ import annotations

import gzip
import io
import os
import re
import shutil
import tarfile
import uuid
import zlib
from pathlib import Path, PurePosixPath
from typing import Any, Self

from rrgbench.download.fetching import Progress
from rrgbench.errors import DataError
from rrgbench.store import full_disk_is_an_error, sync

_MEMBERS = 100_000
_MEMBER_BYTES = 1 << 27
_TOTAL_BYTES = 1 << 36
_RATIO, _SLACK = 30, 1 << 26
"""Films hardly shrink: what unpacks to more than this many times its size, and some, is no archive of films."""

_HEADER_BYTES = 1 << 16
_EXTENSIONS = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
_CHUNK = 1 << 18


def unpack(archive: Path, folder: Path, members: str, progress: Progress) -> int:
    """The files of a .tgz into ``folder``, without the folders that they lie in; how many there are.

    The folder is there when all of it is there. Links, devices, sparse files, absolute names, '..', names that ``members``
    does not match, names that stand twice and sizes beyond bounds end it, with nothing left behind.

    Raises:
        DataError: the archive is damaged or holds what it should not.
        StoreError: the folder cannot be written, or the disk is full.
    """
    draft = folder.parent / f".{folder.name}.{uuid.uuid4().hex}"
    with full_disk_is_an_error(folder):
        draft.mkdir(parents=True)
        try:
            count = _unpack_into(archive, draft, re.compile(members), progress)
            sync(draft)
            draft.rename(folder)
            sync(folder.parent)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return count


def _wrong(archive: Path, what: str, got: object, expected: object = None) -> DataError:
    hint = "remove the archive, and fetch it from where it is published"
    return DataError(f"{archive}: {what}", got=got, expected=expected, hint=hint)


class _Broken(Exception):
    """The archive cannot be read; told apart from what the folder's disk says."""


def _unpack_into(archive: Path, draft: Path, names: re.Pattern[str], progress: Progress) -> int:
    count = 0
    size = archive.stat().st_size
    try:
        with gzip.open(archive, "rb") as packed:
            stream = _Bounded(packed, archive, min(_TOTAL_BYTES, _RATIO * size + _SLACK))
            with tarfile.open(fileobj=stream, mode="r|", tarinfo=_Member, bufsize=_CHUNK) as tar:
                for place, member in enumerate(tar):
                    if place >= _MEMBERS:
                        raise _wrong(archive, "too many members", f"over {_MEMBERS}")
                    if member.isdir() and _inside(member.name):
                        continue
                    name = _checked(archive, member, names, draft)
                    if (draft / name).exists():
                        raise _wrong(archive, "a name stands twice", repr(name))
                    content = tar.extractfile(member)
                    assert content is not None, "a regular file has content"
                    _write(draft / name, _Source(content, member.size))
                    count += 1
                    progress(f"unpacking {archive.name}", count, None)
            while stream.read(_CHUNK):  # to the checksum at the end of the gzip stream
                pass
    except (tarfile.TarError, _Broken, ValueError, RecursionError, OverflowError) as error:
        raise _wrong(archive, "is no whole archive", f"{type(error).__name__.lstrip('_')}: {error}", "a .tgz") from error
    if not count:
        raise _wrong(archive, "holds no file", "nothing")
    return count


def _inside(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and "\\" not in name and name.isprintable()


def _checked(archive: Path, member: tarfile.TarInfo, names: re.Pattern[str], draft: Path) -> str:
    """The plain name of a member that may be unpacked."""
    shown = repr(member.name[:200])
    if not member.isreg() or member.issparse():
        raise _wrong(archive, f"member {shown}", f"a link, device or other special file (type {member.type!r})", "a regular file")
    if not _inside(member.name):
        raise _wrong(archive, f"member {shown}", "a name that leads elsewhere", "a name inside the archive")
    name = PurePosixPath(member.name).name
    if not names.fullmatch(name):
        raise _wrong(archive, f"member {shown}", "a name that was not expected", f"names like {names.pattern}")
    if member.size > _MEMBER_BYTES:
        raise _wrong(archive, f"member {shown} is too large", f"{member.size} bytes", f"at most {_MEMBER_BYTES}")
    try:
        tarfile.data_filter(member, str(draft))
    except tarfile.FilterError as error:
        raise _wrong(archive, f"member {shown}", error) from error
    return name


class _Source:
    """The content of a member, whole."""

    def __init__(self, content: Any, size: int) -> None:
        self._content, self._left = content, size

    def read(self) -> bytes:
        """Some of it; nothing at its end."""
        chunk: bytes = self._content.read(min(_CHUNK, self._left))
        if not chunk and self._left:
            raise _Broken(f"{self._left} bytes are missing at the end of a member")
        self._left -= len(chunk)
        return chunk


def _write(path: Path, source: _Source) -> None:
    with path.open("xb") as file:
        while chunk := source.read():
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())


class _Member(tarfile.TarInfo):
    """A header whose claims are checked before tarfile acts on them: it would read an extension of any size into memory, follow
    a negative size backwards, and build a sparse file's map."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        member = super().frombuf(buf, encoding, errors)
        if member.size < 0:
            raise tarfile.ReadError("a negative size")
        if member.type in _EXTENSIONS and member.size > _HEADER_BYTES:
            raise tarfile.ReadError(f"a header of {member.size} bytes")
        if member.type == tarfile.GNUTYPE_SPARSE:
            raise tarfile.ReadError("a sparse file")
        return member


class _Bounded(io.RawIOBase):
    """A stream that ends in a mistake after so many bytes, and tells the archive's errors from the disk's."""

    def __init__(self, packed: gzip.GzipFile, archive: Path, most: int) -> None:
        self._packed, self._archive, self._most, self._left = packed, archive, most, most

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            size = self._packed.readinto(buffer)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise _Broken(f"{type(error).__name__}: {error}") from error
        self._left -= size
        if self._left < 0:
            raise _wrong(self._archive, "unpacks to too much", f"over {self._most} bytes")
        return size
