"""Planted truths: runs the experiments of this folder and holds each claim of ``claims.yaml`` against what they found.

``make truths``, or with names of experiments. A claim is kept where the whole interval lies between its limits. Exit 1: a claim
was missed, or a run failed; 2: a mistake of whoever wrote the file.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field
from rich.table import Table
from rich.text import Text
from scipy import stats

from rrgbench import comparison
from rrgbench.catalogue import Catalogue
from rrgbench.cli.tables import make_console
from rrgbench.errors import ConfigError, RRGBenchError
from rrgbench.experiment import Experiment
from rrgbench.experiment.yaml import read_yaml
from rrgbench.plan import Plan, RowPlan, make_plan
from rrgbench.row import Row
from rrgbench.runner import make_executor, run_plan
from rrgbench.store import Store, default_store
from rrgbench.strict import Strict, parse

FOLDER = Path(__file__).parent


class Between(Strict):
    """Where an interval must lie as a whole."""

    claim: str
    above: float | None = None
    below: float | None = None

    def holds(self, low: float, high: float) -> bool:
        """Whether it does; a limit itself is outside."""
        return (self.above is None or low > self.above) and (self.below is None or high < self.below)

    @property
    def limits(self) -> str:
        """For people."""
        told = [f"{sign} {limit:g}" for sign, limit in ((">", self.above), ("<", self.below)) if limit is not None]
        return " and ".join(told) or "told only"


class Difference(Between):
    """B minus A of a value, as ``rrgbench compare`` has it; ``ratio``: B / A, for values without an interval."""

    a: str
    b: str
    value: str
    ratio: bool = False


class Seconds(Between):
    """How many times as long a stage takes in A as in B: the geometric mean over seeds, with Student's interval."""

    a: str
    b: str
    stage: str


class Rejections(Strict):
    """How often seeds of one and the same row, in disjoint pairs of ``runs`` a side, are told apart at ``alpha``.

    ``by``: p over trainings, p of the systems as they are, or an interval that excludes 0. Kept where the count lies in the
    binomial interval of 95 %; ``told``: however many there are.
    """

    claim: str
    row: str
    value: str
    runs: Annotated[int, Field(ge=1)] = 1
    by: Literal["p", "systems", "interval"] = "p"
    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.05
    told: bool = False


Claim = Difference | Seconds | Rejections


@dataclass(frozen=True)
class Verdict:
    """What came of one claim. ``found``: the difference, ratio or count, with its interval (a count's: what chance gives)."""

    experiment: str
    claim: str
    about: str
    first: float | None
    second: float | None
    found: float
    low: float | None
    high: float | None
    wanted: str
    kept: bool


def load_claims(path: Path = FOLDER / "claims.yaml") -> dict[str, list[Claim]]:
    """Experiment -> its claims.

    Raises:
        ConfigError, ManyErrors: the file says something else.
    """
    written = read_yaml(path)
    return {
        name: [parse(_kind(one), one, f"{path.name}: {name}: {place + 1}") for place, one in enumerate(claims)]
        for name, claims in written.items()
    }


def _kind(claim: Mapping[str, Any]) -> type[Claim]:
    if "row" in claim:
        return Rejections
    return Seconds if "stage" in claim else Difference


def check(claims: Sequence[Claim], rows: Sequence[Row], plan: Plan, store: Store, catalogue: Catalogue) -> list[Verdict]:
    """Hold the claims of an experiment against its rows.

    Raises:
        ConfigError: a claim speaks of rows or values that are not there.
    """
    found: list[Verdict] = []
    for claim in claims:
        if isinstance(claim, Rejections):
            found.append(_rejections(claim, rows, store, catalogue))
        elif isinstance(claim, Seconds):
            found.append(_seconds(claim, rows, plan, store))
        else:
            found.append(_difference(claim, rows, store, catalogue))
    return found


def _difference(claim: Difference, rows: Sequence[Row], store: Store, catalogue: Catalogue) -> Verdict:
    pairs = comparison.pair_rows(comparison.select(rows, claim.a, "a"), comparison.select(rows, claim.b, "b")).pairs
    values, _ = comparison.shown_values(pairs, [claim.value])
    comparison.same_signatures(pairs, values)
    (line,) = comparison.compare(store, catalogue, pairs, values).lines
    found = line.second / line.first if claim.ratio else line.difference
    plain = claim.ratio or line.low is None or line.high is None
    low, high = (None, None) if plain else (line.low, line.high)
    kept = claim.holds(found if low is None else low, found if high is None else high)
    about = f"{claim.value}, {'B / A' if claim.ratio else 'B - A'}"
    return Verdict(rows[0].experiment, claim.claim, about, line.first, line.second, found, low, high, claim.limits, kept)


def _seconds(claim: Seconds, rows: Sequence[Row], plan: Plan, store: Store) -> Verdict:
    sides = [comparison.select(rows, selector, side).rows for side, selector in (("a", claim.a), ("b", claim.b))]
    if any(len(side) != 1 for side in sides):
        raise ConfigError(f"claim {claim.claim!r}", got=f"{len(sides[0])} and {len(sides[1])} rows", expected="one a side")
    planned = {row.id: row for row in plan.rows}
    first, second = (np.asarray(stage_seconds(plan, planned[side[0].id], claim.stage, store)) for side in sides)
    ratio, low, high = ratio_interval(first, second)
    kept = claim.holds(low, high)
    experiment, about = rows[0].experiment, f"seconds of {claim.stage}, A / B"
    return Verdict(experiment, claim.claim, about, first.mean(), second.mean(), ratio, low, high, claim.limits, kept)


