"""The commands."""

from __future__ import annotations

import importlib.metadata
import json
import logging
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from rrgbench.errors import ConfigError, PluginError, RRGBenchError

StoreOption = Annotated[
    Path | None, typer.Option("--store", help="Where artifacts and rows are kept [$RRGBENCH_STORE, else ./store].")
]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="PATH=VALUE", help="Override a value of the file; repeatable.")
]
ProfileOption = Annotated[
    str | None, typer.Option("--profile", metavar="NAME", help="One of the sizes that the file's `profiles` offer.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
ExperimentArgument = Annotated[Path, typer.Argument(metavar="EXPERIMENT", help="An experiment file (YAML).")]


def print_json(value: Any) -> None:
    """JSON on standard output."""
    typer.echo(json.dumps(value, indent=1, ensure_ascii=False))


def _planned(
    experiment: Path, overrides: list[str] | None, profile: str | None, store: Path | None, sharing: bool = True
) -> tuple[Any, Any, Any]:
    from rrgbench.catalogue import Catalogue
    from rrgbench.experiment import Experiment
    from rrgbench.plan import make_plan
    from rrgbench.store import Store, default_store

    catalogue = Catalogue.load()
    resolved = Experiment.load(experiment, overrides or (), profile).resolve(catalogue)
    place = Store(store or default_store())
    place.create()
    return catalogue, place, make_plan(resolved, place, sharing=sharing)


def run(
    experiment: ExperimentArgument,
    overrides: SetOption = None,
    profile: ProfileOption = None,
    store: StoreOption = None,
    executor: Annotated[str, typer.Option(help="The executor that runs the steps.")] = "local",
    workers: Annotated[int | None, typer.Option(min=1, help="Worker processes [one a GPU, else one a core].")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of each worker; part of the numerics.")] = None,
    ranks: Annotated[int | None, typer.Option(min=1, help="Processes that train a step together; part of the numerics.")] = None,
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="Begin nothing new after a failure.")] = False,
    sharing: Annotated[bool, typer.Option(help="Whether runs share steps; without, to measure what sharing saves.")] = True,
    as_json: JsonOption = False,
) -> None:
    """Run every step of an experiment that is not done yet, and print its leaderboard."""
    from rrgbench.cli.progress import make_listener
    from rrgbench.cli.tables import USER_MISTAKES, print_boards, print_failures, print_outcome
    from rrgbench.leaderboard import boards
    from rrgbench.runner import make_executor, run_plan

    catalogue, place, plan = _planned(experiment, overrides, profile, store, sharing)
    given = {"workers": workers, "threads": threads, "ranks": ranks}
    options = {key: value for key, value in given.items() if value is not None}
    runs = make_executor(catalogue, {"name": executor, **options})
    with make_listener(quiet=as_json) as listener:
        result = run_plan(plan, place, runs, catalogue, listener, fail_fast=fail_fast)
    if as_json:
        print_json(
            {
                "rows": [row.model_dump(mode="json") for row in result.rows],
                "executed": dict(result.executed),
                "failures": [failure.model_dump() for failure in result.failures],
                "blocked": [plan.steps[step_id].title for step_id in result.blocked],
            }
        )
    else:
        print_boards(boards(result.rows), None)
        print_outcome(result, place)
    if result.failures:
        print_failures(result, place)
        raise typer.Exit(2 if all(failure.mistake in USER_MISTAKES for failure in result.failures) else 1)


def plan(
    experiment: ExperimentArgument,
    overrides: SetOption = None,
    profile: ProfileOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a run would do: cells, exclusions, distinct steps, what is shared, what is done."""
    from rrgbench.cli.tables import plan_summary, print_plan

    _, place, made = _planned(experiment, overrides, profile, store)
    if as_json:
        print_json(plan_summary(made, place))
    else:
        print_plan(made, place)


def leaderboard_show(
    experiment: Annotated[str | None, typer.Argument(help="Only rows of the experiment of this name.")] = None,
    store: StoreOption = None,
    values: Annotated[str | None, typer.Option(help="Which values, with commas; `all` for every one.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Print the rows of a store, floors among them; rows that may not be compared stand in different tables."""
    from rrgbench.cli.tables import print_boards
    from rrgbench.leaderboard import boards, load_rows
    from rrgbench.row import no_rows
    from rrgbench.store import default_store

    place = store or default_store()
    found = load_rows(place, experiment)
    if as_json:
        print_json([row.model_dump(mode="json") for row in found])
        return
    if not found:
        raise no_rows(place / "rows", experiment)
    print_boards(boards(found), values)


def plugins_list(as_json: JsonOption = False) -> None:
    """List installed plugins and their components; a broken one is tried again, and says why."""
    from rrgbench.catalogue import Catalogue
    from rrgbench.cli.tables import print_plugins

    catalogue = Catalogue.load(again=True)
    if as_json:
        print_json([record.model_dump(mode="json") for record in catalogue.records])
    else:
        print_plugins(catalogue)


def plugins_show(
    name: Annotated[str, typer.Argument(help="A component: name, kind/name, or distribution/name.")], as_json: JsonOption = False
) -> None:
    """Show a component: what it is, its options and their types, what it asks of the platform."""
    from rrgbench.catalogue import Catalogue
    from rrgbench.cli.tables import print_component

    catalogue = Catalogue.load()
    first, _, last = name.rpartition("/")
    every = [spec for record in catalogue.records for spec in record.specs]
    found = [spec for spec in every if spec.name == last and first in ("", spec.kind, spec.distribution)]
    if not found:
        hint = catalogue.unknown(last, sorted({spec.name for spec in every}))
        raise ConfigError("no component of that name", got=repr(name), hint=hint)
    if as_json:
        print_json([spec.model_dump(mode="json") for spec in found])
        return
    for spec in found:
        print_component(spec)


def exec_step() -> None:
    """Serve step requests from standard input; executors start this."""
    from rrgbench.runner.worker import serve

    serve()


def _version(asked: bool) -> None:
    if asked:
        typer.echo(importlib.metadata.version("rrgbench"))
        raise typer.Exit


def _callback(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """Which part of a radiology report generator earns its keep, and can the number be believed?"""


def _add_plugin_commands(app: typer.Typer) -> None:
    """Let plugins add commands; only those that answer the hook are imported, and a broken one costs a warning.

    A command cannot take the place of one that is there.
    """
    from rrgbench.catalogue import Catalogue
    from rrgbench.catalogue.loading import call_hook, load_plugin

    for record in Catalogue.load().records:
        if "rrgbench_commands" not in record.hooks:
            continue
        points = importlib.metadata.distribution(record.distribution).entry_points.select(
            group="rrgbench", name=record.entry_point
        )
        taken = set(typer.main.get_group(app).commands)
        for point in points:
            more = typer.Typer()
            try:
                call_hook(load_plugin(point), "rrgbench_commands", cli=more)
                more.callback()(_callback)
                offered = set(typer.main.get_group(more).commands)
                if clash := offered & taken:
                    raise PluginError(f"plugin {point.name} offers commands that are there", got=", ".join(sorted(clash)))
            except RRGBenchError as error:
                logging.getLogger("rrgbench").warning("%s", error)
                continue
            app.registered_commands += more.registered_commands
            app.registered_groups += more.registered_groups


def make_app() -> typer.Typer:
    """The shell with every command."""
    from rrgbench.cli import comparing, outside
    from rrgbench.cli.data import data_check, data_list
    from rrgbench.cli.downloading import data_download
    from rrgbench.cli.graphing import data_graph
    from rrgbench.cli.page import leaderboard_build
    from rrgbench.cli.search import search
    from rrgbench.cli.writing import generate

    app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.callback()(_callback)
    app.command()(run)
    app.command()(plan)
    app.command()(search)
    app.command("exec-step", hidden=True)(exec_step)
    app.command()(outside.score)
    app.command()(comparing.compare)
    app.command()(generate)
    leaderboard = typer.Typer(no_args_is_help=True, help="Rows side by side, floors among them.")
    leaderboard.command("show")(leaderboard_show)
    leaderboard.command("build")(leaderboard_build)
    leaderboard.command("verify")(outside.verify)
    leaderboard.command("predictions")(outside.export_predictions)
    app.add_typer(leaderboard, name="leaderboard")
    data = typer.Typer(no_args_is_help=True, help="Data sets: what is installed, and whether its files are right.")
    data.command("list")(data_list)
    data.command("check")(data_check)
    data.command("download")(data_download)
    data.command("graph")(data_graph)
    app.add_typer(data, name="data")
    plugins = typer.Typer(no_args_is_help=True, help="What is installed.")
    plugins.command("list")(plugins_list)
    plugins.command("show")(plugins_show)
    app.add_typer(plugins, name="plugins")
    if os.environ.get("RRGBENCH_NO_PLUGIN_COMMANDS") != "1":
        _add_plugin_commands(app)
    return app
