"""``rrgbench search``: the command, its progress and its tables."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rrgbench.cli.app import JsonOption, SetOption, StoreOption
from rrgbench.errors import ConfigError

if TYPE_CHECKING:
    from rich.progress import Progress

    from rrgbench.plan import Step
    from rrgbench.search import ResolvedSearch, SearchListener, SearchResult, TrialRecord


def search(
    file: Annotated[Path, typer.Argument(metavar="SEARCH", help="A search file (YAML).")],
    overrides: SetOption = None,
    store: StoreOption = None,
    storage: Annotated[str | None, typer.Option(metavar="URL", help="The database of trials [a file in the store].")] = None,
    export: Annotated[Path | None, typer.Option(help="Where the best cell's experiment goes [best.yaml in the store].")] = None,
    only_plan: Annotated[bool, typer.Option("--plan", help="Show the dimensions and run nothing.")] = False,
    executor: Annotated[str, typer.Option(help="The executor that runs the steps.")] = "local",
    workers: Annotated[int | None, typer.Option(min=1, help="Worker processes [one a GPU, else one a core].")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of each worker; part of the numerics.")] = None,
    ranks: Annotated[int | None, typer.Option(min=1, help="Processes that train a step together; part of the numerics.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Search for the cell that is best on validate; test stays closed. The best leaves as an experiment file."""
    from rrgbench.catalogue import Catalogue
    from rrgbench.search import Search, resolve_search, run_search
    from rrgbench.store import Store, default_store

    if export is not None and (export.is_dir() or not export.absolute().parent.is_dir()):
        raise ConfigError("--export", got=str(export), expected="a file in a folder that is there")
    catalogue = Catalogue.load()
    resolved = resolve_search(Search.load(file, overrides or ()), catalogue)
    if only_plan:
        _print_plan(resolved, as_json)
        return
    from rrgbench.runner import make_executor

    place = Store(store or default_store())
    place.create()
    given = {"workers": workers, "threads": threads, "ranks": ranks}
    options = {key: value for key, value in given.items() if value is not None}
    runs = make_executor(catalogue, {"name": executor, **options})
    with _make_listener(resolved, quiet=as_json) as listener:
        result = run_search(resolved, place, runs, catalogue, listener, storage=storage, export=export)
    if as_json:
        typer.echo(json.dumps(_summary(result), indent=1, ensure_ascii=False))
    else:
        _print_result(result)
    if all(record.state == "failed" for record in result.trials):
        sys.stderr.write("every trial failed\n")
        raise typer.Exit(1)


class _Told:
    """A line a trial on standard error; on a terminal, a bar above it says what is being done."""

    def __init__(self, search: ResolvedSearch, progress: Progress | None) -> None:
        self._search, self._progress = search, progress
        self._task = progress.add_task("", total=search.config.trials) if progress else None
        self._began = time.monotonic()
        self._trial = ""

    def planned(self, steps: int, done: int) -> None:
        """Nothing: a trial's rungs are planned one by one."""

    def started(self, step: Step) -> None:
        """Say what is being done."""
        self._show(step.title)

    def progressed(self, step: Step, done: int, total: int, note: str) -> None:
        """Say how far it is."""
        self._show(f"{step.title} {done}/{total}")

    def finished(self, step: Step, result: str, error: str) -> None:
        """Nothing: what fails is told with its trial."""

    def trial_started(self, number: int, total: int, told: str) -> None:
        """Move the bar to the trial."""
        self._began, self._trial = time.monotonic(), f"trial {number + 1}/{total}"
        if self._progress and self._task is not None:
            self._progress.update(self._task, completed=number)
        self._show(told)

    def trial_finished(self, record: TrialRecord, told: str, best: TrialRecord) -> None:
        """A line: what the trial was, what came of it, and the best so far."""
        value = f": {record.reason}" if record.value is None else f" {self._search.objective.value} {record.value:.4f}"
        leading = "" if best.value is None else f"; best {best.value:.4f} (trial {best.number})"
        seconds = time.monotonic() - self._began
        line = f"[{record.number + 1}/{self._search.config.trials}] {record.state}{value} ({seconds:.1f} s){leading}: {told}"
        if self._progress:
            self._progress.console.print(line, markup=False, highlight=False)
        else:
            sys.stderr.write(f"{line}\n")
            sys.stderr.flush()

    def _show(self, what: str) -> None:
        if self._progress and self._task is not None:
            self._progress.update(self._task, description=f"{self._trial}: {what}"[:90])


