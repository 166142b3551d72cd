"""The command that compares rows."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rrgbench.cli.app import JsonOption, StoreOption, print_json
from rrgbench.errors import RRGBenchError

if TYPE_CHECKING:
    from rrgbench.comparison import Comparison, Pairing
    from rrgbench.row import Row

_SELECTOR = "A row's id, title, experiment:title, or axis=label conditions with commas."


def compare(
    first: Annotated[str, typer.Argument(metavar="A", help=_SELECTOR)],
    second: Annotated[str, typer.Argument(metavar="B", help=_SELECTOR)],
    experiment: Annotated[str | None, typer.Option(help="Only rows of the experiment of this name.")] = None,
    values: Annotated[str | None, typer.Option(help="Which values, with commas [all that both have].")] = None,
    resamples: Annotated[int, typer.Option(min=100, max=1_000_000, help="Resamples, and trials of the randomisation.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Of the resampling.")] = 0,
    deltas: Annotated[Path | None, typer.Option(help="Write the values of each study to this CSV file.")] = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare two rows, or two sides of a grid, study by study; rows with other signatures are refused."""
    from rrgbench import comparison
    from rrgbench.catalogue import Catalogue
    from rrgbench.store import Store, default_store

    place = Store(store or default_store())
    rows = comparison.load_candidates(place, experiment)
    pairing = comparison.pair_rows(comparison.select(rows, first, "A"), comparison.select(rows, second, "B"))
    asked = [name.strip() for name in values.split(",") if name.strip()] if values else None
    names, left_out = comparison.shown_values(pairing.pairs, asked)
    comparison.same_signatures(pairing.pairs, names)
    found = comparison.compare(
        place, Catalogue.load(), pairing.pairs, names, resamples=resamples, seed=seed, deltas=deltas is not None
    )
    if deltas is not None:
        comparison.write_deltas(deltas.absolute(), found)
    licensed = sorted({row.dataset for pair in pairing.pairs for row in pair if row.license != "open"})
    if deltas is not None and licensed:
        told = f"{deltas} derives from a data set that is not open ({', '.join(licensed)}): its licence goes with it"
        sys.stderr.write(f"warning: {RRGBenchError(told)}\n")
    if as_json:
        print_json(
            {
                "pairs": [[_about(one), _about(other)] for one, other in pairing.pairs],
                "unpaired": [_about(row) for row in pairing.unpaired],
                "seeds_paired": found.seeds_paired,
                "studies": len(found.inputs),
                "subjects": found.subjects,
                "resamples": resamples,
                "not_compared": left_out,
                "values": [
                    dataclasses.asdict(line) | {"signature": pairing.pairs[0][0].values[line.value].signature}
                    for line in found.lines
                ],
            }
        )
    else:
        _print(pairing, found, left_out, resamples)


def _about(row: Row) -> dict[str, object]:
    return {"id": row.id, "title": row.title, "experiment": row.experiment, "kind": row.kind, "seeds": row.seeds}


def _print(pairing: Pairing, found: Comparison, left_out: Sequence[str], resamples: int) -> None:
    from rich.table import Table
    from rich.text import Text

    from rrgbench.cli.tables import make_console
    from rrgbench.leaderboard.view import annotator, number

    console = make_console()
    one = pairing.pairs[0][0]
    title = f"{one.dataset} {one.split}, {one.n} studies of {found.subjects} subjects, protocol {one.protocol}"
    table = Table(title=title, title_justify="left")
    for column in ("value", "A", "B", "B - A", "p", "p Holm", "p systems"):
        table.add_column(column, justify="left" if column == "value" else "right")
    for line in found.lines:
        arrow = {"higher": " ↑", "lower": " ↓", "neither": ""}[line.better]
        change = f"{line.difference:+.3f}"
        if line.low is not None and line.high is not None:
            change += f" [{line.low:+.3f}, {line.high:+.3f}]"
        tests = ["" if p is None else f"{p:.4f}" if p >= 0.0001 else "< .0001" for p in (line.p, line.p_holm, line.p_systems)]
        by = f" by {name}" if (name := annotator(one.values[line.value])) else ""
        table.add_row(Text(line.value + by + arrow), number(line.first), number(line.second), change, *tests)
    console.print(table)
    for name, place in (("A", 0), ("B", 1)):
        rows = list({id(pair[place]): pair[place] for pair in pairing.pairs}.values())
        told = " | ".join(f"{row.title} (seeds {', '.join(map(str, row.seeds))})" for row in rows)
        console.print(Text(f"{name}: {told}"), soft_wrap=True)
    if len(pairing.pairs) > 1:
        console.print(f"means over {len(pairing.pairs)} pairs of rows", style="dim")
    for row in pairing.unpaired:
        console.print(Text(f"no partner: {row.experiment}:{row.title}"), soft_wrap=True)
    if left_out:
        console.print(Text(f"not compared, since only one side has it: {', '.join(left_out)}"), soft_wrap=True)
    if all(line.p is None for line in found.lines):
        told = (
            f"[low, high] is a 95 % interval, subjects resampled {resamples} times. A side was trained once, so that nothing is "
            "known of what training it again would give: there is no p of methods. p systems: subjects change sides at random; "
            "it speaks of these trained systems."
        )
    else:
        seeds = "seeds are paired" if found.seeds_paired else "seeds do not belong together"
        told = (
            f"[low, high] is a 95 % interval, and p a test, over trainings and subjects ({resamples} resamples); {seeds}. "
            "p systems: subjects change sides at random; it speaks of these trained systems alone."
        )
    console.print(
        told,
        style="dim",
        markup=False,
        soft_wrap=True,
    )
