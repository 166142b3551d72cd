"""A trial as steps: the cell is trained rung by rung, and judged on validate after each. Test has no part in it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from rrgbench.catalogue import Catalogue
from rrgbench.errors import RRGBenchError, StoreError
from rrgbench.identity import digest
from rrgbench.plan import Plan, make_plan
from rrgbench.runner import RunResult
from rrgbench.runner.events import Listener
from rrgbench.search.dimensions import Parameters
from rrgbench.search.resolved import ResolvedSearch
from rrgbench.store import Store, read_json


class TrialFailed(RRGBenchError):
    """A trial's step failed; the search goes on with the next trial."""


@dataclass(frozen=True)
class TrialRecord:
    """A trial as it ended, or stands. ``values``: after each rung, the mean over seeds of the best value on validate so far."""

    number: int
    state: str
    value: float | None
    values: tuple[float, ...]
    parameters: Parameters
    reason: str = ""
    cell: str = ""


class SearchListener(Listener, Protocol):
    """Told of a search, and of the steps of its trials."""

    def trial_started(self, number: int, total: int, told: str) -> None: ...

    def trial_finished(self, record: TrialRecord, told: str, best: TrialRecord) -> None: ...


@dataclass(frozen=True)
class TrialPlan:
    """``rungs``: after each rung of the last stage, the steps that score the reports on validate, one a seed.

    ``judged_on`` is the digest of both sides of validate.
    """

    cell: str
    plan: Plan
    rungs: tuple[tuple[str, ...], ...]
    judged_on: str


def plan_trial(search: ResolvedSearch, catalogue: Catalogue, store: Store, number: int, parameters: Parameters) -> TrialPlan:
    """The steps of one trial: what an experiment of this cell does before it opens test.

    Raises:
        ConfigError, DataError, PluginError, ManyErrors: the trial's values do not go together.
    """
    experiment = search.trial(catalogue, number, parameters)
    whole = make_plan(experiment, store)
    (row,) = whole.rows
    selects = [select for run in row.runs.values() for select in whole.steps[run].upstream["select"]]
    scores = [whole.steps[select].upstream["scores"] for select in selects]
    kept = frozenset[str]().union(*(whole.behind(step_id) for of_seed in scores for step_id in of_seed))
    steps = {step_id: step for step_id, step in whole.steps.items() if step_id in kept}
    plan = replace(whole, steps=steps, uses={step_id: whole.uses[step_id] for step_id in steps}, rows=())
    validate = row.record.splits["validate"]
    judged_on = digest([validate.inputs, validate.targets])
    return TrialPlan(experiment.cells[0].id, plan, tuple(zip(*scores, strict=True)), judged_on)


Run = Callable[[Plan, Sequence[str]], RunResult]
"""Runs steps of a plan and what they rest on."""


def judged(search: ResolvedSearch, trial: TrialPlan, store: Store, run: Run) -> Iterator[float]:
    """Train to each rung in turn, and tell the trial's value there; whoever asks no further saves the rest.

    Raises:
        TrialFailed: a step failed.
        StoreError: the store cannot be used: the same command goes on from here.
    """
    best: list[float] = []
    choose = max if search.objective.better == "higher" else min
    for scores in trial.rungs:
        result = run(trial.plan, scores)
        for failure in result.failures:
            if failure.mistake == "StoreError":
                raise StoreError(failure.error)
            raise TrialFailed(failure.error if failure.mistake else f"{failure.title}: {failure.error}")
        values = [float(read_json(store.whole(step_id) / "score.json")["values"][search.objective.value]) for step_id in scores]
        if not all(math.isfinite(value) for value in values):
            raise TrialFailed(f"{search.objective.value} on validate", got=values, expected="a number")
        best = [choose(pair) for pair in zip(best, values, strict=True)] if best else values
        yield math.fsum(best) / len(best)
