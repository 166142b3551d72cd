"""Steps in a few warm worker processes on this machine."""

from __future__ import annotations

import contextlib
import json
import os
import re
import selectors
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Annotated, Any, Literal

from pydantic import Field

from rrgbench import ConfigError, Event, worker_command

_CLOSE_SECONDS = 5.0


def _gpus() -> list[str]:
    """The GPUs that this process may use, without importing torch."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [part for part in visible.split(",") if part.strip() and part.strip() != "-1"]
    found = [path.name.removeprefix("nvidia") for path in Path("/dev").glob("nvidia[0-9]*")]
    return sorted((name for name in found if re.fullmatch("[0-9]+", name)), key=int)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Worker:
    """One process: a step at a time. Its pipe is read without blocking; what it prints goes to a file that an error can quote."""

    def __init__(self, threads: int, gpu: str | None) -> None:
        self.log = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the worker
        environment = os.environ | {"PYTHONHASHSEED": "0", "OMP_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "false"}
        environment |= {"RRGBENCH_NO_PLUGIN_COMMANDS": "1"}
        if gpu is not None:
            environment["CUDA_VISIBLE_DEVICES"] = gpu
        # A session of its own: Ctrl-C reaches the driver alone, which then closes its workers.
        self.process = subprocess.Popen(
            worker_command(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            env=environment,
            start_new_session=True,
        )
        assert self.process.stdin and self.process.stdout
        self.stdin: IO[bytes] = self.process.stdin
        self._pipe = self.process.stdout
        self.stdout = self._pipe.fileno()
        os.set_blocking(self.stdout, False)
        self.gpu = gpu
        self.step_id: str | None = None
        self._rest = b""

    def send(self, message: Mapping[str, Any]) -> None:
        self.step_id = str(message["step_id"])
        try:
            self.stdin.write(json.dumps(message).encode() + b"\n")
            self.stdin.flush()
        except BrokenPipeError:  # it died while idle: the end of its output says so
            pass

    def read(self) -> tuple[list[Event], bool]:
        """What it told since, and whether it is gone."""
        events: list[Event] = []
        while True:
            try:
                data = os.read(self.stdout, 1 << 16)
            except BlockingIOError:
                return events, False
            if not data:
                return events, True
            *lines, self._rest = (self._rest + data).split(b"\n")
            for line in lines:
                told = json.loads(line)
                if told["what"] not in ("progress", "epoch"):
                    self.step_id = None
                events.append(Event(told["what"], told["step_id"], told["payload"]))

    def last_words(self) -> str:
        self.log.seek(0, os.SEEK_END)
        self.log.seek(max(0, self.log.tell() - 2000))
        lines = self.log.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"

    def end(self) -> None:
        """Close its input, which ends it; kill it where that does not help."""
        with contextlib.suppress(BrokenPipeError):
            self.stdin.close()
        try:
            self.process.wait(_CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._pipe.close()
        self.log.close()


class Local:
    """Warm worker processes on this machine, one GPU each where there are GPUs.

    ``workers``: how many; by default one a GPU, else one a core. ``threads``: of each worker; they are part of the numerics,
    the number of workers is not. ``device``: ``auto`` takes cuda where there is one. ``ranks``: processes that train a
    step together, with a GPU each where there are GPUs; they are part of the numerics, too.
    """

    def __init__(
        self,
        *,
        workers: Annotated[int, Field(ge=1, le=256)] | None = None,
        threads: Annotated[int, Field(ge=1, le=1024)] = 1,
        device: Literal["auto", "cpu", "cuda"] = "auto",
        ranks: Annotated[int, Field(ge=1, le=256)] = 1,
    ) -> None:
        gpus = [] if device == "cpu" else _gpus()
        if gpus and len(gpus) < ranks:
            raise ConfigError("ranks", got=f"{ranks} on {len(gpus)} GPUs", expected="a GPU each", hint="fewer ranks")
        self.ranks = ranks
        self._gpus = [",".join(gpus[first : first + ranks]) for first in range(0, len(gpus) - ranks + 1, ranks)]
        self.slots = workers or len(self._gpus) or max(1, _cores() // (threads * ranks))
        self._threads, self._device = threads, device
        self._workers: list[_Worker] = []
        self._selector = selectors.DefaultSelector()

    def submit(self, step_id: str, request: Mapping[str, Any]) -> None:
        """Hand a step to an idle worker, or to a new one."""
        worker = next((worker for worker in self._workers if worker.step_id is None), None) or self._start()
        message = {"step_id": step_id, "request": request, "device": self._device, "threads": self._threads}
        worker.send(message | ({"ranks": self.ranks} if self.ranks > 1 else {}))

    def _start(self) -> _Worker:
        used = [worker.gpu for worker in self._workers]
        gpu = min(self._gpus, key=used.count) if self._gpus else None
        worker = _Worker(self._threads, gpu)
        self._workers.append(worker)
        self._selector.register(worker.stdout, selectors.EVENT_READ, worker)
        return worker

    def events(self, timeout: float) -> Iterator[Event]:
        """What the workers told; waits up to ``timeout`` seconds for the first."""
        for key, _ in self._selector.select(timeout):
            worker: _Worker = key.data
            told, gone = worker.read()
            yield from told
            if gone:
                self._selector.unregister(worker.stdout)
                self._workers.remove(worker)
                step_id, code, words = worker.step_id, worker.process.wait(), worker.last_words()
                worker.end()
                if step_id is not None:
                    yield Event("died", step_id, {"note": f"exit status {code}; its last words: {words}"})

    def close(self) -> None:
        """End every worker."""
        for worker in self._workers:
            self._selector.unregister(worker.stdout)
            worker.end()
        self._workers.clear()
        self._selector.close()
