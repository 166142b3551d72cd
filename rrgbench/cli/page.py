"""The command that writes the leaderboard's page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rrgbench.cli.app import StoreOption
from rrgbench.errors import ConfigError


def leaderboard_build(
    experiment: Annotated[str | None, typer.Argument(help="Only rows of the experiment of this name.")] = None,
    store: StoreOption = None,
    out: Annotated[Path | None, typer.Option("--out", help="The file to write [leaderboard.html in the store].")] = None,
) -> None:
    """Write one HTML page of a store's rows: tables, plots, provenance. It needs no network and no other file."""
    from rrgbench.leaderboard import load_rows
    from rrgbench.leaderboard.page import write_page
    from rrgbench.row import no_rows
    from rrgbench.store import default_store

    place = store or default_store()
    found = load_rows(place, experiment)
    if not found:
        raise no_rows(place / "rows", experiment)
    path = out or place / "leaderboard.html"
    if path.is_dir():
        raise ConfigError("--out", got=f"the folder {path}", expected="a file")
    write_page(found, path)
    typer.echo(path)
