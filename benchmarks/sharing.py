"""What sharing saves, and what planning costs.

The quickstart is run with sharing and without, each once in a store of its own, and must leave the same rows (quick: fewer
studies, one epoch a stage). Steps are counted too: asked for is what each run would do if it were alone, distinct is what a
grid does. The last part plans a tenth of 200 cells and all of them: a ratio of ten says that time goes with the number of cells.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from measuring import Comparison, Measured, Second, Side
from world import World, tiny_experiment

from rrgbench.experiment import Experiment
from rrgbench.plan import Plan, make_plan

QUICKSTART = Path(__file__).parent.parent / "experiments" / "quickstart.yaml"
TINY = (
    *(f"base.stages.{stage}.epochs=1" for stage in ("unimodal", "alignment", "fusion")),
    "axes.fusion=[concat, gating]",
    "seeds=[0]",
    "metrics=[bleu, diversity]",
)
FEW_STUDIES = ("base.dataset.studies=40",)
"""How many studies there are decides no number of steps, but each film is drawn."""

SEEDS = [0, 1, 2, 3, 4]


def grid(cells: int) -> dict[str, Any]:
    """200 cells, or a tenth of them: rates, depths, fusions, with and without text, and beams, which share their training."""
    axes = {
        "decoding.num_beams": [1, 2, 3, 4, 5],
        "fusion": ["concat", "cross_attention"],
        "encoders.text": [{"name": "transformers", "layers": 1}, None],
        "decoder": [{"name": "transformer", "layers": layers} for layers in range(1, 6)],
        "stages.fusion.lr": [1e-3, 2e-3],
    }
    if cells == 20:
        axes |= {"decoder": axes["decoder"][:1], "stages.fusion.lr": [1e-3]}
    raw = tiny_experiment(axes=axes, seeds=SEEDS, floors=["constant", "random"], metrics=["bleu", "rouge", "cider", "diversity"])
    raw["base"] |= {"decoding": {}}
    return raw


def comparisons(world: World) -> Iterator[Comparison | Measured]:
    """Counts of the quickstart and of the grid; then the time of planning."""
    yield from _runs(world)
    store = world.store("sharing")
    resolved = Experiment.load(QUICKSTART, FEW_STUDIES).resolve(world.catalogue)
    yield _counts("sharing: the quickstart", make_plan(resolved, store))
    plan = world.plan(grid(200), store)
    yield _counts("sharing: 200 cells x 5 seeds", plan)
    yield _counts("sharing: their training", plan, "train")
    few = Side("20 cells x 5 seeds", lambda: world.plan(grid(20), store))
    many = Side("200 cells x 5 seeds", lambda: world.plan(grid(200), store))
    yield Comparison(few, [Second("planning", many, _both_are_whole)])


def _runs(world: World) -> Iterator[Measured]:
    """Seconds and steps of the whole quickstart, shared and not."""
    overrides = [f"--set={change}" for change in (*FEW_STUDIES, *TINY)] if world.quick else []
    seconds, steps, rows = [], [], []
    for flag in ("--sharing", "--no-sharing"):
        command = [sys.executable, "-P", "-m", "rrgbench", "run", str(QUICKSTART), flag, "--json", *overrides]
        began = time.perf_counter()
        done = subprocess.run([*command, f"--store={world.folder / flag}"], capture_output=True, text=True, check=False)
        seconds.append(time.perf_counter() - began)
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        steps.append(sum(told["executed"].values()))
        rows.append({row["title"]: {name: value["value"] for name, value in row["values"].items()} for row in told["rows"]})
    assert rows[0] == rows[1], "sharing changes a value"
    labels = ("shared", "each run alone")
    yield Measured("sharing: the quickstart, run", labels, [seconds[0]], [seconds[1]], unit="s, once")
    yield Measured("sharing: steps that it ran", labels, [steps[0]], [steps[1]], unit="steps")


def _both_are_whole(few: Plan, many: Plan) -> bool:
    """Nothing is left out, and a cell's steps are the same in both."""
    return (len(few.experiment.cells), len(many.experiment.cells)) == (20, 200) and few.steps.keys() <= many.steps.keys()


def _counts(title: str, plan: Plan, only: str = "") -> Measured:
    """Of all steps, or of those of one kind."""
    asked: list[str] = []
    for row in plan.rows:
        for step_id in row.runs.values():
            asked += plan.behind(step_id)
        for step_id in row.intervals.values():
            asked += (step_id, *plan.steps[step_id].needed)
    counted = [step_id for step_id in asked if only in ("", plan.steps[step_id].kind)]
    return Measured(title, ("distinct steps", "asked for"), [len(set(counted))], [len(counted)], unit="steps")
