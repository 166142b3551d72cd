"""Tables for people. Text from data sets, plugins and files is printed without markup."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from rrgbench.catalogue import Catalogue, Spec, did_you_mean, words
from rrgbench.errors import ConfigError
from rrgbench.leaderboard import Board
from rrgbench.plan import Plan
from rrgbench.row import Row
from rrgbench.runner import RunResult, wanted_steps
from rrgbench.store import Store

_PLAIN_WIDTH = 160
USER_MISTAKES = frozenset({"ConfigError", "DataError", "StoreError"})
"""What the user can mend without reading a traceback; any other failure names its cell and where its traceback is."""


def _console(stderr: bool = False) -> Console:
    console = Console(stderr=stderr, highlight=False, emoji=False)
    return console if console.is_terminal else Console(stderr=stderr, highlight=False, emoji=False, width=_PLAIN_WIDTH)


def number(value: float) -> str:
    """Three decimals below ten, one below a thousand, none above."""
    if abs(value) < 10 and value != int(value):
        return f"{value:.3f}"
    return f"{value:.1f}" if abs(value) < 1000 and value != int(value) else f"{value:.0f}"


def _cell_text(row: Row, name: str) -> str:
    if name in row.not_applicable:
        return "not applicable"
    if name not in row.values:
        return "not scored"
    value = row.values[name]
    if value.low is None or value.high is None:
        return number(value.value)
    return f"{value.value:.3f} [{value.low:.3f}, {value.high:.3f}]"


def _chosen(board: Board, asked: str | None) -> list[str]:
    """The headline of each metric, or what was asked for."""
    known = board.values()
    if asked == "all":
        return known
    if asked is None:
        first: dict[str, str] = {}
        for row in board.rows:
            for name, value in row.values.items():
                first.setdefault(value.metric, name)
        return list(first.values())
    names = [name.strip() for name in asked.split(",") if name.strip()]
    for name in names:
        if name not in known:
            raise ConfigError("--values", got=name, hint=did_you_mean(name, known))
    return names


def print_boards(found: Sequence[Board], asked: str | None) -> None:
    """One table a board: best headline first, floors among the cells."""
    console = _console()
    for board in found:
        about = f"{board.dataset} {board.rows[0].split}, {board.n} studies"
        title = f"{about}, protocol {board.protocol}, references {board.references[:8]}"
        table = Table(title=title, title_justify="left", caption_justify="left")
        table.add_column("row", overflow="fold")
        table.add_column("seeds", justify="right")
        names = _chosen(board, asked)
        for name in names:
            arrow = {"higher": " ↑", "lower": " ↓", "neither": ""}[_better(board, name)]
            table.add_column(name + arrow, justify="right", overflow="fold")
        table.add_column("parameters", justify="right")
        table.add_column("train s", justify="right")
        for row in board.rows:
            floor = row.kind == "floor"
            title_text = f"floor: {row.title}" if floor else row.title + (" (baseline)" if row.baseline else "")
            cells: list[Text | str] = [Text(title_text), str(len(row.seeds)), *(_cell_text(row, name) for name in names)]
            cost = ["", ""] if row.parameters is None else [f"{row.parameters:,}", f"{row.train_seconds or 0:.0f}"]
            table.add_row(*cells, *cost, style="dim italic" if floor else None)
        console.print(table)
    if found:
        console.print(
            "Values are means over seeds; [low, high] is a 95 % interval, test subjects resampled.", style="dim", markup=False
        )


def _better(board: Board, name: str) -> str:
    return next(row.values[name].better for row in board.rows if name in row.values)


def print_outcome(result: RunResult, store: Store) -> None:
    """What was done, in a line."""
    steps, done = len(result.plan.steps), sum(result.executed.values())
    ran = ", ".join(f"{count} {kind}" for kind, count in sorted(result.executed.items())) or "nothing"
    _console(stderr=True).print(
        f"ran {ran}: {done} of {steps} steps in {result.seconds:.0f} s; rows in {store.root / 'rows'}", markup=False
    )


def print_failures(result: RunResult, store: Store) -> None:
    """One line a failure, and where its traceback is."""
    for failure in result.failures:
        if failure.mistake in USER_MISTAKES:
            sys.stderr.write(f"error: {failure.error}\n")
        else:
            sys.stderr.write(f"failed: {failure.title}: {failure.error} (traceback: {store.failure_path(failure.id)})\n")
    if result.blocked:
        sys.stderr.write(f"{len(result.blocked)} steps wait behind what failed; the same command tries again\n")


def plan_summary(plan: Plan, store: Store) -> dict[str, Any]:
    """A plan as JSON data."""
    wanted = wanted_steps(plan, store)
    return {
        "experiment": plan.experiment.name,
        "question": plan.experiment.question,
        "cells": [
            {"title": cell.title, "id": cell.id, "labels": dict(cell.labels), "dropped": list(cell.dropped)}
            for cell in plan.experiment.cells
        ],
        "excluded": [{"labels": dict(item.labels), "because": item.because} for item in plan.experiment.excluded],
        "seeds": list(plan.experiment.seeds),
        "runs": len(plan.experiment.cells) * len(plan.experiment.seeds),
        "steps": [
            {
                "id": step.id,
                "kind": step.kind,
                "title": step.title,
                "uses": plan.uses[step.id],
                "state": _state(store, step.id, step.id in wanted),
            }
            for step in plan.steps.values()
        ],
    }


def _state(store: Store, step_id: str, wanted: bool) -> str:
    if not wanted:
        return "done" if store.is_done(step_id) else "not needed"
    return "failed" if store.failure(step_id) else "to do"


def print_plan(plan: Plan, store: Store) -> None:
    """Cells, exclusions with their reasons, and the distinct steps by kind."""
    console, summary = _console(), plan_summary(plan, store)
    console.print(Text(f"{plan.experiment.name}: {plan.experiment.question}", style="bold"))
    for record in {id(row.record): row for row in plan.rows}.values():
        splits = ", ".join(f"{split} {data.studies}" for split, data in record.record.splits.items())
        console.print(f"data set {record.dataset.name}: {splits} studies; licence {record.record.license}", markup=False)
    cells = Table(
        title=f"{len(summary['cells'])} cells x {len(summary['seeds'])} seeds = {summary['runs']} runs", title_justify="left"
    )
    cells.add_column("cell")
    cells.add_column("left out, since the cell lacks it")
    for cell in summary["cells"]:
        cells.add_row(Text(cell["title"]), Text("; ".join(cell["dropped"])))
    for item in summary["excluded"]:
        title = ", ".join(f"{axis}={label}" for axis, label in item["labels"].items())
        cells.add_row(Text(title), Text(f"excluded: {item['because']}"), style="dim")
    console.print(cells)
    states = Counter((step["kind"], step["state"]) for step in summary["steps"])
    table = Table(title=f"{len(summary['steps'])} distinct steps", title_justify="left")
    for name in ("kind", "asked for", "distinct", "done", "to do", "failed", "not needed"):
        table.add_column(name, justify="left" if name == "kind" else "right")
    for kind in dict.fromkeys(step["kind"] for step in summary["steps"]):
        asked = sum(step["uses"] for step in summary["steps"] if step["kind"] == kind)
        distinct = sum(step["kind"] == kind for step in summary["steps"])
        counts = [str(states[(kind, state)]) for state in ("done", "to do", "failed", "not needed")]
        table.add_row(kind, str(asked), str(distinct), *counts)
    console.print(table)


def print_plugins(catalogue: Catalogue) -> None:
    """One line a component; broken plugins last, each with its cause and what to do."""
    console = _console()
    table = Table(title="components", title_justify="left")
    for name in ("kind", "name", "plugin", "what"):
        table.add_column(name, overflow="fold")
    for kind, names in catalogue.specs.items():
        for name, specs in sorted(names.items()):
            for spec in specs:
                table.add_row(kind, Text(name), Text(f"{spec.distribution}/{spec.entry_point}"), Text(spec.summary))
    if table.row_count:
        console.print(table)
    for record in catalogue.broken():
        name = f"{record.distribution}/{record.entry_point}"
        console.print(Text(f"broken: {name}: {record.error}", style="red"), soft_wrap=True)
        console.print(Text(f"  remedy: mend it, or leave it out with RRGBENCH_DISABLE_PLUGINS={name}"), soft_wrap=True)
    if not catalogue.records:
        console.print("no plugin is installed, or RRGBENCH_PLUGINS and RRGBENCH_DISABLE_PLUGINS leave every one out")


def print_component(spec: Spec) -> None:
    """A component and its options."""
    console = _console()
    console.print(Text(f"{spec.kind}/{spec.name} ({spec.distribution}/{spec.entry_point}, version {spec.version})", style="bold"))
    console.print(Text(spec.summary), soft_wrap=True)
    if spec.values:
        console.print(f"asks the platform for: {', '.join(spec.values)}", markup=False)
    for name, value in spec.attributes.items():
        console.print(f"{name}: {value}", markup=False)
    if not spec.options:
        console.print("no options")
        return
    table = Table()
    for name in ("option", "type", "default"):
        table.add_column(name, overflow="fold")
    for option in spec.options:
        table.add_row(Text(option.name), Text(words(option.tree)), Text("required" if option.required else repr(option.default)))
    console.print(table)
