"""The compiler's part of knowledge: the graph of the train split, and the active nodes of a split, as steps.

None of them names a target of validate or test: what generates rests on inputs and on train alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from rrgbench.catalogue import Component
from rrgbench.cell import Cell, Stage, carried
from rrgbench.data import DataRecord
from rrgbench.plan.steps import Step
from rrgbench.types import Split

if TYPE_CHECKING:
    from rrgbench.plan.compiling import Compiler

Upstream = dict[str, tuple[str, ...]]
Finals = Sequence[tuple[Stage, str]]
"""Stages, each with its last rung."""


def knowledge(
    compiler: Compiler, cell: Cell, record: DataRecord, split: Split, modules: Sequence[str], finals: Finals, seed: int
) -> Upstream:
    """What parts of a model read of knowledge: the graph, and the active nodes of a split; nothing where they read none.

    ``modules``: the parts; ``finals``: the stages that were trained before, or all.
    """
    if cell.knowledge is None:
        return {}
    told = cell.knowledge.cued or "graph" in cell.decoder.asked_values()
    if "knowledge" not in modules and not (told and "decoder" in modules):
        return {}
    found: Upstream = {"graph": (graph_step(compiler, cell, record),)}
    if cell.knowledge.is_read_by(modules):
        found["active"] = (_active(compiler, cell, record, split, finals, seed),)
    return found


def graph_step(compiler: Compiler, cell: Cell, record: DataRecord) -> str:
    """The graph of the train split, by the cell's annotator."""
    known = cell.knowledge
    assert known is not None, "asked for cells that read a graph alone"
    return compiler.add(graph_of(cell.dataset.name, record, known.annotator, known.pruning))


def graph_of(dataset: str, record: DataRecord, annotator: Component, pruning: Mapping[str, Any]) -> Step:
    """The step that builds the graph of a data set's train reports."""
    payload = {"annotator": annotator, "targets": record.splits["train"].targets, "pruning": dict(pruning)}
    return Step("graph", f"knowledge graph of {dataset} by {annotator.name}", payload, license=record.license)


def _active(compiler: Compiler, cell: Cell, record: DataRecord, split: Split, finals: Finals, seed: int) -> str:
    known = cell.knowledge
    assert known is not None and known.active is not None, "asked for cells that read active nodes alone"
    earlier = tuple(takewhile(lambda pair: not known.is_read_by(pair[0].modules), finals))
    source = known.active["source"]
    payload = {**known.active, "inputs": record.splits[split].inputs}
    upstream: Upstream = {"graph": (graph_step(compiler, cell, record),)}
    drawn: int | None = None
    if source == "retrieved":
        payload |= {"train_inputs": record.splits["train"].inputs}
        films, drawn = _films(compiler, cell, record, split, earlier, seed)
        upstream |= films
    elif source == "image":
        drawn = seed
        place = max(place for place, (stage, _) in enumerate(earlier) if "finding_logits" in stage.needs)
        final = earlier[place][1]
        if held := carried([stage for stage, _ in earlier[: place + 1]], ("image",)):
            payload["carried"] = held
        payload |= {
            "model": cell.parts(("image",), frozenset({"finding_logits"})),
            "validate_inputs": record.splits["validate"].inputs,
            "train_targets": record.splits["train"].targets,
            "labels": compiler.own_labels(cell, record, True),
        }
        upstream |= {"checkpoint": (final,), **compiler.pixels(cell, record, split), **compiler.labels(cell, record, "train")}
        upstream["validate_pixels"] = compiler.pixels(cell, record, "validate")["pixels"]
    told = f", seed {drawn}" if drawn is not None else ""
    title = f"active nodes of {cell.dataset.name} {split}: {source}{told}"
    return compiler.add(Step("active", title, payload, upstream, drawn, license=record.license))


def _films(
    compiler: Compiler, cell: Cell, record: DataRecord, split: Split, earlier: Finals, seed: int
) -> tuple[Upstream, int | None]:
    """The films of a split and those of train: through the image encoder that earlier stages trained, else as they are."""
    sides: Mapping[str, Split] = {"": split, "train_": "train"}
    if not any("image" in stage.modules for stage, _ in earlier):
        return {f"{side}pixels": compiler.pixels(cell, record, one)["pixels"] for side, one in sides.items()}, None
    return {f"{side}features": (compiler.features(cell, record, one, earlier, seed),) for side, one in sides.items()}, seed
