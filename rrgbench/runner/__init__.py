"""The runner: a plan and an executor to artifacts and rows. What is done is never done again; what fails, fails alone."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rrgbench.catalogue import Catalogue
from rrgbench.catalogue.building import build
from rrgbench.errors import ConfigError
from rrgbench.experiment import Experiment
from rrgbench.interfaces import Event, Executor
from rrgbench.plan import Plan, Step, make_plan
from rrgbench.row import Row, make_row, write_row
from rrgbench.runner.events import Hooks, Listener, Silent, told_step
from rrgbench.runner.ranks import check_ranks
from rrgbench.runs import keep_runs
from rrgbench.store import Failure, Store, default_store

_BUSY_SECONDS = 1.0
_DEATHS = 2
"""How often a worker may die over a step before the step has failed."""


@dataclass
class RunResult:
    """What a run came to."""

    plan: Plan
    rows: list[Row] = field(default_factory=list)
    executed: Counter[str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)
    blocked: list[str] = field(default_factory=list)
    seconds: float = 0.0


class _Run:
    """The state of one run: which steps are waiting, running, done, failed."""

    def __init__(
        self,
        plan: Plan,
        store: Store,
        executor: Executor,
        hooks: Hooks,
        listener: Listener,
        fail_fast: bool,
        targets: Iterable[str] | None = None,
    ) -> None:
        self.plan, self.store, self.executor, self.hooks, self.listener = plan, store, executor, hooks, listener
        self.fail_fast = fail_fast
        self.result = RunResult(plan)
        self.waiting = wanted_steps(plan, store, targets)
        self.running: dict[str, Step] = {}
        self.failed: set[str] = set()
        self.not_before: dict[str, float] = {}
        self.deaths: Counter[str] = Counter()
        self.rows = list(plan.rows)
        self.stopped = False

    def go(self) -> RunResult:
        self.listener.planned(len(self.plan.steps), len(self.plan.steps) - len(self.waiting))
        self.finish_rows()
        while self.running or (self.waiting and not self.stopped):
            self.start_ready()
            if not self.running and not any(self.ready()):
                if not self.not_before:
                    break
                time.sleep(_BUSY_SECONDS / 5)
                continue
            for event in self.executor.events(0.2):
                self.hear(event)
        self.finish_rows(last=True)
        self.tidy()
        self.result.blocked = sorted(self.waiting)
        return self.result

    def tidy(self) -> None:
        """Take away the leases of steps whose worker died after it had published and before it could let go."""
        for path in (self.store.root / "leases").glob("*.json"):
            if path.stem in self.plan.steps and self.store.is_done(path.stem) and (lease := self.store.lease(path.stem)):
                with lease:
                    pass

    def ready(self) -> Iterator[Step]:
        """Steps whose upstream is there and which nobody else holds."""
        now = time.monotonic()
        for step_id, step in self.waiting.items():
            due = self.not_before.get(step_id, 0.0) <= now
            if due and not step.needed & self.failed and not any(up in self.waiting or up in self.running for up in step.needed):
                yield step

    def start_ready(self) -> None:
        free = self.executor.slots - len(self.running)
        if free <= 0 or self.stopped:
            return
        for step in [step for step, _ in zip(self.ready(), range(free), strict=False)]:
            self.not_before.pop(step.id, None)
            self.running[step.id] = self.waiting.pop(step.id)
            self.executor.submit(step.id, step.request() | {"store": str(self.store.root)})
            self.listener.started(step)
            self.hooks.tell("rrgbench_step_started", step=told_step(step))

    def hear(self, event: Event) -> None:
        step = self.running.get(event.step_id)
        if step is None:
            return
        payload = event.payload
        if event.what == "progress":
            self.listener.progressed(step, int(payload["done"]), int(payload["total"]), str(payload["note"]))
        elif event.what == "epoch":
            self.hooks.tell("rrgbench_epoch_finished", step=told_step(step), epoch=payload["epoch"], scores=payload["scores"])
        elif event.what == "busy":
            self.again(step, _BUSY_SECONDS)
        elif event.what == "died" and self.deaths[step.id] + 1 < _DEATHS:
            self.deaths[step.id] += 1
            self.again(step, 0.0)
        else:
            self.end(step, event)

    def again(self, step: Step, seconds: float) -> None:
        """Put a step back; it is tried again later."""
        del self.running[step.id]
        self.waiting[step.id] = step
        self.not_before[step.id] = time.monotonic() + seconds

    def end(self, step: Step, event: Event) -> None:
        del self.running[step.id]
        if event.what == "finished":
            self.result.executed[step.kind] += 1
            self.listener.finished(step, "done", "")
            self.hooks.tell("rrgbench_step_finished", step=told_step(step), result="done")
            if step.kind in ("intervals", "auroc"):  # what rows are made of
                self.finish_rows()
            return
        died = event.what == "died"
        error = f"the worker died {_DEATHS} times: {event.payload.get('note', '')}" if died else str(event.payload["error"])
        failure = Failure(
            id=step.id,
            kind=step.kind,
            title=step.title,
            error=error,
            mistake="" if died else str(event.payload["mistake"]),
            traceback="" if died else str(event.payload["traceback"]),
        )
        self.failed.add(step.id)
        self.result.failures.append(failure)
        self.stopped = self.stopped or self.fail_fast or failure.mistake == "StoreError"
        self.listener.finished(step, "died" if died else "failed", error)
        self.hooks.tell("rrgbench_step_finished", step=told_step(step), result="died" if died else "failed")
        if died:
            self.store.write_failure(failure)
        self.block()

    def block(self) -> None:
        """Steps behind a failed one cannot run; they count as failed for those behind them."""
        found = True
        while found:
            found = False
            for step_id, step in self.waiting.items():
                if step_id not in self.failed and step.needed & self.failed:
                    self.failed.add(step_id)
                    found = True

    def finish_rows(self, last: bool = False) -> None:
        """Write the rows whose last interval has come, and their floors'; at the end, without floors that failed."""
        for row_plan in list(self.rows):
            floors = [] if last else [step_id for intervals in row_plan.floors.values() for step_id in intervals.values()]
            if all(self.store.is_done(step_id) for step_id in (*row_plan.wanted, *floors)):
                self.rows.remove(row_plan)
                row = make_row(self.plan, row_plan, self.store)
                keep_runs(self.store, self.plan, row_plan)
                if write_row(self.store, row):
                    self.hooks.tell("rrgbench_row_written", row=row.model_dump(mode="json"))
                self.result.rows.append(row)


