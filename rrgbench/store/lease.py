"""Leases: who works on a step. An O_EXCL file with host, pid, boot id and a counter that a thread keeps moving.

A lease is stale when its counter has not moved on the *observer's* monotonic clock (clocks of hosts differ), or at once when it
is of this host and this boot and its process is gone. It is renamed before it is stolen, so that one thief wins.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

BEAT_SECONDS = 2.0
STALE_SECONDS = 30.0
_LOCK_SECONDS = 2.0

_FIELDS = {"host": str, "boot": str, "pid": int, "started": str, "token": str, "counter": int}

_seen: dict[Path, tuple[tuple[str, int], float]] = {}
"""What this process saw of other leases: token and counter, and when it saw them first."""


@cache
def _boot_id() -> str:
    """This boot, and the namespace in which process ids mean something: containers of one host share the former only."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def _state(pid: int) -> tuple[str, str]:
    """A process's state letter, and when it started in clock ticks since boot; empty where the system does not tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return fields[0], fields[19]
    except (OSError, IndexError):
        return "", ""


def is_alive(pid: int, started: str) -> bool:
    """Whether a process of this host still runs: not a zombie, and not a later one to which the pid was given again."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    state, there = _state(pid)
    return state not in ("Z", "X") and (not started or there == started)


def process_name() -> str:
    """This process among all of all hosts, as part of a file name; ``is_dead`` reads it."""
    pid = os.getpid()
    return f"{_here()}.{pid}.{_state(pid)[1]}"


def is_dead(name: str) -> bool:
    """Whether a process is known to be gone: it was of this host and this boot, and does not run."""
    here, _, rest = name.partition(".")
    pid, _, started = rest.partition(".")
    return here == _here() and pid.isdecimal() and not is_alive(int(pid), started)


def _here() -> str:
    return hashlib.sha256(f"{socket.gethostname()} {_boot_id()}".encode()).hexdigest()[:8]


class Lease:
    """A held lease; a thread moves its counter until it is released. ``lost`` turns True if somebody took it."""

    def __init__(self, path: Path, token: str, descriptor: int) -> None:
        self.path, self.token, self.lost = path, token, False
        self._descriptor = descriptor
        self._counter = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._thread.start()

    def _is_ours(self) -> bool:
        """Whether the file under the lease's name is the one that this process made."""
        try:
            same_file = os.path.samestat(self.path.stat(), os.fstat(self._descriptor))
        except OSError:
            return False
        return same_file and _same(_read(self.path), {"token": self.token})

    def _beat(self) -> None:
        while not self._stop.wait(BEAT_SECONDS):
            if not self._is_ours():
                self.lost = True
                return
            self._counter += 1
            with contextlib.suppress(OSError):  # a full disk may cost a beat, not the step
                # Into the file that is open: if a thief was faster, it is his no more than ours.
                _write(self._descriptor, self.token, self._counter)

    def release(self) -> None:
        """Give the lease back."""
        if self._stop.is_set():
            return
        self._stop.set()
        self._thread.join()
        with _alone(self.path.parent), contextlib.suppress(OSError):
            if self._is_ours():
                self.path.unlink()
        os.close(self._descriptor)

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def _write(descriptor: int, token: str, counter: int) -> None:
    pid = os.getpid()
    holder = {"host": socket.gethostname(), "boot": _boot_id(), "pid": pid, "started": _state(pid)[1], "token": token}
    os.pwrite(descriptor, json.dumps(holder | {"counter": counter}).encode(), 0)  # never shorter than before
    os.fsync(descriptor)


def _read(path: Path) -> dict[str, Any] | None:
    """The holder, or None where nobody is. What is not whole is a holder of its own, until it changes."""
    try:
        status = path.stat()
        raw = path.read_bytes()
    except OSError:
        return None
    try:
        holder = json.loads(raw)
        if all(type(holder[name]) is kind for name, kind in _FIELDS.items()):
            return dict(holder)
    except (ValueError, TypeError, KeyError):
        pass
    torn = f"torn {status.st_ino} {status.st_mtime_ns}"
    return {"host": "", "boot": "", "pid": 0, "started": "", "token": torn, "counter": 0}


def _is_stale(path: Path, holder: dict[str, Any]) -> bool:
    here = (socket.gethostname(), _boot_id())
    if (holder["host"], holder["boot"]) == here and not is_alive(holder["pid"], holder["started"]):
        return True
    state = (holder["token"], holder["counter"])
    now = time.monotonic()
    known, since = _seen.get(path, (None, now))
    if known != state:
        _seen[path] = (state, now)
        return False
    return now - since > STALE_SECONDS


def acquire(path: Path) -> Lease | None:
    """Claim the lease at a path, or None while somebody alive holds it.

    Raises:
        OSError: the lease cannot be written; nothing is left of it.
    """
    token = uuid.uuid4().hex
    for _ in range(2):
        try:
            descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o644)
        except FileExistsError:
            holder = _read(path)
            if holder is not None and not (_is_stale(path, holder) and _steal(path, holder)):
                return None
            continue
        try:
            _write(descriptor, token, 0)
        except OSError:
            os.close(descriptor)
            path.unlink(missing_ok=True)
            raise
        _seen.pop(path, None)
        return Lease(path, token, descriptor)
    return None


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """As the only one on this folder who steals or gives back, where the file system has such locks; else after a while."""
    descriptor = os.open(folder, os.O_RDONLY)
    deadline = time.monotonic() + _LOCK_SECONDS
    try:
        while time.monotonic() < deadline:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(0.005)
            except OSError:  # no locks here
                break
        yield
    finally:
        os.close(descriptor)


def _steal(path: Path, holder: dict[str, Any]) -> bool:
    """Move a stale lease away; whether its name is free now.

    If what stands there is not what was judged, somebody was faster. Where there are no locks, that may show only after the
    move: then it is put back.
    """
    taken = path.with_name(f".stale-{uuid.uuid4().hex}")
    with _alone(path.parent):
        if not _same(_read(path), holder):
            return not path.exists()
        try:
            path.rename(taken)
        except FileNotFoundError:
            return True
        if not _same(_read(taken), holder):
            with contextlib.suppress(FileExistsError):
                os.link(taken, path)
            taken.unlink(missing_ok=True)
            return False
        taken.unlink(missing_ok=True)
    return True


def _same(one: dict[str, Any] | None, other: dict[str, Any]) -> bool:
    return one is not None and one["token"] == other["token"]
