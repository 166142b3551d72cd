"""Searching: Optuna proposes cells, the store runs them, validate judges them, and the best leaves as an experiment file."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rrgbench.catalogue import Catalogue
from rrgbench.data import need_splits, read_dataset
from rrgbench.errors import ConfigError, RRGBenchError, StoreError, placed
from rrgbench.identity import digest
from rrgbench.interfaces import Executor
from rrgbench.plan import STEP_VERSIONS, Plan
from rrgbench.runner import RunResult, run_steps
from rrgbench.search.config import Search
from rrgbench.search.dimensions import Dimension, Left, Space
from rrgbench.search.export import ranked, write_experiment, write_history
from rrgbench.search.resolved import ResolvedSearch, resolve_search
from rrgbench.search.trials import SearchListener, TrialFailed, TrialRecord, judged, plan_trial
from rrgbench.store import Store, full_disk_is_an_error
from rrgbench.types import SPLITS

if TYPE_CHECKING:
    from rrgbench.search.study import Study

PATIENCE = 40.0
"""Seconds to wait for another process that drives the search: longer than it takes to see that it is gone."""


@dataclass
class SearchResult:
    """What a search came to. ``best`` is None where no trial is complete."""

    search: ResolvedSearch
    trials: list[TrialRecord]
    best: TrialRecord | None
    history: Path
    exported: Path | None = None
    executed: Counter[str] = field(default_factory=Counter)


def search_folder(store: Store, name: str) -> Path:
    """Where a store keeps what a search of that name leaves behind."""
    return store.root / "searches" / name


class _Searching:
    """One process at work on a search."""

    def __init__(
        self,
        search: ResolvedSearch,
        study: Study,
        store: Store,
        executor: Executor,
        catalogue: Catalogue,
        listener: SearchListener | None,
        judged_on: str,
    ) -> None:
        self.judged_on = judged_on
        self.search, self.study, self.store = search, study, store
        self.executor, self.catalogue, self.listener = executor, catalogue, listener
        self.executed: Counter[str] = Counter()
        self.history = search_folder(store, search.config.name) / "history.csv"

    def run(self, plan: Plan, targets: Sequence[str]) -> RunResult:
        result = run_steps(plan, targets, self.store, self.executor, self.catalogue, self.listener)
        self.executed += result.executed
        return result

    def go(self) -> None:
        total = self.search.config.trials
        while (trial := self.study.next_trial()) is not None:
            told = self.search.space.told(trial.parameters)
            if self.listener:
                self.listener.trial_started(trial.number, total, told)
            ended = self.one(trial)
            trials = self.write_history()
            if self.listener:
                self.listener.trial_finished(ended, told, trials[0])

    def one(self, trial: TrialRecord) -> TrialRecord:
        """Bring a trial to its end."""
        cell, value = "", None
        try:
            planned = plan_trial(self.search, self.catalogue, self.store, trial.number, trial.parameters)
            cell = planned.cell
            if planned.judged_on != self.judged_on:
                hint = "a data set's options may change train, never what a search is judged on"
                raise TrialFailed("the data set of this trial has another validate split", hint=hint)
            for rung, value in enumerate(judged(self.search, planned, self.store, self.run)):
                if self.study.report(trial.number, rung, value, rung + 1 == len(planned.rungs)):
                    return self.study.end(trial.number, None, pruned=True, cell=cell)
        except StoreError:  # the trial stays open: the same command goes on with it
            raise
        except RRGBenchError as error:
            return self.study.end(trial.number, None, reason=str(error), cell=cell)
        return self.study.end(trial.number, value, cell=cell)

    def write_history(self) -> list[TrialRecord]:
        """Write every trial so far down; they are given with the best first."""
        trials = self.study.trials()
        write_history(self.history, trials, self.search.space, self.search.objective.value)
        return ranked(trials, self.search.objective.better)


def run_search(
    search: ResolvedSearch,
    store: Store,
    executor: Executor,
    catalogue: Catalogue,
    listener: SearchListener | None = None,
    *,
    storage: str | None = None,
    export: Path | None = None,
) -> SearchResult:
    """Run the trials that a search still lacks, one after the other, and write down its best cell.

    Args:
        search: what to search.
        store: where trials find and leave their steps, as every run does.
        executor: runs the steps; it is closed at the end.
        catalogue: what is installed.
        listener: told of the search as it goes.
        storage: the URL of the database of trials; None takes a file in the store.
        export: where the best cell's experiment goes; None takes ``searches/NAME/best.yaml`` of the store.

    Raises:
        ConfigError, DataError: the data set, or a study of that name that is another search's.
        StoreError: the store or the database cannot be used; the same command goes on from there.
    """
    from rrgbench.search.study import Study

    folder = search_folder(store, search.config.name)
    try:
        counted, judged_on = _counted(search, store, catalogue)
        with full_disk_is_an_error(folder):
            folder.mkdir(parents=True, exist_ok=True)
        with _alone(store, search.config.name):
            study = Study(search.config, search.space, search.objective.better, folder, storage)
            study.claim(counted)
            work = _Searching(search, study, store, executor, catalogue, listener, judged_on)
            work.go()
            trials = work.write_history()
            result = SearchResult(search, trials, None, work.history, executed=work.executed)
            if trials[0].state == "complete":
                result.best, result.exported = trials[0], export or folder / "best.yaml"
                write_experiment(result.exported, search.exported(trials[0].parameters), _about(search, trials[0]))
            return result
    finally:
        executor.close()


_BEYOND = frozenset({"floor", "intervals"})
"""Kinds of step that no trial has."""


def _counted(search: ResolvedSearch, store: Store, catalogue: Catalogue) -> tuple[dict[str, str], str]:
    """What decides the trials: the search, the code of the steps and the data that they see, a digest each; and what they are
    judged on."""
    try:
        record = read_dataset(store, search.start.dataset, search.start.root)
        need_splits(record, search.start.dataset.name, SPLITS, "train, validate and test for a search")
        plan_trial(search, catalogue, store, 0, search.space.first({}))
    except RRGBenchError as error:
        place = "objective.metric, as an experiment's " if error.what.startswith("select.metric") else ""
        raise placed(error, f"{search.where}: {place}") from error
    steps = {
        f"the code of the step {kind}": str(version) for kind, version in sorted(STEP_VERSIONS.items()) if kind not in _BEYOND
    }
    seen = [side for split in ("train", "validate") for side in (record.splits[split].inputs, record.splits[split].targets)]
    validate = record.splits["validate"]
    return search.counted() | steps | {"the data": digest(seen)}, digest([validate.inputs, validate.targets])


def _about(search: ResolvedSearch, best: TrialRecord) -> str:
    name = search.config.name
    return f"Trial {best.number} of the search {name}, over seeds that no trial had: `rrgbench run` opens test with it."


@contextlib.contextmanager
def _alone(store: Store, name: str) -> Iterator[None]:
    """As the only process that drives this search of this store.

    Raises:
        ConfigError: another one does.
    """
    deadline = time.monotonic() + PATIENCE
    while (lease := store.lease(f"search-{name}")) is None:
        if time.monotonic() > deadline:
            raise ConfigError(f"another process is at work on the search {name!r}", hint="wait for it, or end it first")
        time.sleep(0.5)
    with lease:
        yield


__all__ = [
    "Dimension",
    "Left",
    "ResolvedSearch",
    "Search",
    "SearchListener",
    "SearchResult",
    "Space",
    "TrialFailed",
    "TrialRecord",
    "resolve_search",
    "run_search",
    "search_folder",
]