def wanted_steps(plan: Plan, store: Store, targets: Iterable[str] | None = None) -> dict[str, Step]:
    """The steps that are not done and that a row rests on; what only a done step would need is not wanted. In plan order.

    ``targets``: the steps that are asked for in place of rows.
    """
    wanted: set[str] = set()
    waiting = list(targets) if targets is not None else [step_id for row in plan.rows for step_id in row.wanted]
    while waiting:
        step_id = waiting.pop()
        if step_id not in wanted and not store.is_done(step_id):
            wanted.add(step_id)
            waiting += plan.steps[step_id].needed
    return {step_id: step for step_id, step in plan.steps.items() if step_id in wanted}


def make_executor(catalogue: Catalogue, value: Any) -> Executor:
    """The executor of that name and options.

    Raises:
        ConfigError, PluginError: no such executor.
    """

    def no_values(name: str) -> Any:
        raise ConfigError(f"an executor cannot ask for {name}")

    executor: Executor = build(catalogue.resolve("executors", value, "--executor").request(), no_values)
    return executor


def run_plan(
    plan: Plan,
    store: Store,
    executor: Executor,
    catalogue: Catalogue,
    listener: Listener | None = None,
    *,
    fail_fast: bool = False,
) -> RunResult:
    """Run what a plan still wants, and write its rows.

    Raises:
        ConfigError, ManyErrors: a stage has no batches for all ranks of the executor.
        StoreError: the store cannot be written.
    """
    began = time.perf_counter()
    try:
        check_ranks(wanted_steps(plan, store).values(), getattr(executor, "ranks", 1))
        result = _Run(plan, store, executor, Hooks(catalogue), listener or Silent(), fail_fast).go()
    finally:
        executor.close()
    result.seconds = time.perf_counter() - began
    return result


def run_steps(
    plan: Plan, targets: Collection[str], store: Store, executor: Executor, catalogue: Catalogue, listener: Listener | None = None
) -> RunResult:
    """Run some steps of a plan and what they rest on, ending at the first failure. The executor stays open, its workers warm.

    Raises:
        ConfigError, ManyErrors: a stage has no batches for all ranks of the executor.
        StoreError: the store cannot be written.
    """
    began = time.perf_counter()
    check_ranks(wanted_steps(plan, store, targets).values(), getattr(executor, "ranks", 1))
    result = _Run(plan, store, executor, Hooks(catalogue), listener or Silent(), True, targets).go()
    result.seconds = time.perf_counter() - began
    return result


def run(
    experiment: Experiment | str | Path,
    *,
    overrides: Sequence[str] = (),
    profile: str | None = None,
    store: str | Path | None = None,
    executor: Any = "local",
    listener: Listener | None = None,
    fail_fast: bool = False,
) -> RunResult:
    """Run an experiment: plan it, run every step that is not done yet, write the rows.

    Args:
        experiment: an experiment, or the path of its file.
        overrides: ``dotted.path=value`` for a path.
        profile: one of the file's ``profiles``, for a path.
        store: the folder of artifacts and rows; None takes $RRGBENCH_STORE, else ``./store``.
        executor: a name or a mapping with ``name`` and options.
        listener: told of the run as it goes.
        fail_fast: begin nothing new after a failure.

    Raises:
        RRGBenchError: the user's mistakes, before anything runs. What fails later is in the result.
    """
    catalogue = Catalogue.load()
    if not isinstance(experiment, Experiment):
        experiment = Experiment.load(experiment, overrides, profile)
    place = Store(Path(store) if store is not None else default_store())
    place.create()
    plan = make_plan(experiment.resolve(catalogue), place)
    return run_plan(plan, place, make_executor(catalogue, executor), catalogue, listener, fail_fast=fail_fast)


__all__ = ["RunResult", "make_executor", "run", "run_plan", "run_steps", "wanted_steps"]
