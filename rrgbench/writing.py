"""Reports for new films by a trained run: its own steps, on other inputs, in a store that is gone afterwards."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rrgbench import errors
from rrgbench.catalogue import did_you_mean
from rrgbench.comparison import load_candidates, select
from rrgbench.data import load_inputs, record_inputs
from rrgbench.errors import ConfigError, DataError, RRGBenchError, StoreError
from rrgbench.films import open_film
from rrgbench.plan import Step
from rrgbench.row import Row
from rrgbench.runner import RunResult
from rrgbench.runs import Kept, image_encoder, read_run, text_encoder
from rrgbench.steps.context import read_predictions
from rrgbench.store import Failure, Store
from rrgbench.text import treat_placeholders
from rrgbench.types import VIEWS, Inputs

STUDY = "given"
"""The study that new films are. Its subject is none of a data set's: what is retrieved for it may come from all of train."""

_SHORTEST = 8

Ran = Callable[[Mapping[str, Step], str, Store], RunResult]
"""Runs one of some steps, and what it rests on, in a store."""


@dataclass(frozen=True)
class Run:
    """A trained run: its row, its seed, and the step that wrote its reports of test."""

    row: Row
    seed: int
    step_id: str

    @property
    def title(self) -> str:
        """For people, and a name that ``find_run`` takes."""
        return f"{self.row.experiment}:{self.row.title}"


def find_run(store: Store, name: str, seed: int | None = None, experiment: str | None = None) -> Run:
    """The run that a name means: a row as ``compare`` takes one, an experiment of one cell, or a step that generates (or the
    beginning of its id).

    Args:
        store: where it is.
        name: of the row, experiment or step.
        seed: which run of the row; None where there is one.
        experiment: only rows of this one.

    Raises:
        ConfigError: nothing has that name, or several things; a floor or predictions from outside, which no model wrote.
        StoreError: a row cannot be read.
    """
    rows = load_candidates(store, experiment)
    text = name.strip()
    if not text:
        raise ConfigError("RUN is empty", hint=_known(rows))
    steps = [(row, int(key.removeprefix("seed ")), step) for row in rows for key, step in row.steps.items() if row.kind == "cell"]
    named = [found for found in steps if len(text) >= _SHORTEST and found[2].startswith(text)]
    if len({step for *_, step in named}) == 1:
        row, own, step_id = named[0]
        if seed not in (None, own):
            raise ConfigError(f"--seed {seed} is not that of the step {text}", got=own, hint="leave one of them out")
        return Run(row, own, step_id)
    row = _row(rows, text)
    if row.kind != "cell":
        what = "a floor" if row.kind == "floor" else "predictions from outside"
        raise ConfigError(f"RUN {name!r} is {what}", expected="a row of a trained model", hint=_known(rows))
    if seed is None and len(row.seeds) > 1:
        hint = f"give --seed {row.seeds[0]}, say"
        raise ConfigError(f"row {row.title} has the seeds {', '.join(map(str, row.seeds))}", expected="one", hint=hint)
    chosen = row.seeds[0] if seed is None else seed
    if f"seed {chosen}" not in row.steps:
        raise ConfigError("--seed", got=seed, expected=" or ".join(map(str, row.seeds)))
    return Run(row, chosen, row.steps[f"seed {chosen}"])


def _row(rows: Sequence[Row], name: str) -> Row:
    cells = [row for row in rows if row.kind == "cell"]
    found = [row for row in cells if row.experiment == name]
    if not found:
        try:
            found = list(select(rows, name, "RUN").rows)
        except ConfigError as error:
            if "no such row" not in error.what:
                raise
            near = did_you_mean(name, sorted({word for row in cells for word in (row.experiment, row.title, row.id[:12])}))
            raise ConfigError("RUN: no such run", got=repr(name), hint=near or _known(rows)) from error
    if len(found) > 1:
        hint = "name one by its id, or as experiment:title"
        raise ConfigError(f"RUN {name!r} names {len(found)} rows", got=_listed(found), expected="one", hint=hint)
    return found[0]


def _listed(rows: Sequence[Row]) -> str:
    more = f" and {len(rows) - 4} more" if len(rows) > 4 else ""
    return " | ".join(f"{row.id[:12]} {row.experiment}:{row.title}" for row in rows[:4]) + more


def _known(rows: Sequence[Row]) -> str:
    cells = [row for row in rows if row.kind == "cell"]
    return f"there is {_listed(cells)}" if cells else "no row of this store is of a trained model"


@dataclass(frozen=True)
class Written:
    """A report, what it was written from, and what the user should know of it."""

    report: str
    study: Inputs
    notes: tuple[str, ...]


def write_report(
    store: Store, run: Run, images: Sequence[Path], views: Sequence[str], context: str, ran: Ran, *, elsewhere: bool = False
) -> Written:
    """The report of a run for one new study: every step behind its reports of test that reads inputs is done again for it.

    Args:
        store: of the run; it is read only.
        run: as ``find_run`` gives it.
        images: the films of one study, files of unknown origin.
        views: one a film, or none: then those that train studies have most often in these places.
        context: what the text encoder reads, such as the indication; placeholders become what they became in the run's.
        ran: runs a step.
        elsewhere: with other numerics than the run's, so that a word may come out differently.

    Raises:
        ConfigError, DataError: films or text that the run does not read, or lacks; a film that cannot be opened.
        StoreError: an artifact of the run is gone.
    """
    kept = read_run(store, run.step_id)
    _check_given(kept, images, context)
    for image in images:
        _open(image)
    chosen, notes = _views(store, kept, len(images), views)
    rule = run.row.dataset_options.get("context_placeholders", "keep")
    study = Inputs(
        study_id=STUDY,
        subject_id=f"{STUDY} to rrgbench",
        images=tuple(image.resolve() for image in images),  # `link/..` is not where it seems to be
        views=chosen,
        context=treat_placeholders(context, rule) if rule in ("drop", "token") else context,
    )
    if text_encoder(kept) and not study.context.strip():
        notes += ("this run reads a context, and none is given: its text encoder sees an empty one (--context)",)
    with _beside(store, kept) as place:
        step_id, steps = _steps(kept, record_inputs(place, study), elsewhere)
        result = ran(steps, step_id, place)
        if result.failures:
            raise _told(result.failures[0])
        report = read_predictions(place.whole(step_id) / "predictions.jsonl")[STUDY]
    return Written(report, study, notes)


