"""What sharing saves, and what planning costs: steps asked for against distinct steps, and seconds for a grid of 200 cells.

Asked for is what each run would do if it were alone; distinct is what a grid does. Nothing is trained: these are plans. The
second part plans a tenth of the cells and all of them: a ratio of ten says that time goes with the number of cells.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from measuring import Comparison, Measured, Second, Side
from world import World, tiny_experiment

from rrgbench.experiment import Experiment
from rrgbench.plan import Plan, make_plan

QUICKSTART = Path(__file__).parent.parent / "experiments" / "quickstart.yaml"
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
    store = world.store("sharing")
    resolved = Experiment.load(QUICKSTART, FEW_STUDIES).resolve(world.catalogue)
    yield _counts("sharing: the quickstart", make_plan(resolved, store))
    plan = world.plan(grid(200), store)
    yield _counts("sharing: 200 cells x 5 seeds", plan)
    yield _counts("sharing: their training", plan, "train")
    few = Side("20 cells x 5 seeds", lambda: world.plan(grid(20), store))
    many = Side("200 cells x 5 seeds", lambda: world.plan(grid(200), store))
    yield Comparison(few, [Second("planning", many, _both_are_whole)])


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
