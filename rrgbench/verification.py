"""Is a row what its predictions say? It is scored again with this code; the row is untrusted, whoever brought it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from rrgbench.catalogue import Catalogue, Component
from rrgbench.catalogue.restore import restore, with_options
from rrgbench.errors import DataError, RRGBenchError
from rrgbench.external import (
    REFERENCES,
    Given,
    Source,
    dataset_source,
    external_plan,
    measures,
    publish,
    reference_source,
    study_ids,
    why_not,
)
from rrgbench.plan import Plan
from rrgbench.plan.naming import floor_titles, metric_keys, value_names
from rrgbench.predictions import TextFile, match_studies, read_texts
from rrgbench.row import FORMAT, Row, Value
from rrgbench.store import Store

TOLERANCE = 1e-9
_LARGEST = 1 << 24
_MOST_SEEDS = 100

Scored = Callable[[Plan, Store], Row]
"""Runs a plan in a store and gives its last row."""


@dataclass(frozen=True)
class Check:
    """One comparison of what a row says and what is found here; ``reason`` is empty where they agree."""

    about: str
    reason: str


@dataclass
class Verdict:
    """What was compared, and what predictions alone cannot show."""

    checks: list[Check] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)

    @property
    def reasons(self) -> list[str]:
        """Why the row is refused."""
        return [check.reason for check in self.checks if check.reason]

    @property
    def verified(self) -> bool:
        """Whether everything that was compared agrees."""
        return not self.reasons

    def compare(self, about: str, what: str, row: Any, here: Any) -> bool:
        """Compare one thing; floats as close as ``TOLERANCE``."""
        same = _same(row, here)
        told = "" if same else str(RRGBenchError(what, got=_words(row), expected=f"{_words(here)}, as found here"))
        self.checks.append(Check(about, told))
        return same

    def refuse(self, about: str, reason: object) -> None:
        """Note what cannot even be compared."""
        self.checks.append(Check(about, str(reason)))


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(_same(*pair) for pair in zip(one, other, strict=True))
    if isinstance(one, float) and isinstance(other, (int, float)):
        return one == other or abs(one - other) <= TOLERANCE
    return bool(one == other)


def _words(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_words(item) for item in value) + "]"
    return str(value)


def read_row(path: Path) -> Row:
    """A row from anybody.

    Raises:
        DataError: unreadable, or not a row.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(_LARGEST + 1)
        if len(raw) > _LARGEST:
            raise DataError(f"{path} is too large", got=f"more than {_LARGEST} bytes", expected="a row")
        row = Row.model_validate_json(raw)
    except (OSError, ValueError) as error:
        if isinstance(error, ValidationError):
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"])) or "the whole"
            raise DataError(f"{path} is not a row: {place}", got=repr(first["input"])[:60], expected=first["msg"]) from error
        raise DataError(f"{path} cannot be read", got=getattr(error, "strerror", None) or error) from error
    if row.format != FORMAT:
        raise DataError(f"{path} is not a row of this version: format", got=row.format, expected=FORMAT)
    return row


@dataclass(frozen=True)
class _Named:
    """The components that a row names, as they are installed here."""

    dataset: Component | None
    protocol: Component
    metrics: tuple[Component, ...]
    floors: tuple[Component, ...]
    floor_seeds: tuple[int, ...]


