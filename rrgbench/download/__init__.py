"""Public files of data sets, fetched from where they are published: whole or not at all, and safely unpacked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rrgbench.download.fetching import Fetched, Progress, fetch
from rrgbench.download.unpacking import unpack
from rrgbench.errors import DataError
from rrgbench.types import Download

__all__ = ["Fetched", "Obtained", "Progress", "obtain"]


@dataclass(frozen=True)
class Obtained:
    """One file of a data set, as it is now. ``sha256`` is what was seen; None where it was there already, unpacked."""

    name: str
    path: Path
    sha256: str | None
    bytes: int | None
    files: int | None
    was_there: bool


def obtain(
    downloads: Sequence[Download],
    folder: Path,
    progress: Progress,
    *,
    base: str | None = None,
    resume: bool = True,
    keep_archives: bool = False,
) -> list[Obtained]:
    """Fetch and unpack what is not there yet.

    Args:
        downloads: what to fetch.
        folder: where to; it is made.
        progress: told what is done.
        base: another address than the official one: ``<base>/<name>``.
        resume: go on with what an earlier call left.
        keep_archives: do not delete an archive that was unpacked.

    Raises:
        DataError: a file cannot be had as it should be.
        StoreError: the folder cannot be written, or the disk is full.
    """
    done = []
    for item in downloads:
        if item.folder is not None and (folder / item.folder).is_dir():
            count = sum(1 for _ in (folder / item.folder).iterdir())
            if not count:
                raise DataError(f"{folder / item.folder} is there and empty", hint="remove it, and run the same command again")
            done.append(Obtained(item.name, folder / item.folder, None, None, count, was_there=True))
            continue
        fetched = fetch(item, folder, progress, base=base, resume=resume)
        if item.folder is None:
            done.append(Obtained(item.name, fetched.path, fetched.sha256, fetched.bytes, None, fetched.was_there))
            continue
        count = unpack(fetched.path, folder / item.folder, item.members, progress)
        if not keep_archives:
            fetched.path.unlink()
        done.append(Obtained(item.name, folder / item.folder, fetched.sha256, fetched.bytes, count, was_there=False))
    return done
