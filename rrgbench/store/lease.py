"""Leases: who works on a step. An O_EXCL file with host, pid, boot id and a counter that a thread keeps moving.

A lease is stale when its counter has not moved on the *observer's* monotonic clock (clocks of hosts differ), or at once when it
is of this host and this boot and its process is gone. It is renamed before it is stolen, so that one thief wins.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
import uuid
from functools import cache
from pathlib import Path
from typing import Any

BEAT_SECONDS = 2.0
STALE_SECONDS = 30.0

_seen: dict[Path, tuple[tuple[str, int], float]] = {}
"""What this process saw of other leases: token and counter, and when it saw them first."""


@cache
def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _started(pid: int) -> str:
    """When a process started, in clock ticks since boot, so that a pid used again is not taken for the old one."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def _alive(holder: dict[str, Any]) -> bool:
    """Whether a process of this host still runs."""
    pid = int(holder["pid"])
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return not holder["started"] or _started(pid) == holder["started"]


class Lease:
    """A held lease; a thread moves its counter until it is released. ``lost`` turns True if somebody took it."""

    def __init__(self, path: Path, token: str) -> None:
        self.path, self.token, self.lost = path, token, False
        self._counter = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._thread.start()

    def _beat(self) -> None:
        while not self._stop.wait(BEAT_SECONDS):
            holder = _read(self.path)
            if holder is None or holder["token"] != self.token:
                self.lost = True
                return
            self._counter += 1
            temporary = self.path.with_name(f".{self.token}")
            with contextlib.suppress(OSError):  # a full disk may cost a beat, not the step
                temporary.write_text(_content(self.token, self._counter))
                temporary.replace(self.path)

    def release(self) -> None:
        """Give the lease back."""
        self._stop.set()
        self._thread.join()
        holder = _read(self.path)
        if holder is not None and holder["token"] == self.token:
            self.path.unlink(missing_ok=True)

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def _content(token: str, counter: int) -> str:
    pid = os.getpid()
    holder = {"host": socket.gethostname(), "boot": _boot_id(), "pid": pid, "started": _started(pid), "token": token}
    return json.dumps(holder | {"counter": counter})


def _read(path: Path) -> dict[str, Any] | None:
    """The holder, or None where nobody is or the file is not whole yet."""
    try:
        holder = json.loads(path.read_text())
        return holder if {"host", "boot", "pid", "started", "token", "counter"} <= set(holder) else None
    except (OSError, ValueError, TypeError):
        return None


def _is_stale(path: Path, holder: dict[str, Any] | None) -> bool:
    here = (socket.gethostname(), _boot_id())
    if holder is not None and (holder["host"], holder["boot"]) == here and not _alive(holder):
        return True
    state = (str(holder["token"]), int(holder["counter"])) if holder else ("", 0)
    now = time.monotonic()
    known, since = _seen.get(path, (None, now))
    if known != state:
        _seen[path] = (state, now)
        return False
    return now - since > STALE_SECONDS


def acquire(path: Path) -> Lease | None:
    """Claim the lease at a path, or None while somebody alive holds it."""
    token = uuid.uuid4().hex
    for _ in range(2):
        try:
            descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        except FileExistsError:
            holder = _read(path)
            if not _is_stale(path, holder) or not _steal(path, holder):
                return None
            continue
        with os.fdopen(descriptor, "w") as file:
            file.write(_content(token, 0))
        _seen.pop(path, None)
        return Lease(path, token)
    return None


def _steal(path: Path, holder: dict[str, Any] | None) -> bool:
    """Move a stale lease away. If what was moved is not what was judged, somebody was faster: put it back."""
    taken = path.with_name(f".stale-{uuid.uuid4().hex}")
    try:
        path.rename(taken)
    except FileNotFoundError:
        return True
    moved = _read(taken)
    if (moved or {}).get("token") != (holder or {}).get("token"):
        with contextlib.suppress(FileExistsError):
            os.link(taken, path)
        taken.unlink(missing_ok=True)
        return False
    taken.unlink(missing_ok=True)
    return True
