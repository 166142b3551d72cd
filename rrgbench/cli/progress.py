"""How a run is shown: bars on a terminal, a line a finished step elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from rrgbench.plan import Step
from rrgbench.runner.events import Listener, Silent


class Bars:
    """One bar for the whole run and one a running step."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._all: TaskID | None = None
        self._tasks: dict[str, TaskID] = {}

    def planned(self, steps: int, done: int) -> None:
        """Begin the bar of the whole run."""
        self._all = self._progress.add_task("all steps", total=steps, completed=done)

    def started(self, step: Step) -> None:
        """Begin a step's bar."""
        if step.id not in self._tasks:
            self._tasks[step.id] = self._progress.add_task(step.title[:70], total=None)

    def progressed(self, step: Step, done: int, total: int, note: str) -> None:
        """Move a step's bar."""
        if step.id in self._tasks:
            self._progress.update(self._tasks[step.id], completed=done, total=total, description=f"{step.title[:60]} {note[:40]}")

    def finished(self, step: Step, result: str, error: str) -> None:
        """End a step's bar."""
        if step.id in self._tasks:
            self._progress.remove_task(self._tasks.pop(step.id))
        if self._all is not None:
            self._progress.advance(self._all)
        if error:
            self._progress.console.print(f"{result}: {step.title}: {error}", markup=False, highlight=False, style="red")


class Lines:
    """A line a finished step that took time, for logs."""

    def __init__(self) -> None:
        self._began: dict[str, float] = {}
        self._steps = self._done = 0

    def planned(self, steps: int, done: int) -> None:
        """Say how much there is."""
        self._steps, self._done = steps, done
        sys.stderr.write(f"{steps} steps, {done} of them done already\n")

    def started(self, step: Step) -> None:
        """Remember when."""
        self._began[step.id] = time.monotonic()

    def progressed(self, step: Step, done: int, total: int, note: str) -> None:
        """Nothing: a log is no place for bars."""

    def finished(self, step: Step, result: str, error: str) -> None:
        """Say what ended, how, and how long it took."""
        self._done += 1
        seconds = time.monotonic() - self._began.pop(step.id, time.monotonic())
        if error or seconds >= 1.0:
            told = f": {error}" if error else ""
            sys.stderr.write(f"[{self._done}/{self._steps}] {result}: {step.title} ({seconds:.1f} s){told}\n")
            sys.stderr.flush()


@contextlib.contextmanager
def make_listener(quiet: bool) -> Iterator[Listener]:
    """The display that suits standard error; none where only JSON is asked for."""
    if quiet:
        yield Silent()
        return
    console = Console(stderr=True)
    if not console.is_terminal:
        yield Lines()
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        yield Bars(progress)
