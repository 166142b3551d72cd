"""The commands about data sets."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rrgbench.cli.app import JsonOption, print_json

if TYPE_CHECKING:
    from rrgbench.checking import Checked


def data_list(as_json: JsonOption = False) -> None:
    """List the data sets that are installed, with their licences and what they are."""
    from rrgbench.catalogue import Catalogue
    from rrgbench.cli.tables import print_data_sets

    specs = [spec for record in Catalogue.load().records for spec in record.specs if spec.kind == "datasets"]
    if as_json:
        print_json([spec.model_dump(mode="json") for spec in specs])
    else:
        print_data_sets(specs)


def data_check(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The data set.")],
    root: Annotated[Path | None, typer.Option("--root", help="Its folder [$RRGBENCH_DATA/NAME].")] = None,
    options: Annotated[
        list[str] | None, typer.Option("--set", metavar="OPTION=VALUE", help="An option of the data set; repeatable.")
    ] = None,
    films: Annotated[bool, typer.Option(help="Open every film.")] = True,
    as_json: JsonOption = False,
) -> None:
    """Read a data set as a run would and tell its numbers, what is wrong and how to repair it; exit 2 where something must be."""
    from rrgbench.catalogue import Catalogue
    from rrgbench.checking import check
    from rrgbench.cli.checked import print_checked
    from rrgbench.cli.outside import dataset_options

    component = Catalogue.load().resolve("datasets", dataset_options(name, options or []), "NAME")
    with _bar(quiet=as_json) as progress:
        checked = check(component, root, films=films, progress=progress)
    if as_json:
        print_json(_plain(checked))
    else:
        print_checked(checked)
    if not checked.is_right:
        raise typer.Exit(2)


def _plain(checked: Checked) -> dict[str, object]:
    return {**checked.model_dump(mode="json"), "is_right": checked.is_right}


@contextlib.contextmanager
def _bar(quiet: bool) -> Iterator[Callable[[int, int], None] | None]:
    """A bar with the time left while films are opened; nothing where nobody looks."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("opening films", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