def verify(
    row: Row, files: Sequence[Path], root: Path | None, references: Path | None, catalogue: Catalogue, store: Store, run: Scored
) -> Verdict:
    """Score again, and compare everything that can be compared.

    Args:
        row: untrusted.
        files: predictions, one file a seed, in the row's order.
        root: the folder of the data set, where it needs one.
        references: the reference file of a row that was scored against one.
        catalogue: what is installed.
        store: an empty one.
        run: runs a plan.

    Raises:
        RRGBenchError: nothing can be compared: no folder, an unreadable file of predictions.
    """
    verdict = Verdict()
    if row.dataset == REFERENCES and references is None:
        raise DataError("this row was scored against a reference file", hint="give it with --references")
    named = _named(row, catalogue, verdict)
    read = [read_texts(path) for path in files]
    if verdict.compare("seeds", "the number of predictions files, one a seed", len(row.seeds), len(files)):
        verdict.compare("seeds", "seeds, each once", len(row.seeds), len(set(row.seeds)))
    if named is None or not verdict.verified:
        return verdict
    if named.dataset is None:
        assert references is not None
        source = reference_source(store, read_texts(references, ("reference", "report")))
        verdict.compare("data set", "the references", row.dataset_options, source.dataset.identity()["options"])
    else:
        source = dataset_source(store, named.dataset, root, row.split)
    test = source.record.splits["test"]
    verdict.compare("studies", "n", row.n, test.studies)
    verdict.compare("studies", "subjects", row.subjects, test.subjects)
    verdict.compare("licence", "license", row.license, source.record.license)
    given = _published(row, read, source, store, verdict)
    if given is None:
        return verdict
    how = measures(source, named.protocol, named.metrics, named.floors)
    here = run(external_plan(source, how, given, named.floor_seeds), store)
    verdict.compare("predictions", "the digests of the predictions", row.predictions, here.predictions)
    _compare_names(row, here, verdict)
    _compare_values(row, here, source, named, verdict)
    _compare_floors(row, here, verdict)
    return verdict


def _compare_names(row: Row, here: Row, verdict: Verdict) -> None:
    verdict.compare("data set", "dataset", row.dataset, here.dataset)
    verdict.compare("protocol", "protocol", row.protocol, here.protocol)
    if row.kind == "floor":
        what = "kind: predictions are never a floor; floors are made where they are needed"
        verdict.refuse("kind", RRGBenchError(what, got="floor", expected="cell or external"))
    verdict.unchecked += TOLD


TOLD = ("title and labels", "kind", "configuration", "parameters", "train seconds", "AUROC after stages", "provenance")
"""What a row tells of itself, and predictions cannot show."""


def _named(row: Row, catalogue: Catalogue, verdict: Verdict) -> _Named | None:
    """The installed components that the row names; None where one cannot be had."""

    def attempt(about: str, make: Callable[[], Component]) -> Component | None:
        try:
            return make()
        except RRGBenchError as error:
            verdict.refuse(about, error)
            return None

    dataset = None
    if row.dataset != REFERENCES:
        dataset = attempt("data set", lambda: _dataset(row, catalogue))
    protocol = attempt(
        "protocol", lambda: with_options(catalogue, "protocols", row.protocol, row.protocol_options, "row: protocol")
    )
    metrics = [_restored(catalogue, "metrics", f"metrics.{key}", identity, verdict) for key, identity in row.metrics.items()]
    floors = [
        _restored(catalogue, "floors", f"floor_origins.{title}", origin.component, verdict)
        for title, origin in row.floor_origins.items()
    ]
    if not row.metrics:
        verdict.refuse("metrics", "the row names no metric: there is nothing to score again")
    if not verdict.verified:
        return None
    assert protocol is not None
    found = tuple(metric for metric in metrics if metric is not None)
    made = tuple(floor for floor in floors if floor is not None)
    verdict.compare("metrics", "the names of the metrics", list(row.metrics), list(metric_keys(found)))
    verdict.compare("floors", "the names of the floors", list(row.floor_origins), floor_titles(made))
    if dataset is not None:
        verdict.compare("data set", "dataset_options", row.dataset_options, dataset.identity()["options"])
    verdict.compare("protocol", "protocol_options", row.protocol_options, protocol.identity()["options"])
    return _Named(dataset, protocol, found, made, _floor_seeds(row, made, verdict))


def _dataset(row: Row, catalogue: Catalogue) -> Component:
    for name, value in row.dataset_options.items():
        if isinstance(value, str) and (re.search(r"[/\\]", value) or value.startswith((".", "~"))):
            what = f"row: dataset_options.{name} looks like a path"
            raise DataError(
                what, got=repr(value), expected="nothing that says what is read here", hint="give folders with --root"
            )
    return with_options(catalogue, "datasets", row.dataset, row.dataset_options, "row: dataset")


