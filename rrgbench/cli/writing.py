"""The command that writes a report for new films."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rrgbench.cli.app import JsonOption, StoreOption, print_json
from rrgbench.errors import RRGBenchError

if TYPE_CHECKING:
    from rrgbench.plan import Step
    from rrgbench.runner import RunResult
    from rrgbench.store import Store
    from rrgbench.writing import Ran, Run, Written

_EXECUTOR = "local"
_RUN = "A row's id, title or experiment:title; an experiment of one row; axis=label conditions; the id of a step that generates."


def generate(
    run: Annotated[str, typer.Argument(metavar="RUN", help=_RUN)],
    images: Annotated[
        list[Path] | None, typer.Argument(metavar="IMAGE...", help="The films of one study (PNG, JPEG, DICOM ..).")
    ] = None,
    context: Annotated[str, typer.Option(help="What the text encoder reads, such as the indication.")] = "",
    view: Annotated[
        list[str] | None, typer.Option(help="frontal, lateral, other or unknown; one for each film, in order.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Which seed, where the row has several.")] = None,
    experiment: Annotated[str | None, typer.Option(help="Only rows of the experiment of this name.")] = None,
    elsewhere: Annotated[
        bool, typer.Option("--elsewhere", help="With other numerics than the run's (another device or torch): words may differ.")
    ] = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the report of a trained run for the films of one new study, as it wrote those of test."""
    from rrgbench.store import Store, default_store
    from rrgbench.writing import find_run, write_report

    place = Store(store or default_store())
    found = find_run(place, run, seed, experiment)
    domain = place.done(found.step_id).domain or {}
    # Ranks are part of the numerics, though none of these steps trains.
    device, ranks = ("auto", 1) if elsewhere else (str(domain.get("device", "auto")), int(domain.get("world_size", 1)))
    options = {"workers": 1, "threads": int(domain.get("threads", 1)), "device": device, "ranks": ranks}
    ran = _runner(options, quiet=as_json)
    written = write_report(place, found, images or [], view or [], context, ran, elsewhere=elsewhere)
    for note in written.notes:
        _say("note", note)
    if found.row.license != "open":
        told = f"the run learnt from a data set that is not open ({found.row.dataset}): its licence goes with what it writes"
        _say("warning", told)
    if as_json:
        print_json(_about(found, written))
    else:
        typer.echo(written.report)


def _runner(options: Mapping[str, Any], quiet: bool) -> Ran:
    def ran(steps: Mapping[str, Step], step_id: str, beside: Store) -> RunResult:
        from rrgbench.catalogue import Catalogue
        from rrgbench.cli.progress import make_listener
        from rrgbench.plan import bare_plan
        from rrgbench.runner import make_executor, run_steps

        catalogue = Catalogue.load()
        executor = make_executor(catalogue, {"name": _EXECUTOR, **options})
        try:
            with make_listener(quiet=quiet or not sys.stderr.isatty()) as listener:
                return run_steps(bare_plan("generate", steps, catalogue), [step_id], beside, executor, catalogue, listener)
        finally:
            executor.close()

    return ran


def _about(run: Run, written: Written) -> dict[str, Any]:
    films = [{"path": str(path), "view": view} for path, view in zip(written.study.images, written.study.views, strict=True)]
    about = {"row": run.row.id, "title": run.row.title, "experiment": run.row.experiment, "seed": run.seed, "step": run.step_id}
    told = {"report": written.report, "images": films, "context": written.study.context, "notes": list(written.notes)}
    return {**told, "run": about}


def _say(what: str, told: str) -> None:
    sys.stderr.write(f"{what}: {RRGBenchError(told)}\n")
