"""Commands about numbers from outside: score predictions, take a row's predictions out, verify a row."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rrgbench.cli.app import JsonOption, StoreOption, print_json
from rrgbench.errors import ConfigError, DataError, RRGBenchError

if TYPE_CHECKING:
    from rrgbench.catalogue import Catalogue
    from rrgbench.external import Measures, Source
    from rrgbench.plan import Plan
    from rrgbench.predictions import TextFile
    from rrgbench.runner import RunResult
    from rrgbench.store import Store

_EXECUTOR = "local"

_FILES = "CSV, JSON or JSONL with study_id and prediction; several files are several seeds."
FilesArgument = Annotated[list[Path], typer.Argument(metavar="PREDICTIONS", help=_FILES)]
DatasetOption = Annotated[str | None, typer.Option("--dataset", help="Score on the split of this data set.")]
RootOption = Annotated[Path | None, typer.Option("--root", help="The folder of the data set.")]
ReferencesOption = Annotated[
    Path | None, typer.Option("--references", help="Score against this file: study_id and reference (or report).")
]
LikeOption = Annotated[Path | None, typer.Option("--like", help="Data set, protocol, metrics, floors of this experiment.")]
OptionOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="OPTION=VALUE", help="An option of the data set; repeatable.")
]


def score(
    predictions: FilesArgument,
    dataset: DatasetOption = None,
    root: RootOption = None,
    options: OptionOption = None,
    split: Annotated[str, typer.Option(help="test or validate.")] = "test",
    references: ReferencesOption = None,
    like: LikeOption = None,
    protocol: Annotated[str | None, typer.Option(help="The protocol [raw]; a YAML mapping gives its options.")] = None,
    metrics: Annotated[str | None, typer.Option(help="Which metrics, with commas, or a YAML list [all that apply].")] = None,
    floors: Annotated[str | None, typer.Option(help="Which floors, with commas, or `none` [all].")] = None,
    title: Annotated[str | None, typer.Option(help="The name of the row [that of the file].")] = None,
    values: Annotated[str | None, typer.Option(help="Which values to show, with commas; `all` for every one.")] = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Score any system's predictions, floors beside them; the row stands in the leaderboard with the others."""
    from rrgbench.catalogue import Catalogue
    from rrgbench.external import Given, external_plan, publish, study_ids
    from rrgbench.predictions import match_studies, read_texts
    from rrgbench.store import Store, default_store

    given = [read_texts(path) for path in predictions]
    catalogue, place = Catalogue.load(), Store(store or default_store())
    asked = _Asked(dataset, root, options or [], split, references, like, protocol, metrics, floors)
    asked.check()
    place.create()
    source, how, floor_seeds = asked.resolve(catalogue, place)
    wanted = study_ids(place, source)
    matched = [match_studies(file, wanted, source.title, source.elsewhere) for file in given]
    runs = {seed: publish(place, source, texts) for seed, texts in enumerate(matched)}
    plan = external_plan(source, how, Given(title or predictions[0].stem, runs), floor_seeds)
    result = _run(plan, place, catalogue, quiet=as_json)
    _tell(result, place, given, how, values, as_json)


