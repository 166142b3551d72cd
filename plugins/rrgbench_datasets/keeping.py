"""Films that a data set makes, on disk: PNG files with the same bytes everywhere, complete or absent."""

from __future__ import annotations

import hashlib
import json
import os
import struct
import tempfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy
from numpy.typing import NDArray

from rrgbench import DataError

Film = NDArray[numpy.uint8]
"""Grey, (height, width)."""

LEDGER = "films.json"
"""File name -> SHA-256 of every film of a folder, written when all of them are there."""


def png(grey: Film) -> bytes:
    """A greyscale PNG of (height, width) uint8, in stored blocks: a compressor's bytes change with its version."""
    height, width = grey.shape
    rows = b"".join(b"\0" + row.tobytes() for row in grey)
    blocks = [rows[start : start + 65535] for start in range(0, len(rows), 65535)]
    stored = b"".join(
        struct.pack("<BHH", index == len(blocks) - 1, len(block), 65535 - len(block)) + block
        for index, block in enumerate(blocks)
    )
    data = b"\x78\x01" + stored + struct.pack(">I", zlib.adler32(rows))
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def keep(folder: Path, films: Mapping[str, Callable[[], Film]], owner: str, ledger: str = LEDGER) -> None:
    """See that ``folder`` holds every film: those that are missing or damaged are made, the others are left alone.

    Any number of processes may do so at once: each film is written beside its place and moved there, and all write the
    same bytes. Sets of films that share a folder need ledgers of their own, and names that say what is in a film.

    Raises:
        DataError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        known = _ledger(folder / ledger)
        digests: dict[str, str] = {}
        for name, draw in films.items():
            digests[name] = _digest(folder / name)
            if not digests[name] or digests[name] != known.get(name):
                content = png(draw())
                digests[name] = hashlib.sha256(content).hexdigest()
                _write(folder / name, content)
        if digests != known:
            _write(folder / ledger, json.dumps(digests, indent=0, sort_keys=True).encode())
    except OSError as error:
        raise DataError(
            f"data set {owner}: {error.filename or folder} cannot be written",
            got=error.strerror or error,
            hint="free the place or name another folder",
        ) from error


def _ledger(path: Path) -> Mapping[str, object]:
    """What the ledger says; nothing where it is absent or not readable as one."""
    try:
        known = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError:
        return ""


def _write(path: Path, content: bytes) -> None:
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