def stage_seconds(plan: Plan, row: RowPlan, stage: str, store: Store) -> list[float]:
    """What each seed's training of a stage took, as its steps recorded it."""
    return [
        sum(
            float(store.done(step_id).provenance["cost"]["seconds"])
            for step_id in plan.behind(run)
            if plan.steps[step_id].kind == "train" and plan.steps[step_id].title.startswith(f"train {stage} ")
        )
        for run in row.runs.values()
    ]


def ratio_interval(first: np.ndarray, second: np.ndarray) -> tuple[float, float, float]:
    """The geometric mean of first / second, and Student's interval of 95 % over the logarithms; two pairs at least."""
    logs = np.log(first / second)
    half = float(stats.t.ppf(0.975, len(logs) - 1) * logs.std(ddof=1) / np.sqrt(len(logs)))
    middle = float(logs.mean())
    return float(np.exp(middle)), float(np.exp(middle - half)), float(np.exp(middle + half))


def _rejections(claim: Rejections, rows: Sequence[Row], store: Store, catalogue: Catalogue) -> Verdict:
    (row,) = comparison.select(rows, claim.row, "row").rows
    pairs = disjoint_pairs(row, claim.runs)
    rejected = sum(_told_apart(claim, *pair, store, catalogue) for pair in pairs)
    low, high = nominal(len(pairs), claim.alpha)
    about = f"{claim.value}, {len(pairs)} pairs, {claim.runs} a side, by {claim.by}"
    wanted = "told only" if claim.told else f"{low} to {high} of {len(pairs)}"
    kept = claim.told or low <= rejected <= high
    return Verdict(row.experiment, claim.claim, about, None, None, rejected, low, high, wanted, kept)


def _told_apart(claim: Rejections, first: Row, second: Row, store: Store, catalogue: Catalogue) -> bool:
    (line,) = comparison.compare(store, catalogue, [(first, second)], [claim.value]).lines
    p = {"p": line.p, "systems": line.p_systems, "interval": None}[claim.by]
    if line.low is None or line.high is None:
        raise ConfigError(f"claim {claim.claim!r}", got=claim.value, expected="a value that is resampled")
    if claim.by == "interval":
        return not line.low <= 0.0 <= line.high
    if p is None:
        raise ConfigError(f"claim {claim.claim!r}", got=f"{claim.runs} training a side", expected="runs: 2 or more")
    return p <= claim.alpha


def disjoint_pairs(row: Row, runs: int) -> list[tuple[Row, Row]]:
    """The seeds of a row in pairs of rows with ``runs`` seeds each; no seed is used twice."""

    def part(places: range) -> Row:
        scores = {key: [steps[place] for place in places] for key, steps in row.scores.items()}
        values = {
            name: value.model_copy(update={"seeds": [value.seeds[place] for place in places]})
            for name, value in row.values.items()
        }
        seeds = [row.seeds[place] for place in places]
        return row.model_copy(update={"seeds": seeds, "scores": scores, "values": values})

    starts = range(0, len(row.seeds) - 2 * runs + 1, 2 * runs)
    return [(part(range(start, start + runs)), part(range(start + runs, start + 2 * runs))) for start in starts]


def nominal(count: int, alpha: float) -> tuple[int, int]:
    """How many of so many true null hypotheses are rejected with probability 95 %, by chance alone."""
    low, high = stats.binom.ppf((0.025, 0.975), count, alpha)
    return int(low), int(high)


def _table(verdicts: Sequence[Verdict]) -> Table:
    table = Table("claim", "value", "A", "B", "found", "must be", "", title="planted truths", title_justify="left")
    for one in verdicts:
        sides = ["" if side is None else f"{side:.3f}" for side in (one.first, one.second)]
        counted = one.first is None
        found = f"{one.found:g}" if counted else f"{one.found:.3f}"
        if one.low is not None and not counted:
            found += f" [{one.low:.3f}, {one.high:.3f}]"
        verdict = "told" if one.wanted == "told only" else "kept" if one.kept else "MISSED"
        table.add_row(*map(Text, (f"{one.experiment}: {one.claim}", one.about, *sides, found, one.wanted, verdict)))
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """Run and check the experiments that are named, or all."""
    claims = load_claims()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which experiments: {', '.join(claims)} [all]")
    parser.add_argument("--store", type=Path, help="where artifacts and rows are kept [$RRGBENCH_STORE, else ./store]")
    parser.add_argument("--workers", type=int, help="worker processes [one a core]")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write what was found to this file too")
    asked = parser.parse_args(arguments)
    if unknown := [name for name in asked.names if name not in claims]:
        parser.error(f"no experiment {', '.join(unknown)}; there are {', '.join(claims)}")
    store, catalogue, console = Store(asked.store or default_store()), Catalogue.load(), make_console()
    store.create()
    verdicts: list[Verdict] = []
    failed = False
    for name in asked.names or claims:
        plan = make_plan(Experiment.load(FOLDER / f"{name}.yaml").resolve(catalogue), store)
        executor = make_executor(catalogue, {"name": "local"} | ({"workers": asked.workers} if asked.workers else {}))
        result = run_plan(plan, store, executor, catalogue)
        console.print(f"{name}: {sum(result.executed.values())} steps in {result.seconds:.0f} s", highlight=False)
        for failure in result.failures:
            console.print(f"failed: {failure.title}: {failure.error}", markup=False, soft_wrap=True)
        if result.failures:
            failed = True
            continue
        verdicts += check(claims[name], result.rows, plan, store, catalogue)
    console.print(_table(verdicts))
    if asked.json is not None:
        asked.json.write_text(json.dumps([dataclasses.asdict(one) for one in verdicts], indent=1), encoding="utf-8")
    missed = [one for one in verdicts if not one.kept]
    console.print(f"{len(verdicts) - len(missed)} of {len(verdicts)} claims kept")
    return int(failed or bool(missed))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except RRGBenchError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(2)