class _Asked:
    """What `score` was asked to score against, and how."""

    def __init__(self, dataset: str | None, root: Path | None, options: list[str], split: str, *more: Any) -> None:
        self.dataset, self.root, self.options, self.split = dataset, root, options, split
        self.references, self.like, self.protocol, self.metrics, self.floors = more

    def check(self) -> None:
        """Raise what contradicts itself."""
        ways = {"--dataset": self.dataset, "--references": self.references, "--like": self.like}
        named = [name for name, value in ways.items() if value is not None]
        if len(named) != 1:
            raise ConfigError("what to score against", got=" and ".join(named) or "nothing", expected=f"one of {', '.join(ways)}")
        if self.split not in ("test", "validate"):
            raise ConfigError("--split", got=self.split, expected="test or validate")
        others = {"--root": self.root, "--set": self.options or None, "--floors": self.floors, "--metrics": self.metrics}
        others |= {"--protocol": self.protocol, "--split": None if self.split == "test" else self.split}
        useless = {"--references": ("--root", "--set", "--split", "--floors"), "--like": ("--metrics", "--protocol", "--floors")}
        for name in useless.get(named[0], ()):
            if others[name] is not None:
                raise ConfigError(f"{name} says nothing beside {named[0]}", hint="leave it out")

    def resolve(self, catalogue: Catalogue, store: Store) -> tuple[Source, Measures, Sequence[int] | None]:
        """The source and the measures; the seeds of floors where an experiment says."""
        from rrgbench.experiment import ExperimentConfig
        from rrgbench.external import chosen, dataset_source, installed, measures, reference_source, why_not
        from rrgbench.predictions import read_texts

        if self.like is not None:
            return self._like(catalogue, store, self.like)
        named = self.protocol if self.protocol is not None else ExperimentConfig.model_fields["protocol"].default
        protocol = catalogue.resolve("protocols", _yaml(named, "--protocol"), "--protocol")
        metrics = None if self.metrics is None else chosen(catalogue, "metrics", _list(self.metrics, "--metrics"), "--metrics")
        floors = None if self.floors is None else chosen(catalogue, "floors", _list(self.floors, "--floors"), "--floors")
        if metrics == ():
            raise ConfigError("--metrics", got="none", expected="at least one")
        if self.references is not None:
            source = reference_source(store, read_texts(self.references, ("reference", "report")))
        else:
            component = catalogue.resolve("datasets", dataset_options(self.dataset, self.options), "--dataset")
            source = dataset_source(store, component, self.root, "validate" if self.split == "validate" else "test")
        left_out: dict[str, str] = {}
        if metrics is None:
            metrics, left_out = installed(catalogue, "metrics")
        if floors is None:
            floors, more = installed(catalogue, "floors")
            left_out |= more
        for name, why in left_out.items():
            _warn(f"{name} is left out: {why}")
        how = measures(source, protocol, metrics, floors)
        if self.metrics is not None:
            for metric in metrics:
                if why := why_not(metric, source):
                    raise ConfigError(f"--metrics: {metric.name} cannot be computed", got=why)
        return source, how, None

    def _like(self, catalogue: Catalogue, store: Store, path: Path) -> tuple[Source, Measures, Sequence[int]]:
        from rrgbench.experiment import Experiment
        from rrgbench.external import dataset_source, measures
        from rrgbench.identity import digest

        experiment = Experiment.load(path, self.options).resolve(catalogue)
        datasets = {digest([cell.dataset.identity(), str(cell.root)]): cell for cell in experiment.cells}
        if len(datasets) > 1:
            raise ConfigError(f"{path}: cells of {len(datasets)} data sets", expected="one", hint="give --dataset instead")
        (cell,) = datasets.values()
        source = dataset_source(store, cell.dataset, self.root or cell.root, "validate" if self.split == "validate" else "test")
        return source, measures(source, experiment.protocol, experiment.metrics, experiment.floors), experiment.seeds


def _yaml(text: str, where: str) -> Any:
    from rrgbench.experiment.yaml import parse_yaml

    return parse_yaml(text, where)


def _list(text: str, where: str) -> list[Any]:
    """Names with commas, or a YAML list; `none` is an empty one."""
    if text.strip() == "none":
        return []
    if text.lstrip().startswith(("[", "{")):
        value = _yaml(text, where)
        return value if isinstance(value, list) else [value]
    return [name.strip() for name in text.split(",") if name.strip()]


def dataset_options(dataset: str | None, options: Sequence[str]) -> Any:
    """A data set with its options, in the words of an experiment, from ``--set OPTION=VALUE``."""
    from rrgbench.experiment.paths import set_path

    value: Any = {"name": dataset}
    for option in options:
        path, sign, text = option.partition("=")
        if not sign or not path.strip() or path.strip() in ("name", "root"):
            hint = "--root gives the folder" if path.strip() == "root" else ""
            raise ConfigError("--set", got=repr(option), expected="option=value", hint=hint)
        value = set_path(value, path.strip(), _yaml(text, f"--set {path.strip()}"), f"--set {option}")
    return value


def _run(plan: Plan, store: Store, catalogue: Catalogue, quiet: bool) -> RunResult:
    from rrgbench.cli.progress import make_listener
    from rrgbench.runner import make_executor, run_plan

    with make_listener(quiet=quiet) as listener:
        return run_plan(plan, store, make_executor(catalogue, _EXECUTOR), catalogue, listener)


def _warn(text: str) -> None:
    sys.stderr.write(f"warning: {RRGBenchError(text)}\n")


def _tell(result: RunResult, store: Store, given: Sequence[TextFile], how: Measures, values: str | None, as_json: bool) -> None:
    """The table, or everything as JSON; warnings and what was read on standard error."""
    from rrgbench.cli.tables import USER_MISTAKES, print_boards, print_failures
    from rrgbench.external import below_floors, collapse
    from rrgbench.leaderboard import boards

    row = next((row for row in result.rows if row.kind == "external"), None)
    warnings = [f"{file.path}: {told}" for file in given if (told := collapse(file.texts))]
    warnings += below_floors(row) if row is not None else []
    notes = []
    for file in given:
        empty = f", {len(file.empty)} of them empty" if file.empty else ""
        ignored = f"; not read: {', '.join(file.ignored)}" if file.ignored else ""
        notes.append(f"{file.path}: {len(file.texts)} predictions ({file.format}){empty}{ignored}")
    if as_json:
        read = [
            {"path": str(f.path), "format": f.format, "n": len(f.texts), "empty": list(f.empty), "ignored": list(f.ignored)}
            for f in given
        ]
        others = [other.model_dump(mode="json") for other in result.rows if other.kind == "floor"]
        failures = [failure.model_dump() for failure in result.failures]
        about = {"row": row.model_dump(mode="json") if row else None, "floors": others, "warnings": warnings, "read": read}
        print_json({**about, "executed": dict(result.executed), "failures": failures})
    else:
        for note in notes:
            sys.stderr.write(f"{RRGBenchError(note)}\n")
        print_boards(boards(result.rows), values)
        for why in dict.fromkeys(how.missing.values()):
            names = ", ".join(name for name, reason in how.missing.items() if reason == why)
            sys.stderr.write(f"{RRGBenchError(f'not applicable, since {why}: {names}')}\n")
    for warning in warnings:
        _warn(warning)
    if result.failures:
        print_failures(result, store)
        raise typer.Exit(2 if all(failure.mistake in USER_MISTAKES for failure in result.failures) else 1)


