"""How a trained run writes: the requests of its last steps, kept in the store, so that new films can go the same way."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from rrgbench.errors import StoreError
from rrgbench.plan import Plan, RowPlan
from rrgbench.store import Store, write_atomically

FORMAT = 1


class Kept(BaseModel):
    """The steps behind a run's reports that read the inputs of test, those that others rest on first; the last one writes.

    ``inputs`` is the digest that they read. What else they rest on stands in the store.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int
    inputs: str
    requests: tuple[dict[str, Any], ...]


def keep_runs(store: Store, plan: Plan, row: RowPlan) -> None:
    """Keep how each run of a cell writes. Paths of files stand in it: it is of this machine, like the store.

    Raises:
        StoreError: the store cannot be written.
    """
    if row.kind != "cell":
        return
    inputs = row.record.splits["test"].inputs
    for step_id in row.runs.values():
        behind = _reading(plan, step_id, inputs)
        requests = tuple(step.request() for step in plan.steps.values() if step.id in behind)
        kept = Kept(format=FORMAT, inputs=inputs, requests=requests).model_dump_json(indent=1).encode()
        path = store.root / "runs" / f"{step_id}.json"
        if not path.is_file() or path.read_bytes() != kept:
            write_atomically(path, kept)


def _reading(plan: Plan, step_id: str, inputs: str) -> set[str]:
    """A step and what it rests on, as far as that reads these inputs."""
    step = plan.steps.get(step_id)
    if step is None or step.payload.get("inputs") != inputs:
        return set()
    return {step_id}.union(*(_reading(plan, up, inputs) for up in step.needed))


def read_run(store: Store, step_id: str) -> Kept:
    """How the run writes whose reports a step wrote.

    Raises:
        StoreError: nothing is kept, or it cannot be read.
    """
    path = store.root / "runs" / f"{step_id}.json"
    hint = "`rrgbench run EXPERIMENT` with this --store writes it; what is done is not done again"
    if not path.is_file():
        raise StoreError("how this run writes is not in the store", got=f"no {path}", hint=hint)
    try:
        kept = Kept.model_validate(json.loads(path.read_bytes()))
        if kept.format != FORMAT or kept.requests[-1]["id"] != step_id:
            raise ValueError("of another version, or of another run")
        return kept
    except (OSError, ValueError, LookupError, ValidationError) as error:
        raise StoreError(f"{path} cannot be read", got=error, hint=hint) from error


def image_encoder(kept: Kept) -> bool:
    """Whether the run looks at films."""
    return "image" in _model(kept)["encoders"]


def text_encoder(kept: Kept) -> bool:
    """Whether the run reads contexts."""
    return "text" in _model(kept)["encoders"]


def _model(kept: Kept) -> Mapping[str, Any]:
    model: Mapping[str, Any] = kept.requests[-1]["payload"]["model"]
    return model
