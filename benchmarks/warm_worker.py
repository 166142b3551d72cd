"""What keeping a worker warm is worth: some tiny steps by one process against a fresh process for each.

Steps that score need no torch, steps of floors do (a floor may look at films): the price of a fresh process is mostly its
imports. Both sides must leave the same files.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from functools import partial

from measuring import Comparison, Second, Side
from world import World, run_here, tiny_experiment

from rrgbench import worker_command
from rrgbench.plan import Step
from rrgbench.store import Store


def comparisons(world: World) -> Iterator[Comparison]:
    """Six steps that score and two floors (only three that score where it has to be quick)."""
    store = world.store("warm")
    wanted = {"score": 3} if world.quick else {"score": 6, "floor": 2}
    plan = world.plan(tiny_experiment(seeds=list(range(wanted["score"]))), store)
    run_here(plan, store, frozenset({"floor"}))
    for kind, count in wanted.items():
        ready = [step for step in plan.steps.values() if all(store.is_done(needed) for needed in step.needed)]
        steps = [step for step in ready if step.kind == kind][:count]
        warm = Side("one warm process", partial(_serve, store, steps), partial(_forget, store, steps))
        fresh = Side("a process each", partial(_serve_apart, store, steps), partial(_forget, store, steps))
        title = f"workers: {len(steps)} {kind} steps"
        yield Comparison(warm, [Second(title, fresh, lambda one, other: one == other)], rounds=2 if world.quick else 3)


def _serve(store: Store, steps: Sequence[Step]) -> list[tuple[str, str]]:
    """Have one new worker do these steps, one after the other; the files that they left: name and digest."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
    with subprocess.Popen(worker_command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as worker:
        for step in steps:
            request = step.request() | {"store": str(store.root)}
            message = {"step_id": step.id, "request": request, "device": "cpu", "threads": 1}
            worker.stdin.write(json.dumps(message) + "\n")
            worker.stdin.flush()
            while (told := json.loads(worker.stdout.readline()))["what"] not in ("finished", "failed"):
                pass
            assert told["what"] == "finished", told
    return [file for step in steps for file in sorted(store.done(step.id).files.items())]


def _serve_apart(store: Store, steps: Sequence[Step]) -> list[tuple[str, str]]:
    return [file for step in steps for file in _serve(store, [step])]


def _forget(store: Store, steps: Sequence[Step]) -> None:
    for step in steps:
        shutil.rmtree(store.artifact(step.id), ignore_errors=True)
