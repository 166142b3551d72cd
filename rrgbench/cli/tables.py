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
from rrgbench.knowledge.graph import Graph
from rrgbench.leaderboard import Board
from rrgbench.leaderboard.view import ARROWS, Column, columns, interval, number
from rrgbench.plan import Plan
from rrgbench.row import Row
from rrgbench.runner import RunResult, wanted_steps
from rrgbench.store import Store

_PLAIN_WIDTH = 160
_FRAME = 3
"""What a column's border and padding take."""
USER_MISTAKES = frozenset({"ConfigError", "DataError", "StoreError"})
"""What the user can mend without reading a traceback; any other failure names its cell and where its traceback is."""


def make_console(stderr: bool = False) -> Console:
    """Where tables are printed: as wide as the terminal, and of one width where there is none."""
    console = Console(stderr=stderr, highlight=False, emoji=False)
    return console if console.is_terminal else Console(stderr=stderr, highlight=False, emoji=False, width=_PLAIN_WIDTH)


def _cell_text(row: Row, name: str) -> str:
    if name in row.not_applicable:
        return "not applicable"
    if name not in row.values:
        return "not scored"
    return " ".join(filter(None, interval(row.values[name])))


def _chosen(board: Board, asked: str | None) -> list[Column]:
    """The headline of each metric, or what was asked for."""
    known = {column.name: column for column in columns(board)}
    if asked == "all":
        return list(known.values())
    if asked is None:
        return [column for column in known.values() if column.headline]
    names = [name.strip() for name in asked.split(",") if name.strip()]
    for name in names:
        if name not in known:
            raise ConfigError("--values", got=name, hint=did_you_mean(name, list(known)))
    return [known[name] for name in names]


def _blocks(board: Board, shown: Sequence[Column], room: int, cost: int) -> list[list[Column]]:
    """The values in groups, as many side by side as ``room`` characters hold, one at least; the first group has ``cost`` less."""
    blocks: list[list[Column]] = [[]]
    left = room - cost
    for column in shown:
        parts = [*_heading(column).splitlines(), *(_cell_text(row, column.name) for row in board.rows)]
        width = max(map(len, parts)) + _FRAME
        if width > left and blocks[-1]:
            blocks.append([])
            left = room
        blocks[-1].append(column)
        left -= width
    return blocks


def print_boards(found: Sequence[Board], asked: str | None) -> None:
    """One table a board: best headline first, floors among the cells. What the width does not hold goes on in a table below."""
    console = make_console()
    for board in found:
        widest = max(len("row"), *(len(_row_title(row)) for row in board.rows))
        title_width = min(widest, max(console.width * 2 // 5, 24))
        room = console.width - title_width - _FRAME - 1
        parameters = max(len("parameters"), *(len(f"{row.parameters or 0:,}") for row in board.rows))
        cost = len("seeds") + parameters + len("train s") + 3 * _FRAME
        blocks = _blocks(board, _chosen(board, asked), room, cost)
        about = f"{board.dataset} {board.rows[0].split}, {board.n} studies"
        title = f"{about}, protocol {board.protocol}, references {board.references[:8]}"
        for place, block in enumerate(blocks):
            table = Table(title=None if place else Text(title), title_justify="left")
            table.add_column("row", overflow="fold", min_width=title_width, max_width=title_width)
            _fill(table, board, block, first=place == 0)
            console.print(table)
        for line in dict.fromkeys(line for row in board.rows for line in _stages(row)):
            console.print(Text(line, style="dim"))
    if found:
        console.print(
            "Values are means over seeds; [low, high] is a 95 % interval, test subjects resampled.", style="dim", markup=False
        )


def _fill(table: Table, board: Board, block: Sequence[Column], first: bool) -> None:
    """Values of a block; seeds and cost stand in the first only."""
    headings = [_heading(column) for column in block]
    for heading in ["seeds", *headings, "parameters", "train s"] if first else headings:
        table.add_column(Text(heading), justify="right", overflow="fold")
    for row in board.rows:
        cells = [_cell_text(row, column.name) for column in block]
        if first:
            cost = ["", ""] if row.parameters is None else [f"{row.parameters:,}", f"{row.train_seconds or 0:.0f}"]
            cells = [str(len(row.seeds)), *cells, *cost]
        table.add_row(Text(_row_title(row)), *cells, style="dim italic" if row.kind == "floor" else None)


def _heading(column: Column) -> str:
    by = f"\nby {column.annotator}" if column.annotator else ""
    return f"{column.name} {ARROWS[column.better]}".rstrip() + by


def _stages(row: Row) -> list[str]:
    """How well stages taught the image encoder findings. Rows that share a stage say the same."""
    return [
        f"After stage {stage} the image encoder tells findings on validate with a mean AUROC of "
        f"{number(sum(values) / len(values))} ({len(values)} seed{'s' * (len(values) > 1)})."
        for stage, values in row.aurocs.items()
    ]


def _row_title(row: Row) -> str:
    return f"floor: {row.title}" if row.kind == "floor" else row.title + (" (baseline)" if row.baseline else "")


def print_outcome(result: RunResult, store: Store) -> None:
    """What was done, in a line."""
    steps, done = len(result.plan.steps), sum(result.executed.values())
    ran = ", ".join(f"{count} {kind}" for kind, count in sorted(result.executed.items())) or "nothing"
    make_console(stderr=True).print(
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


def print_graph(graph: Graph, shown: int) -> None:
    """What a knowledge graph holds, and its most frequent nodes."""
    console = make_console()
    relations = Counter(edge.relation for edge in graph.edges)
    told = ", ".join(f"{count} {relation}" for relation, count in sorted(relations.items())) or "none"
    before = f" (of {graph.pruned.get('nodes', 0)} and {graph.pruned.get('edges', 0)} before pruning)"
    console.print(Text(f"{graph.reports} train reports, annotator {graph.annotator}"))
    console.print(Text(f"{len(graph.nodes)} nodes, {len(graph.edges)} edges{before}: {told}"))
    table = Table()
    for name in ("node", "kind"):
        table.add_column(name)
    for name in ("reports", "present", "uncertain", "absent"):
        table.add_column(name, justify="right")
    for node in graph.nodes[:shown]:
        counts = map(str, (node.reports, node.present, node.uncertain, node.absent))
        table.add_row(Text(node.name), node.kind, *counts)
    if len(graph.nodes) > shown:
        table.add_row(f"and {len(graph.nodes) - shown} more")
    console.print(table)


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
    console, summary = make_console(), plan_summary(plan, store)
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
    console = make_console()
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


def print_data_sets(specs: Sequence[Spec]) -> None:
    """One line a data set."""
    table = Table()
    for name in ("data set", "licence", "folder", "what"):
        table.add_column(name, overflow="fold")
    for spec in sorted(specs, key=lambda spec: spec.name):
        folder = "asked for" if "root" in spec.values else "made by itself"
        table.add_row(Text(spec.name), Text(str(spec.attributes.get("license"))), folder, Text(spec.summary))
    make_console().print(table)


def print_component(spec: Spec) -> None:
    """A component and its options."""
    console = make_console()
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
