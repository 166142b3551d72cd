"""The compiler's part of early stopping: what a step that trains reads of validate, to judge itself by. Never of test."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rrgbench.cell import MASKS, Cell, Stage
from rrgbench.data import DataRecord
from rrgbench.plan.knowing import Finals, Upstream, knowledge

if TYPE_CHECKING:
    from rrgbench.plan.compiling import Compiler


def validated(
    compiler: Compiler, cell: Cell, stage: Stage, record: DataRecord, finals: Finals, seed: int, labels: bool
) -> Upstream:
    """What the losses of a stage read of validate beside inputs and reports; the roles are those of train, named for validate.

    ``finals``: the stages before it; ``labels``: whether findings are read.
    """
    own = compiler.films(cell, stage, record, "validate", finals, seed)
    own |= compiler.masks(cell, record, "validate", bool(stage.needs & MASKS))
    own |= knowledge(compiler, cell, record, "validate", stage.modules, finals, seed)
    own.pop("graph", None)  # that of train
    judged = compiler.labels(cell, record, "validate", labels)
    return {f"validate_{role}": ids for role, ids in own.items()} | judged