def verify(
    row: Annotated[Path, typer.Argument(metavar="ROW", help="The file of a row.")],
    predictions: Annotated[list[Path], typer.Option("--predictions", help="Its predictions, a file a seed, in the row's order.")],
    root: RootOption = None,
    references: Annotated[
        Path | None, typer.Option("--references", help="The references, where the row has no data set.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Score a row's predictions again with this code and compare; exit 1 where the row is refused."""
    from rrgbench.catalogue import Catalogue
    from rrgbench.store import Store
    from rrgbench.verification import read_row
    from rrgbench.verification import verify as verify_row

    catalogue, brought = Catalogue.load(), read_row(row)

    def run(plan: Plan, store: Store) -> Any:
        result = _run(plan, store, catalogue, quiet=True)
        if result.failures:
            failure = result.failures[0]
            raise DataError(f"the predictions cannot be scored: {failure.title}", got=failure.error)
        return next(row for row in result.rows if row.kind == "external")

    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "store")
        store.create()
        verdict = verify_row(brought, predictions, root, references, catalogue, store, run)
    if as_json:
        checks = [{"about": check.about, "reason": check.reason} for check in verdict.checks]
        print_json({"verified": verdict.verified, "reasons": verdict.reasons, "unchecked": verdict.unchecked, "checks": checks})
    else:
        _print_verdict(str(row), verdict)
    if not verdict.verified:
        raise typer.Exit(1)


def _print_verdict(name: str, verdict: Any) -> None:
    from rich.table import Table

    from rrgbench.cli.tables import make_console

    typer.echo(f"{RRGBenchError(name)}")
    table = Table()
    for column in ("checked", "comparisons", "result"):
        table.add_column(column, justify="right" if column == "comparisons" else "left")
    for about in dict.fromkeys(check.about for check in verdict.checks):
        own = [check for check in verdict.checks if check.about == about]
        wrong = sum(bool(check.reason) for check in own)
        table.add_row(about, str(len(own)), f"{wrong} differ" if wrong else "as the row says")
    make_console().print(table)
    for reason in verdict.reasons:
        typer.echo(f"refused: {reason}")
    if verdict.unchecked:
        typer.echo(f"not checked, since predictions alone do not show it: {RRGBenchError(', '.join(verdict.unchecked))}")
    typer.echo("VERIFIED" if verdict.verified else f"REFUSED for {len(verdict.reasons)} reasons")


def export_predictions(
    row: Annotated[str, typer.Argument(metavar="ROW_ID", help="A row's id or its beginning, its title, or experiment:title.")],
    out: Annotated[Path, typer.Option("--out", help="The file to write (JSON lines, or JSON with --into).")],
    seed: Annotated[int | None, typer.Option(help="Which seed, where the row has several.")] = None,
    into: Annotated[
        Path | None, typer.Option(help="A benchmark's JSON (ReXrank's): write its studies with model_prediction added.")
    ] = None,
    store: StoreOption = None,
) -> None:
    """Write the predictions of a row, as `score` and `verify` read them."""
    from rrgbench.comparison import load_candidates, select
    from rrgbench.predictions import filled, read_texts
    from rrgbench.row import row_path
    from rrgbench.store import Store, default_store, write_atomically

    place = Store(store or default_store())
    (found, *others) = select(load_candidates(place), row, "ROW_ID").rows
    if others:
        raise ConfigError(f"ROW_ID {row!r} names {len(others) + 1} rows", expected="one")
    if seed is None and len(found.seeds) > 1:
        raise ConfigError(
            f"row {found.title} has the seeds {', '.join(map(str, found.seeds))}", expected="one", hint="give --seed"
        )
    step_id = found.steps.get(f"seed {found.seeds[0] if seed is None else seed}")
    if step_id is None:
        raise ConfigError("--seed", got=seed, expected=" or ".join(map(str, found.seeds)))
    path = place.whole(step_id) / "predictions.jsonl"
    content, left_out = (path.read_bytes(), ()) if into is None else filled(into, read_texts(path).texts)
    write_atomically(out.absolute(), content)
    if left_out:
        _warn(f"{len(left_out)} studies of {into} have no prediction and are left out ({left_out[0][:80]} ..)")
    sys.stderr.write(f"{out} written; the row is {row_path(place, found)}\n")
    if found.license != "open":
        _warn(f"these predictions derive from a {found.license} data set ({found.dataset}): its licence goes with them")
