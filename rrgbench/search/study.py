"""Optuna's part: it proposes parameters and stops trials; what a trial is and what it is worth is decided elsewhere.

Proposals are seeded anew for each parameter, from the seed of the sampler, the number of the trial and the name of the
dimension, and see finished trials only. So a search that is killed at any moment goes on as if nothing had happened: a
trial that was left running keeps the parameters it has, and gets those that it lacks as it would have.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy import URL
from sqlalchemy.exc import SQLAlchemyError

from rrgbench.errors import ConfigError, StoreError
from rrgbench.identity import derive_seed
from rrgbench.search.config import SearchConfig
from rrgbench.search.dimensions import Dimension, Space
from rrgbench.search.trials import TrialRecord

_COUNTED = "rrgbench"
"""The attribute of a study that holds what decides its trials, a digest each."""
_REASON, _CELL = "reason", "cell"


@contextlib.contextmanager
def _storage_speaks(place: str) -> Iterator[None]:
    """What a database says, in one line.

    Raises:
        StoreError: in place of what Optuna and SQLAlchemy raise.
    """
    try:
        yield
    except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        cause = error.__cause__ or error
        raise StoreError(f"the storage of the search, {place}, cannot be used", got=str(cause).partition("\n")[0]) from error


class Study:
    """The trials of a search, kept in a database that any process may open, one after the other."""

    def __init__(self, config: SearchConfig, space: Space, better: str, folder: Path, url: str | None) -> None:
        self.config, self.space = config, space
        self.place = "--storage" if url else str(folder / "optuna.db")
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        direction = optuna.study.StudyDirection.MAXIMIZE if better == "higher" else optuna.study.StudyDirection.MINIMIZE
        pruner, own = config.pruner, URL.create("sqlite", database=str(folder / "optuna.db"))
        with _storage_speaks(self.place):
            try:
                self._storage = optuna.storages.RDBStorage(url or own.render_as_string())
            except (ImportError, RuntimeError, ValueError, LookupError) as error:  # no driver, another Optuna's, no URL
                raise ConfigError(self.place, got=str(error).partition("\n")[0], expected="the URL of a database") from error
            self._study = optuna.create_study(
                storage=self._storage,
                study_name=config.name,
                direction=direction,
                load_if_exists=True,
                pruner=optuna.pruners.MedianPruner(pruner.startup, pruner.warmup) if pruner else optuna.pruners.NopPruner(),
            )

    def claim(self, counted: Mapping[str, str]) -> None:
        """Write down what decides the trials, or compare it with what is written.

        Raises:
            ConfigError: the study is another search's; every difference is named.
        """
        with _storage_speaks(self.place):
            known = self._study.user_attrs.get(_COUNTED)
            if known is None and self._study.get_trials(deepcopy=False):
                known = {}
            if known is not None:
                changed = [name for name in dict.fromkeys([*counted, *known]) if counted.get(name) != known.get(name)]
                if changed:
                    got = ", ".join(changed[:4]) + (f" and {len(changed) - 4} more" if changed[4:] else "")
                    hint = "give the search another name, or go back to what it was"
                    what = f"the search {self.config.name!r} in {self.place} was begun as another one"
                    raise ConfigError(what, got=f"changed: {got}", expected="the same search, or more trials", hint=hint)
            if self.config.trials < (before := int(self._study.user_attrs.get("trials", 0))):
                what = f"trials of the search {self.config.name!r} in {self.place}"
                raise ConfigError(what, got=self.config.trials, expected=f"{before} as before, or more")
            self._study.set_user_attr(_COUNTED, dict(counted))
            self._study.set_user_attr("trials", self.config.trials)

    def next_trial(self) -> TrialRecord | None:
        """The trial to work on: one that was left running, else a new one; None when there are enough."""
        with _storage_speaks(self.place):
            trials = self._study.get_trials(deepcopy=False)
            left = [trial.number for trial in trials if trial.state == TrialState.RUNNING]
            if not left and len(trials) >= self.config.trials:
                return None
            trial = self._trial(min(left)) if left else self._study.ask()
            parameters: dict[str, object] = {}
            for dimension in self.space.dimensions:
                if dimension.applies(parameters):
                    parameters[dimension.name] = self._suggest(trial, dimension)
            return self._record(self._frozen(trial.number))

    def _trial(self, number: int) -> Trial:
        study_id = self._storage.get_study_id_from_name(self.config.name)
        return Trial(self._study, self._storage.get_trial_id_from_study_id_trial_number(study_id, number))

    def _frozen(self, number: int) -> FrozenTrial:
        return self._study.get_trials(deepcopy=False)[number]

    def _suggest(self, trial: Trial, dimension: Dimension) -> object:
        sampler = self.config.sampler
        self._study.sampler = optuna.samplers.TPESampler(
            seed=derive_seed("search", sampler.seed, trial.number, dimension.name) % 2**32,
            n_startup_trials=sampler.startup,
            multivariate=False,
            constant_liar=False,
        )
        if dimension.labels:
            return trial.suggest_categorical(dimension.name, dimension.labels)
        if dimension.whole:
            low, high, step = int(dimension.low), int(dimension.high), int(dimension.step or 1)
            return trial.suggest_int(dimension.name, low, high, step=step, log=dimension.log)
        return trial.suggest_float(dimension.name, dimension.low, dimension.high, step=dimension.step, log=dimension.log)

    def report(self, number: int, rung: int, value: float, last: bool) -> bool:
        """Tell a trial's value after a rung (from 0); whether the trial ends here."""
        with _storage_speaks(self.place):
            known = self._frozen(number).intermediate_values
            trial = self._trial(number)
            if rung not in known:
                trial.report(value, rung)
            return not last and rung >= max(known, default=0) and trial.should_prune()

    def end(self, number: int, value: float | None, pruned: bool = False, reason: str = "", cell: str = "") -> TrialRecord:
        """Tell how a trial ended: with a value, stopped, or with neither failed."""
        state = TrialState.PRUNED if pruned else TrialState.FAIL if value is None else TrialState.COMPLETE
        with _storage_speaks(self.place):
            trial = self._trial(number)
            for name, text in ((_REASON, reason[:2000]), (_CELL, cell)):
                if text:
                    trial.set_user_attr(name, text)
            self._study.tell(number, value if state == TrialState.COMPLETE else None, state=state)
            return self._record(self._frozen(number))

    def trials(self) -> list[TrialRecord]:
        """Every trial so far, by number."""
        with _storage_speaks(self.place):
            return [self._record(trial) for trial in self._study.get_trials(deepcopy=False)]

    def _record(self, trial: FrozenTrial) -> TrialRecord:
        ordered = {d.name: trial.params[d.name] for d in self.space.dimensions if d.name in trial.params}
        values = tuple(value for _, value in sorted(trial.intermediate_values.items()))
        value = trial.value if trial.state in (TrialState.COMPLETE, TrialState.PRUNED) else None
        state = {TrialState.FAIL: "failed"}.get(trial.state, trial.state.name.lower())
        reason, cell = (str(trial.user_attrs.get(name, "")) for name in (_REASON, _CELL))
        return TrialRecord(trial.number, state, value, values, ordered, reason, cell)
