"""How the check of a data set is shown: numbers as tables, and each finding with its repair."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from rrgbench.checking import Checked
from rrgbench.checking.numbers import PLACEHOLDERS, QUANTILES, SplitNumbers, Texts
from rrgbench.cli.tables import make_console
from rrgbench.errors import RRGBenchError


def print_checked(checked: Checked) -> None:
    """Everything that was seen; no text of the data set is among it."""
    console = make_console()
    console.print(_line(f"data set {checked.name}, licence {checked.license}, folder {checked.folder or '(made by itself)'}"))
    if checked.rules:
        rows = [(one.rule, f"{one.studies:,}", f"{one.images:,}") for one in checked.rules]
        _table(console, "after each rule", ("rule", "studies", "films"), rows)
    if checked.splits:
        names = list(checked.splits)
        _across(console, "splits", names, [_sizes(one) for one in checked.splits.values()])
        _across(console, "films by view", names, [_counted(one.views) for one in checked.splits.values()])
        _across(console, "studies with a finding", names, [_counted(one.labels) for one in checked.splits.values()])
        _across(console, "words of a report", names, [_lengths(one.reports) for one in checked.splits.values()])
        _across(console, "words of a context", names, [_lengths(one.contexts) for one in checked.splits.values()])
    if checked.films is not None:
        film = checked.films
        sizes = f"{film.smallest[0]} x {film.smallest[1]} to {film.largest[0]} x {film.largest[1]} pixels"
        modes = ", ".join(f"{count:,} {mode}" for mode, count in film.modes.items())
        console.print(_line(f"films opened: {film.opened:,} ({modes or 'none'}; {sizes}); unreadable: {film.unreadable:,}"))
        console.print(
            _line(f"films that another study has too, byte for byte: {film.copies:,}; of two splits: {film.crossing:,}")
        )
    for finding in checked.findings:
        style = "bold red" if finding.level == "error" else "yellow"
        console.print(
            Text.assemble((f"{finding.level}: ", style), f"{_line(finding.what)}. Repair: {_line(finding.repair)}"),
            soft_wrap=True,
        )
    errors = sum(finding.level == "error" for finding in checked.findings)
    end = f"NOT RIGHT: {errors} {'thing' if errors == 1 else 'things'} to repair" if errors else "RIGHT: a run can read it"
    console.print(_line(f"{end}; {len(checked.findings) - errors} warnings"))


def _line(text: str) -> Text:
    return Text(str(RRGBenchError(text)))


def _sizes(one: SplitNumbers) -> dict[str, str]:
    share = one.contexts.empty / one.studies if one.studies else 0.0
    return {
        "studies": f"{one.studies:,}",
        "subjects": f"{one.subjects:,}",
        "films": f"{one.images:,}",
        "without context": f"{one.contexts.empty:,} ({share:.1%})",
        "with earlier studies": f"{one.with_prior:,}",
        "different reports": f"{one.distinct:,}",
        "the commonest report": f"{one.commonest:,} times",
        "reports that train has": f"{one.in_train:,}",
        **{f"reports with {name}": f"{one.reports.placeholders[name]:,}" for name in PLACEHOLDERS},
        **{f"contexts with {name}": f"{one.contexts.placeholders[name]:,}" for name in PLACEHOLDERS},
        "contexts that hold the report": f"{one.leaks:,}",
    }


def _counted(counts: dict[str, int]) -> dict[str, str]:
    return {name: f"{count:,}" for name, count in counts.items()}


def _lengths(texts: Texts) -> dict[str, str]:
    return {name: f"{texts.words[name]:,}" for name in QUANTILES if name in texts.words}


def _across(console: Console, title: str, splits: Sequence[str], columns: Sequence[dict[str, str]]) -> None:
    """One column a split, one row a name; nothing where there is no row."""
    names = list(dict.fromkeys(name for column in columns for name in column))
    if names:
        _table(console, title, (title, *splits), [(name, *(column.get(name, "0") for column in columns)) for name in names])


def _table(console: Console, title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = Table(title=Text(title) if header[0] != title else None, title_justify="left")
    for place, name in enumerate(header):
        table.add_column(Text(name), overflow="fold", justify="right" if place else "left")
    for row in rows:
        table.add_row(*(_line(cell) for cell in row))
    console.print(table)