def _told(failure: Failure) -> RRGBenchError:
    """Why a step failed, as the mistake that it was."""
    changed, mark, _ = failure.error.partition(" changed after the plan was made")
    if mark:
        hint = "run its experiment again, which trains a run of what there is now; or go back to what there was"
        return ConfigError(f"{changed} changed since this run was trained", hint=hint)
    kind: type[RRGBenchError] = getattr(errors, failure.mistake or "RRGBenchError", RRGBenchError)
    return kind(failure.error if failure.mistake else f"{failure.title} failed: {failure.error}")


def _open(image: Path) -> None:
    """Try a film here: a worker takes seconds to start."""
    if image.exists() and not image.is_file() and not image.is_dir():  # a pipe would be waited for
        raise DataError(f"film {image} cannot be read", got="a pipe or a device", expected="an image file")
    try:
        open_film(image, STUDY)
    except DataError as error:
        raise DataError(
            f"film {image} cannot be read", got=error.got, expected=error.expected, hint="give another file"
        ) from error


def _check_given(kept: Kept, images: Sequence[Path], context: str) -> None:
    if image_encoder(kept) and not images:
        raise ConfigError("this run looks at films", got="none", expected="one image file or more")
    if images and not image_encoder(kept):
        raise ConfigError(
            "this run looks at no film", got=f"{len(images)} images", hint="leave them out: it reads the context alone"
        )
    if context.strip() and not text_encoder(kept):
        raise ConfigError("this run reads no context", got="--context", hint="leave it out: it looks at films alone")
    try:
        context.encode()
    except UnicodeEncodeError as error:
        raise ConfigError("--context", got="half a character (a surrogate escape)", expected="text in UTF-8") from error


def _views(store: Store, kept: Kept, films: int, given: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The view of each film, and what there is to say about it."""
    if unknown := [view for view in given if view not in VIEWS]:
        raise ConfigError("--view", got=unknown[0], expected=" or ".join(VIEWS), hint=did_you_mean(unknown[0], VIEWS))
    if given and len(given) != films:
        raise ConfigError("--view", got=f"{len(given)} views", expected=f"one for each of {films} films, in their order, or none")
    if not films:
        return (), ()
    train = load_inputs(store, str(kept.requests[-1]["payload"]["train"]["inputs"]), Path())
    seen = Counter(view for study in train for view in study.views)
    if given:
        strange = sorted({view for view in given if not seen[view]})
        told = f"no film of train has the view {', '.join(strange)}: what the model makes of it was never learnt"
        return tuple(given), (told,) if strange else ()
    places = [Counter(study.views[place] for study in train if place < len(study.views)) for place in range(films)]
    chosen = tuple(min((at or seen).items(), key=lambda pair: (-pair[1], pair[0]))[0] for at in places)
    told = f"views taken: {', '.join(chosen)}, as most train studies have them (--view says otherwise)"
    return chosen, (told,) if len(seen) > 1 else ()


@contextmanager
def _beside(store: Store, kept: Kept) -> Iterator[Store]:
    """A store that holds what the run's steps rest on, by links, and is gone afterwards with what was made in it.

    Raises:
        StoreError: an artifact of the run is gone.
    """
    own = {request["id"] for request in kept.requests}
    rests = {step_id for request in kept.requests for ids in request["upstream"].values() for step_id in ids} - own
    gone = sorted(step_id for step_id in rests if not store.is_done(step_id))
    if gone:
        got, hint = (
            f"{len(gone)} artifacts gone, {gone[0][:12]} first",
            "`rrgbench run EXPERIMENT` with this --store makes them again",
        )
        raise StoreError("the run is not whole any more", got=got, hint=hint)
    with tempfile.TemporaryDirectory(prefix="rrgbench-") as folder:
        place = Store(Path(folder))
        place.create()
        for step_id in rests:
            link = place.artifact(step_id)
            link.parent.mkdir(exist_ok=True)
            link.symlink_to(store.artifact(step_id), target_is_directory=True)
        for path in (store.root / "data").glob("*.jsonl"):
            (place.root / "data" / path.name).symlink_to(path)
        yield place


def _steps(kept: Kept, inputs: str, elsewhere: bool) -> tuple[str, dict[str, Step]]:
    """The run's steps on other inputs, by their ids; and which one writes."""
    steps: dict[str, Step] = {}
    renamed: dict[str, str] = {}
    for request in kept.requests:
        payload: dict[str, Any] = {**request["payload"], "inputs": inputs, **({"elsewhere": True} if elsewhere else {})}
        upstream = {role: tuple(renamed.get(up, up) for up in ids) for role, ids in request["upstream"].items()}
        folders = {**request["folders"], inputs: os.sep}
        title = f"{request['kind']} for given films"
        step = Step(request["kind"], title, payload, upstream, request["seed"], folders, request["license"])
        steps[step.id] = step
        renamed[request["id"]] = step.id
    return renamed[kept.requests[-1]["id"]], steps
