"""From an experiment to steps: what runs share is one step. A step's id is the hash of everything that decides its result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from rrgbench.catalogue import Catalogue
from rrgbench.cell import Cell
from rrgbench.data import DataRecord, need_splits, read_dataset
from rrgbench.errors import RRGBenchError, collect
from rrgbench.experiment import ExperimentConfig, Resolved
from rrgbench.identity import digest
from rrgbench.plan.compiling import Compiler, Trained, Written
from rrgbench.plan.naming import floor_titles
from rrgbench.plan.steps import RESAMPLES, STEP_VERSIONS, Plan, RowPlan, Step
from rrgbench.store import Store
from rrgbench.types import SPLITS


def make_plan(experiment: Resolved, store: Store, *, sharing: bool = True) -> Plan:
    """Compile every run of every cell, and every floor, into distinct steps.

    Args:
        experiment: what to run.
        store: where the data sets are written.
        sharing: False gives every run steps of its own, to measure what sharing saves.

    Raises:
        ConfigError, DataError, ManyErrors: what is wrong with the data sets.
    """
    firsts: dict[str, Cell] = {}
    for cell in experiment.cells:
        firsts.setdefault(_dataset_key(cell), cell)
    records: dict[str, DataRecord] = {}
    errors: list[RRGBenchError] = []
    for key, cell in firsts.items():
        try:
            records[key] = read_dataset(store, cell.dataset, cell.root)
            need_splits(records[key], cell.dataset.name, SPLITS, "train, validate and test for an experiment")
        except RRGBenchError as error:
            errors.append(error)
    collect(errors)
    compiler = Compiler(experiment, sharing)
    rows: list[RowPlan] = []
    floors: dict[str, dict[str, Mapping[str, str]]] = {key: {} for key in records}
    for key, record in records.items():
        for floor, title in zip(experiment.floors, floor_titles(experiment.floors), strict=True):
            seeds: Sequence[int | None] = experiment.seeds if floor.attributes["draws"] else [None]
            floor_runs = {seed or 0: Written(compiler.floor(floor, title, record, seed)) for seed in seeds}
            rows.append(compiler.row(floor, title, firsts[key].dataset, record, floor_runs))
            floors[key][title] = rows[-1].intervals
    for cell in experiment.cells:
        key = _dataset_key(cell)
        try:
            row = _cell_row(compiler, cell, records[key], experiment.seeds)
        except RRGBenchError as error:
            errors.append(error)
            continue
        rows.append(replace(row, floors=floors[key]))
    collect(errors)
    return Plan(experiment, compiler.steps, compiler.uses, tuple(rows))


def bare_plan(name: str, steps: Mapping[str, Step], catalogue: Catalogue) -> Plan:
    """A few steps without an experiment: no row is made of them."""
    protocol = catalogue.resolve("protocols", ExperimentConfig.model_fields["protocol"].default, "protocol")
    nothing = Resolved(name, "", (), (), (), (), protocol, None, (), None)
    return Plan(nothing, steps, dict.fromkeys(steps, 1), ())


def _cell_row(compiler: Compiler, cell: Cell, record: DataRecord, seeds: Sequence[int]) -> RowPlan:
    runs: dict[int, Written] = {}
    aurocs: dict[str, tuple[str, ...]] = {}
    for seed in seeds:
        runs[seed], found = compiler.run(cell, record, seed)
        for stage, step_id in found.items():
            aurocs[stage] = (*aurocs.get(stage, ()), step_id)
    return compiler.row(cell, cell.title, cell.dataset, record, runs, aurocs)


def _dataset_key(cell: Cell) -> str:
    return digest([cell.dataset.identity(), str(cell.root)])


__all__ = ["RESAMPLES", "STEP_VERSIONS", "Compiler", "Plan", "RowPlan", "Step", "Trained", "Written", "bare_plan", "make_plan"]