@contextlib.contextmanager
def _make_listener(search: ResolvedSearch, quiet: bool) -> Iterator[SearchListener | None]:
    if quiet:
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Told(search, None)
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        yield _Told(search, progress)


def _summary(result: SearchResult) -> dict[str, Any]:
    """A search's outcome as JSON data; trials with the best first."""

    def trial(record: TrialRecord) -> dict[str, Any]:
        told = {"number": record.number, "state": record.state, "value": record.value, "rungs": list(record.values)}
        parameters = result.search.space.values(record.parameters)
        return told | {"parameters": parameters, "cell": record.cell or None, "reason": record.reason or None}

    objective = result.search.objective
    return {
        "search": result.search.config.name,
        "objective": {"metric": objective.value, "better": objective.better, "split": "validate"},
        "trials": [trial(record) for record in result.trials],
        "best": trial(result.best) if result.best else None,
        "exported": str(result.exported) if result.exported else None,
        "history": str(result.history),
        "executed": dict(result.executed),
    }


def _print_result(result: SearchResult) -> None:
    from rich.table import Table
    from rich.text import Text

    from rrgbench.cli.tables import make_console

    console, objective = make_console(), result.search.objective
    title = f"{result.search.config.name}: {objective.value} on validate, {objective.better} is better; best first"
    table = Table(title=title, title_justify="left")
    for name, justify in (("trial", "right"), ("state", "left"), (objective.value, "right"), ("rungs", "right")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    table.add_column("parameters", overflow="fold")
    for record in result.trials:
        value = "" if record.value is None else f"{record.value:.4f}"
        told = record.reason if record.state == "failed" else result.search.space.told(record.parameters)
        table.add_row(str(record.number), record.state, value, str(len(record.values)), Text(told))
    console.print(table)
    steps = sum(result.executed.values())
    console.print(f"{steps} steps executed; every trial: {result.history}", markup=False, soft_wrap=True)
    if result.exported:
        console.print(f"best cell: rrgbench run {result.exported}", markup=False, soft_wrap=True)


def _print_plan(search: ResolvedSearch, as_json: bool) -> None:
    """The dimensions, and what of the components' options stays as it is, with the reason."""
    space, config = search.space, search.config
    if as_json:
        dimensions = [
            {
                "name": dimension.name,
                "values": list(dimension.labels or (dimension.low, dimension.high)),
                "log": dimension.log,
                "step": dimension.step,
                "whole": dimension.whole,
                "when": dict([dimension.when]) if dimension.when else None,
                "declared": dimension.declared,
            }
            for dimension in space.dimensions
        ]
        left = [{"name": item.name, "why": item.why} for item in space.left]
        typer.echo(json.dumps({"search": config.name, "trials": config.trials, "dimensions": dimensions, "left": left}, indent=1))
        return
    from rich.table import Table
    from rich.text import Text

    from rrgbench.cli.tables import make_console

    console = make_console()
    console.print(Text(f"{config.name}: {config.question}", style="bold"))
    seeds = f"{len(config.seeds)} seed" + "s" * (len(config.seeds) > 1)
    objective = f"{search.objective.value} on validate, {search.objective.better} is better"
    console.print(f"{config.trials} trials x {seeds}; {objective}; checkpoints and trials never see test", markup=False)
    table = Table(title=f"{len(space.dimensions)} dimensions", title_justify="left")
    for name in ("dimension", "values", "only with", "read from"):
        table.add_column(name, overflow="fold")
    for dimension in space.dimensions:
        when = "=".join(dimension.when or ())
        table.add_row(*map(Text, (dimension.name, dimension.words(), when, "signature" if dimension.declared else "file")))
    console.print(table)
    for item in space.left:
        console.print(f"left as it is: {item.name}: {item.why}", markup=False, soft_wrap=True)
