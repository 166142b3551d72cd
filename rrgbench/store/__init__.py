"""The store: immutable directories of small files on a POSIX folder. An artifact is visible only when it is whole."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from rrgbench.errors import StoreError
from rrgbench.identity import file_digest
from rrgbench.store.lease import Lease, acquire, is_dead, process_name

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


def sync(path: Path) -> None:
    """Make a file's bytes or a folder's entries durable."""
    descriptor = os.open(path, os.O_RDONLY)
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
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
        sync(path.parent)


def default_store() -> Path:
    """Where artifacts go when nobody says: $RRGBENCH_STORE, else ``store`` in the current folder."""
    return Path(os.environ.get("RRGBENCH_STORE") or "store")


_FULL = {
    errno.ENOSPC: "the disk is full: free some space, then run the same command again",
    errno.EDQUOT: "the quota is used up: free some space, then run the same command again",
}


@contextlib.contextmanager
def full_disk_is_an_error(path: Path) -> Iterator[None]:
    """Turn what the system says of the store's own files into one line: a full disk, a read-only folder, a failing one.

    Raises:
        StoreError: in place of OSError.
    """
    try:
        yield
    except OSError as error:
        raise StoreError(f"cannot write {path}", got=error.strerror, hint=_FULL.get(error.errno or 0, "")) from error


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
        try:
            told = marker.read_bytes()[:80].decode("utf-8", "replace").strip()
        except OSError as error:
            raise StoreError(f"{marker} cannot be read", got=error.strerror, hint="use another --store") from error
        if told != str(FORMAT):
            raise StoreError(f"{marker}", got=told, expected=str(FORMAT), hint="use another --store")

    def artifact(self, step_id: str) -> Path:
        """Where the artifact of a step is, or would be."""
        return self.root / "steps" / step_id[:2] / step_id

    def is_done(self, step_id: str) -> bool:
        """Whether the artifact is there, whole.

        Raises:
            StoreError: the store may not be read.
        """
        path = self.artifact(step_id) / DONE
        try:
            return path.is_file()
        except OSError as error:
            raise StoreError(f"{path} cannot be read", got=error.strerror) from error

    def done(self, step_id: str) -> Done:
        """What the artifact says of itself.

        Raises:
            StoreError: it is absent or unreadable.
        """
        return read_done(self.artifact(step_id))

    def whole(self, step_id: str) -> Path:
        """The artifact's folder, its files compared with their digests: what a step reads is what another wrote.

        Raises:
            StoreError: it is absent, or damaged.
        """
        folder = self.artifact(step_id)
        damaged = damaged_files(folder)
        if damaged:
            got = f"{', '.join(damaged[:3])} not as written" + (f", and {len(damaged) - 3} more" if damaged[3:] else "")
            raise StoreError(f"{folder} is damaged", got=got, hint=_made_again(folder))
        return folder

    def publish(self, draft: Path, done: Done) -> None:
        """Make a draft folder the artifact of a step: digests, DONE, fsync, rename. A second publisher changes nothing.

        Raises:
            StoreError: the disk is full.
        """
        final = self.artifact(done.id)
        with full_disk_is_an_error(final):
            folders, files = _inside(draft)
            digests = {path.relative_to(draft).as_posix(): file_digest(path) for path in files}
            for path in (*files, *folders):
                sync(path)
            write_atomically(draft / DONE, done.model_copy(update={"files": digests}).model_dump_json(indent=1).encode())
            if not final.parent.is_dir():
                final.parent.mkdir(parents=True, exist_ok=True)
                sync(final.parent.parent)
            self._move_in(draft, final)
            sync(final.parent)
        with contextlib.suppress(OSError):  # the artifact is there; what is left of earlier trials is in nobody's way
            self.failure_path(done.id).unlink(missing_ok=True)
        shutil.rmtree(self.scratch(done.id), ignore_errors=True)

    def _move_in(self, draft: Path, final: Path) -> None:
        try:
            draft.rename(final)
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        if (final / DONE).is_file():
            shutil.rmtree(draft, ignore_errors=True)
            return
        # What stands there has lost its DONE: it is no artifact any more.
        aside = self.root / "tmp" / f"broken-{uuid.uuid4().hex}"
        final.rename(aside)
        draft.rename(final)
        shutil.rmtree(aside, ignore_errors=True)

    @contextlib.contextmanager
    def draft(self, step_id: str) -> Iterator[Path]:
        """A new folder to write an artifact in; it is gone afterwards unless it was published.

        Drafts of the same step that dead processes of this host left behind go first.

        Raises:
            StoreError: it cannot be made, or the disk is full.
        """
        folder = self.root / "tmp" / f"{step_id[:16]}-{process_name()}-{uuid.uuid4().hex}"
        with full_disk_is_an_error(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
            for left in folder.parent.glob(f"{step_id[:16]}-*"):
                if is_dead(left.name.split("-")[1]):
                    shutil.rmtree(left, ignore_errors=True)
            folder.mkdir()
        try:
            yield folder
        except OSError as error:  # a plugin's own files are no business of the store
            if error.errno not in _FULL:
                raise
            what = f"cannot write {error.filename or folder}"
            raise StoreError(what, got=error.strerror, hint=_FULL[error.errno]) from error
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


def _made_again(folder: Path) -> str:
    return f"delete the folder {folder} and run the same command again: the step is done anew"


def _inside(folder: Path) -> tuple[list[Path], list[Path]]:
    """Every folder and every file below a folder; unlike ``rglob``, a folder that cannot be read is an error."""

    def refuse(error: OSError) -> None:
        raise error

    found = [(Path(place), names) for place, _, names in os.walk(folder, onerror=refuse)]
    return [place for place, _ in found], sorted(place / name for place, names in found for name in names)


def read_done(folder: Path) -> Done:
    """The DONE of an artifact folder.

    Raises:
        StoreError: absent or unreadable.
    """
    try:
        return Done.model_validate_json((folder / DONE).read_bytes())
    except (OSError, ValidationError) as error:
        raise StoreError(f"{folder / DONE} cannot be read", hint=_made_again(folder)) from error


@cache
def _digest(path: Path, size: int, changed: int, node: int) -> str:
    """A file's digest, made once for as long as the file is as it was: a warm process reads the same films many times."""
    return file_digest(path)


def damaged_files(folder: Path) -> list[str]:
    """The files of an artifact that are missing or differ from their digests.

    Raises:
        StoreError: it has no DONE, or an unreadable one.
    """
    damaged = []
    for name, wanted in read_done(folder).files.items():
        try:
            status = (folder / name).stat()
            if _digest(folder / name, status.st_size, status.st_mtime_ns, status.st_ino) != wanted:
                damaged.append(name)
        except OSError:
            damaged.append(name)
    return damaged


def read_json(path: Path) -> Any:
    """Plain data from a JSON file of an artifact.

    Raises:
        StoreError: absent or unreadable.
    """
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise StoreError(f"{path} cannot be read", got=error, hint=_made_again(path.parent)) from error


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
