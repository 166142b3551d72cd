"""The command that fetches the public files of a data set."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rrgbench.cli.app import JsonOption, print_json
from rrgbench.errors import ConfigError
from rrgbench.types import Download

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


def data_download(
    name: Annotated[str, typer.Argument(help="A data set: name, or distribution/name.")],
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="The folder that it shall lie in.")],
    only: Annotated[list[str] | None, typer.Option("--only", metavar="FILE", help="Only this file of it; repeatable.")] = None,
    url: Annotated[
        str | None, typer.Option("--url", metavar="BASE", help="Fetch BASE/FILE instead of the official address.")
    ] = None,
    resume: Annotated[bool, typer.Option(help="Go on with what an earlier call left.")] = True,
    keep_archives: Annotated[bool, typer.Option("--keep-archives", help="Keep an archive that was unpacked.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Fetch a data set's public files: resumable, checked, safely unpacked. Credentialed data is never fetched."""
    from rrgbench.download import obtain

    wanted = _wanted(name, only)
    with _shown(as_json) as progress:
        done = obtain(wanted, to, progress, base=url, resume=resume, keep_archives=keep_archives)
    if as_json:
        print_json([{**dataclasses.asdict(item), "path": str(item.path)} for item in done])
        return
    known = {item.name: item.sha256 for item in wanted}
    for item in done:
        files = f", {item.files} files" if item.files is not None else ""
        checked = "as published" if known[item.name] else "no digest is published; this is the one seen"
        digest = f", SHA-256 {item.sha256} ({checked})" if item.sha256 else ""
        typer.echo(f"{'was there: ' if item.was_there else ''}{item.path}{files}{digest}")
    typer.echo(f"use it: --set base.dataset.root={to}")


def _wanted(name: str, only: list[str] | None) -> list[Download]:
    """What a data set offers for download.

    Raises:
        ConfigError: no such data set, nothing to fetch, nothing that may be fetched, or no file of that name.
    """
    from pydantic import TypeAdapter

    from rrgbench.catalogue import Catalogue, did_you_mean

    catalogue = Catalogue.load()
    spec = catalogue.find("datasets", name, "data download")
    access = str(spec.attributes.get("access") or "see docs/datasets.md")
    if spec.attributes["license"] != "open":
        raise ConfigError(f"data set {name} is credentialed, and never downloaded", hint=access)
    offered = TypeAdapter(list[Download]).validate_python(spec.attributes.get("downloads") or [])
    if not offered:
        raise ConfigError(f"data set {name} has nothing to download", hint=access)
    names = [item.name for item in offered]
    for one in only or ():
        if one not in names:
            raise ConfigError("--only", got=repr(one), expected=" or ".join(names), hint=did_you_mean(one, names))
    return [item for item in offered if not only or item.name in only]


class _Bars:
    """One bar a file."""

    def __init__(self, shown: Progress) -> None:
        self._shown = shown
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, what: str, done: int, total: int | None) -> None:
        if what not in self._tasks:
            self._tasks[what] = self._shown.add_task(what, total=total)
        self._shown.update(self._tasks[what], completed=done, total=total)


class _Lines:
    """A line every half minute, for logs."""

    def __init__(self) -> None:
        self._told = time.monotonic()

    def __call__(self, what: str, done: int, total: int | None) -> None:
        if time.monotonic() - self._told >= 30.0:
            self._told = time.monotonic()
            sys.stderr.write(f"{what}: {done}" + (f" of {total}\n" if total else "\n"))
            sys.stderr.flush()


@contextlib.contextmanager
def _shown(quiet: bool) -> Iterator[Any]:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield (lambda what, done, total: None) if quiet else _Lines()
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as shown:
        yield _Bars(shown)
