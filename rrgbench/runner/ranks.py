"""Several processes that do one step together: the worker is rank 0, starts the others, and ends with a line where one dies.

The others are workers, too, warm from step to step. Their standard input is a pipe that this process holds: when it dies, they
end. They write nothing, so that a kill at any moment leaves no more behind than that of a worker alone.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rrgbench.errors import ConfigError, RankLost, RRGBenchError, collect
from rrgbench.interfaces import worker_command
from rrgbench.plan import Step

_WAIT_SECONDS = 5.0
"""How long a rank that others miss may take to be seen dead."""

_GRACE_SECONDS = 20.0
"""How long this process may go on without a rank that is dead: its messages fail at once with gloo, with NCCL they may not."""


def check_ranks(steps: Iterable[Step], ranks: int) -> None:
    """Every step that trains has batches for all ranks.

    Raises:
        ConfigError, ManyErrors: stage by stage, before anything runs.
    """
    stages = {stage["name"]: stage["recipe"] for step in steps if step.kind == "train" for stage in [step.payload["stage"].value]}
    errors = []
    for name, recipe in stages.items():
        if recipe["accumulate"] % ranks:
            one, several = recipe["batch_size"], "1 batch" if recipe["accumulate"] == 1 else f"{recipe['accumulate']} batches"
            got = f"{several} of {one} for {ranks} ranks"
            hint = f"set stages.{name}.global_batch to a multiple of {one * ranks}, or a smaller batch_size"
            errors.append(
                ConfigError(f"stages.{name}: a step of the optimiser", got=got, expected=f"a multiple of {ranks}", hint=hint)
            )
    collect(errors)


@dataclass(frozen=True)
class Meeting:
    """Where ranks find each other, and what returns when all are about to."""

    place: Path | None = None
    meet: Callable[[], None] = lambda: None


class _Rank:
    """One of the others: a process, and what it told since it was asked."""

    def __init__(self, rank: int, gpu: str | None) -> None:
        self.rank = rank
        self.log = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the rank
        environment = os.environ | ({"CUDA_VISIBLE_DEVICES": gpu} if gpu is not None else {})
        self.process = subprocess.Popen(
            worker_command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, env=environment
        )
        self._told: dict[str, Any] = {}
        self._gone = False
        self._changed = threading.Condition()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            message = json.loads(line)
            with self._changed:
                self._told[message["what"]] = message["payload"]
                self._changed.notify_all()
        with self._changed:
            self._gone = True
            self._changed.notify_all()

    def ask(self, message: Mapping[str, Any]) -> None:
        assert self.process.stdin is not None
        self._told.clear()
        with contextlib.suppress(BrokenPipeError):  # it died while idle: who waits for it is told
            self.process.stdin.write(json.dumps({**message, "rank": self.rank}).encode() + b"\n")
            self.process.stdin.flush()

    def wait(self, what: str, seconds: float | None = None) -> bool:
        """Whether it told this; False where it came to nothing, or the time is over."""
        with self._changed:
            self._changed.wait_for(lambda: what in self._told or self._over(), seconds)
            return what in self._told

    def _over(self) -> bool:
        return self._gone or not self._told.keys().isdisjoint({"failed", "lost"})

    @property
    def trouble(self) -> str:
        """What went wrong with it; empty where nothing did, or where it only lost another one."""
        with self._changed:
            if "lost" in self._told:
                return ""
            if "failed" in self._told:
                return f"failed: {self._told['failed']['error']}"
            if not self._gone:
                return ""
        code = self.process.wait()
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
        self.log.seek(0)
        lines = self.log.read()[-2000:].decode(errors="replace").strip().splitlines()
        return f"died: {how}" + (f"; its last words: {lines[-1]}" if lines else "")

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.log.close()


class Team:
    """The other ranks of a worker."""

    def __init__(self) -> None:
        self._ranks: list[_Rank] = []

    @contextlib.contextmanager
    def together(self, message: Mapping[str, Any], ranks: int, gpus: Sequence[str]) -> Iterator[Meeting]:
        """Have the others do the same step for as long as this lasts.

        ``gpus``: those that there are, for one each; empty on a CPU.

        Raises:
            ConfigError: there are not as many GPUs.
            RRGBenchError: a rank died or failed; in place of what that brought about here.
        """
        others = self._of(ranks, gpus)
        done = threading.Event()
        with tempfile.TemporaryDirectory(prefix="rrgbench-ranks-") as folder:
            place = Path(folder) / "meeting"
            for other in others:
                other.ask({**message, "meeting": str(place)})
            threading.Thread(target=_watch, args=(others, done), daemon=True).start()
            try:
                yield Meeting(place, lambda: _met(others))
            except BaseException as error:
                trouble = _trouble(others, _WAIT_SECONDS) if isinstance(error, RankLost) else ""
                self.end()
                if trouble:
                    raise RRGBenchError(trouble) from error
                raise
            else:
                # What there was to do together is done: one that ends badly now spoils nothing.
                if not all(other.wait("finished", _WAIT_SECONDS) for other in others):
                    self.end()
            finally:
                done.set()

    def _of(self, ranks: int, gpus: Sequence[str]) -> list[_Rank]:
        if gpus and len(gpus) < ranks:
            raise ConfigError("ranks", got=f"{ranks} on {len(gpus)} GPUs", expected="a GPU each", hint="fewer ranks")
        while len(self._ranks) < ranks - 1:
            rank = len(self._ranks) + 1
            self._ranks.append(_Rank(rank, gpus[rank] if gpus else None))
        return self._ranks[: ranks - 1]

    def end(self) -> None:
        """End all of them, at once."""
        for other in self._ranks:
            other.end()
        self._ranks.clear()


def _met(others: Sequence[_Rank]) -> None:
    for other in others:
        if not other.wait("ready"):
            raise RRGBenchError(_line(other, len(others)))


def _line(other: _Rank, count: int) -> str:
    return f"rank {other.rank} of {count + 1} {other.trouble}"


def _trouble(others: Sequence[_Rank], seconds: float) -> str:
    """A line about the first rank that is seen in trouble within some time; empty where none is."""
    last = time.monotonic() + seconds
    while time.monotonic() < last:
        for other in others:
            if other.trouble:
                return _line(other, len(others))
        time.sleep(0.05)
    return ""


def _watch(others: Sequence[_Rank], done: threading.Event) -> None:
    """End this process where it waits for a rank that is no more; what it says last is what the driver is told."""
    while not done.wait(0.5):
        if any(other.trouble for other in others):
            if done.wait(_GRACE_SECONDS):
                return
            sys.stderr.write(f"{next(_line(other, len(others)) for other in others if other.trouble)}\n")
            sys.stderr.flush()
            os._exit(1)
