"""The store: immutable directories of small files on a POSIX folder. An artifact is visible only when it is whole."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from rrgbench.errors import StoreError
from rrgbench.identity import file_digest
from rrgbench.store.lease import Lease, acquire

FORMAT = 1
DONE = "DONE"


class Done(BaseModel):
    """The last file of an artifact: what it is, and the digests of the other files."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    format: int
    id: str
    kind: str
    title: str
    license: str
    seconds: float
    files: dict[str, str]
    domain: dict[str, Any] | None = None
    provenance: dict[str, Any] = {}


class Failure(BaseModel):
    """Why a step failed, kept until it succeeds. ``mistake`` names the error class where the user can mend it."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: str
    kind: str
    title: str
    error: str
    mistake: str = ""
    traceback: str = ""


def sync_folder(folder: Path) -> None:
    """Make the folder's entries durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomically(path: Path, data: bytes) -> None:
    """Replace or create one file: it is never seen half-written.

    Raises:
        StoreError: the disk is full, or the folder cannot be written.
    """
    temporary = path.parent / f".{path.name}.{uuid.uuid4().hex}"
    with full_disk_is_an_error(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        sync_folder(path.parent)


def default_store() -> Path:
    """Where artifacts go when nobody says: $RRGBENCH_STORE, else ``store`` in the current folder."""
    return Path(os.environ.get("RRGBENCH_STORE") or "store")


@contextlib.contextmanager
def full_disk_is_an_error(path: Path) -> Iterator[None]:
    """Turn what a full or read-only disk raises into one line.

    Raises:
        StoreError: in place of OSError ENOSPC, EDQUOT, EROFS, EACCES, ENOTDIR.
    """
    try:
        yield
    except OSError as error:
        hints = {
            errno.ENOSPC: "the disk is full: free some space, then run the same command again",
            errno.EDQUOT: "the quota is used up: free some space, then run the same command again",
        }
        known = (*hints, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST)
        if error.errno in known:
            raise StoreError(f"cannot write {path}", got=error.strerror, hint=hints.get(error.errno or 0, "")) from error
        raise


class Store:
    """Artifacts, failures, scratch folders and leases below one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()

    def create(self) -> None:
        """Make the folders.

        Raises:
            StoreError: they cannot be made, or the store has another format.
        """
        marker = self.root / "FORMAT"
        with full_disk_is_an_error(self.root):
            for name in ("steps", "data", "rows", "failures", "leases", "scratch", "tmp"):
                (self.root / name).mkdir(parents=True, exist_ok=True)
            if not marker.exists():
                write_atomically(marker, f"{FORMAT}\n".encode())
        if marker.read_text().strip() != str(FORMAT):
            raise StoreError(f"{marker}", got=marker.read_text().strip(), expected=str(FORMAT), hint="use another --store")

    def artifact(self, step_id: str) -> Path:
        """Where the artifact of a step is, or would be."""
        return self.root / "steps" / step_id[:2] / step_id

    def is_done(self, step_id: str) -> bool:
        """Whether the artifact is there, whole."""
        return (self.artifact(step_id) / DONE).is_file()

    def done(self, step_id: str) -> Done:
        """What the artifact says of itself.

        Raises:
            StoreError: it is absent or unreadable.
        """
        return read_done(self.artifact(step_id))

    def publish(self, draft: Path, done: Done) -> None:
        """Make a draft folder the artifact of a step: digests, DONE, fsync, rename. A second publisher changes nothing.

        Raises:
            StoreError: the disk is full.
        """
        final = self.artifact(done.id)
        with full_disk_is_an_error(final):
            files = sorted(path for path in draft.rglob("*") if path.is_file())
            digests = {path.relative_to(draft).as_posix(): file_digest(path) for path in files}
            for path in files:
                with path.open("rb") as file:
                    os.fsync(file.fileno())
            write_atomically(draft / DONE, done.model_copy(update={"files": digests}).model_dump_json(indent=1).encode())
            final.parent.mkdir(parents=True, exist_ok=True)
            try:
                draft.rename(final)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST) or not self.is_done(done.id):
                    raise
                shutil.rmtree(draft, ignore_errors=True)
            sync_folder(final.parent)
        self.failure_path(done.id).unlink(missing_ok=True)
        shutil.rmtree(self.scratch(done.id), ignore_errors=True)

    @contextlib.contextmanager
    def draft(self, step_id: str) -> Iterator[Path]:
        """A new folder to write an artifact in; it is gone afterwards unless it was published.

        Raises:
            StoreError: it cannot be made.
        """
        folder = self.root / "tmp" / f"{step_id[:16]}-{uuid.uuid4().hex}"
        with full_disk_is_an_error(folder):
            folder.mkdir(parents=True)
        try:
            with full_disk_is_an_error(folder):
                yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def scratch(self, step_id: str) -> Path:
        """A folder for resuming inside a step; only the holder of its lease writes there."""
        return self.root / "scratch" / step_id

    def lease(self, step_id: str) -> Lease | None:
        """Claim a step, or None while somebody alive holds it."""
        with full_disk_is_an_error(self.root):
            (self.root / "leases").mkdir(parents=True, exist_ok=True)
            return acquire(self.root / "leases" / f"{step_id}.json")

    def failure_path(self, step_id: str) -> Path:
        """Where the failure of a step is kept."""
        return self.root / "failures" / f"{step_id}.json"

    def write_failure(self, failure: Failure) -> None:
        """Keep why a step failed."""
        write_atomically(self.failure_path(failure.id), failure.model_dump_json(indent=1).encode())

    def failure(self, step_id: str) -> Failure | None:
        """Why a step failed last, or None."""
        try:
            return Failure.model_validate_json(self.failure_path(step_id).read_bytes())
        except (OSError, ValidationError):
            return None


def read_done(folder: Path) -> Done:
    """The DONE of an artifact folder.

    Raises:
        StoreError: absent or unreadable.
    """
    try:
        return Done.model_validate_json((folder / DONE).read_bytes())
    except (OSError, ValidationError) as error:
        raise StoreError(f"{folder / DONE} cannot be read", hint="delete the folder; the step is made again") from error


def damaged_files(folder: Path) -> list[str]:
    """The files of an artifact that are missing or differ from their digests."""
    done = read_done(folder)
    return [name for name, wanted in done.files.items() if not (folder / name).is_file() or file_digest(folder / name) != wanted]


def read_json(path: Path) -> Any:
    """Plain data from a JSON file of the store.

    Raises:
        StoreError: absent or unreadable.
    """
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise StoreError(f"{path} cannot be read", got=error, hint="delete it; it is made again") from error


def write_json(path: Path, value: Mapping[str, Any] | list[Any]) -> None:
    """Plain data to a JSON file inside a draft; keys sorted, so that the bytes are stable."""
    path.write_text(json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


__all__ = [
    "Done",
    "Failure",
    "Lease",
    "Store",
    "damaged_files",
    "default_store",
    "read_done",
    "read_json",
    "write_atomically",
    "write_json",
]