def _restored(catalogue: Catalogue, kind: str, where: str, identity: Any, verdict: Verdict) -> Component | None:
    """The component of an identity, its version and those inside it compared."""
    about = kind
    try:
        component = restore(catalogue, kind, identity, f"row: {where}")
    except RRGBenchError as error:
        verdict.refuse(about, error)
        return None
    ours = component.identity()
    differing = list(_differences(identity, ours, where))
    for place, one, other in differing:
        verdict.compare(about, place, one, other)
    if not differing:
        verdict.checks.append(Check(about, ""))
    return component


def _differences(row: Any, here: Any, place: str) -> Iterable[tuple[str, Any, Any]]:
    if isinstance(row, dict) and isinstance(here, dict):
        for key in dict.fromkeys((*row, *here)):
            yield from _differences(row.get(key), here.get(key), f"{place}.{key}")
    elif not _same(row, here):
        yield place, row, here


def _floor_seeds(row: Row, floors: Sequence[Component], verdict: Verdict) -> tuple[int, ...]:
    """The seeds of the floors that draw: one list for all of them."""
    drawn: list[int] = []
    for (title, origin), floor in zip(row.floor_origins.items(), floors, strict=True):
        own = [seed for seed in origin.seeds if seed is not None]
        wanted: list[Any] = [None] if not floor.attributes["draws"] else drawn or own[:_MOST_SEEDS]
        verdict.compare("floors", f"floor_origins.{title}.seeds", origin.seeds, wanted)
        drawn = drawn or own
    return tuple(drawn)


def _published(row: Row, files: Sequence[TextFile], source: Source, store: Store, verdict: Verdict) -> Given | None:
    """The predictions as artifacts; None where they are of other studies."""
    wanted, runs, before = study_ids(store, source), dict[int, str](), len(verdict.reasons)
    for seed, file in zip(row.seeds, files, strict=True):
        try:
            runs[seed] = publish(store, source, match_studies(file, wanted, source.title, source.elsewhere))
            verdict.checks.append(Check("study ids", ""))
        except DataError as error:
            verdict.refuse("study ids", error)
    return Given(row.title, runs) if len(verdict.reasons) == before else None


def _compare_values(row: Row, here: Row, source: Source, named: _Named, verdict: Verdict) -> None:
    keys = metric_keys(named.metrics)
    names = value_names(keys)
    beyond = {name for key, metric in keys.items() if why_not(metric, source) for name in names[key].values()}
    for name, value in here.values.items():
        if name in row.values:
            _compare_value(name, row.values[name], value, verdict)
        else:
            told = "says that it is not applicable" if name in row.not_applicable else "has none"
            verdict.refuse("values", RRGBenchError(f"value {name}: the row {told}", expected=value.value))
    for name in row.values:
        if name not in here.values and name in beyond:
            verdict.unchecked.append(name)
        elif name not in here.values:
            verdict.refuse("values", RRGBenchError(f"value {name}: none of the row's metrics gives it"))


def _compare_value(name: str, row: Value, here: Value, verdict: Verdict) -> None:
    for key in dict.fromkeys((*here.signature, *row.signature)):
        verdict.compare("signature", f"signature of {name}: {key}", row.signature.get(key), here.signature.get(key))
    verdict.compare("values", f"value {name}", row.value, here.value)
    verdict.compare("intervals", f"interval of {name}", [row.low, row.high], [here.low, here.high])
    verdict.compare("seeds", f"seeds of {name}", row.seeds, here.seeds)
    verdict.compare("seeds", f"spread of {name} over seeds", row.sd, here.sd)
    verdict.compare("values", f"metric and better way of {name}", [row.metric, row.better], [here.metric, here.better])


def _compare_floors(row: Row, here: Row, verdict: Verdict) -> None:
    for floor, values in row.floors.items():
        if floor not in here.floors:
            hint = "run the experiment again: rows say so since then"
            verdict.refuse("floors", RRGBenchError(f"floor {floor}: the row does not say how it is made", hint=hint))
            continue
        for name, value in values.items():
            verdict.compare("floors", f"floor {floor}: {name}", value, here.floors[floor].get(name))
        for name in (name for name in here.floors[floor] if name not in values):
            verdict.compare("floors", f"floor {floor}: {name}", None, here.floors[floor][name])
    for floor in (floor for floor in row.floor_origins if floor not in row.floors):
        verdict.refuse("floors", RRGBenchError(f"floor {floor}: the row has no values of it"))
