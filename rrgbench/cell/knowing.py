"""What a cell says of its knowledge graph, with every mistake in it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import takewhile
from typing import Any, Protocol

from rrgbench.catalogue import Component
from rrgbench.cell.config import CellConfig, KnowledgeConfig
from rrgbench.cell.resolved import Knowledge, Stage

PRUNING = ("min_count", "min_edge_count", "max_nodes", "co_occurrence")
"""The options of the graph; the others are of active nodes."""
_RETRIEVAL = ("neighbours", "votes")


class Resolver(Protocol):
    """Chooses components and keeps mistakes."""

    def component(self, kind: str, value: Any, where: str) -> Component | None:
        """The component of that name and options, or None and a mistake."""

    def mistake(self, what: str, **told: Any) -> None:
        """Keep a mistake."""

    def drop(self, what: str, why: str) -> None:
        """Tell that something is left out."""


def has_cues(component: Component) -> bool:
    """Whether cues stand in a component's options."""
    return any(inner.kind == "cues" or has_cues(inner) for inner in component.nested())


def resolve_knowledge(
    resolver: Resolver,
    config: CellConfig,
    encoders: Mapping[str, Component],
    decoder: Component | None,
    stages: Sequence[Stage],
    labels: Component | None,
) -> Knowledge | None:
    """The knowledge of a cell; None where nothing reads a graph, and what was said of it is dropped."""
    given, encoded = config.knowledge, "knowledge" in encoders
    cued = decoder is not None and has_cues(decoder)
    if config.encoders.get("knowledge") is not None and not encoded:
        return None  # its mistake is told
    if not encoded and not cued and (decoder is None or "graph" not in decoder.asked_values()):
        if given.model_fields_set:
            resolver.drop("knowledge", "no knowledge encoder here")
        return None
    annotator = labels if given.annotator is None else resolver.component("annotators", given.annotator, "knowledge.annotator")
    if given.annotator is None and config.labels is None:
        hint = "name an annotator, who reads train reports: base.knowledge.annotator (or base.labels)"
        resolver.mistake("knowledge.annotator", got="none", expected="an annotator", hint=hint)
    readers = {*(["knowledge"] if encoded else []), *(["fusion"] if cued else [])}
    active = _active(resolver, given, encoders, stages, readers) if readers else None
    if annotator is None:
        return None
    return Knowledge(annotator, {name: getattr(given, name) for name in PRUNING}, active, cued)


def _active(
    resolver: Resolver,
    config: KnowledgeConfig,
    encoders: Mapping[str, Component],
    stages: Sequence[Stage],
    readers: Collection[str],
) -> dict[str, Any]:
    """What makes nodes active, with the options that it reads. ``readers``: the parts of the model that read them."""
    # What makes nodes active may rest on the stages before the first that reads them alone.
    before = takewhile(lambda stage: not {*stage.modules} & {*readers}, stages)
    source = config.active
    if source != "retrieved":
        for name in _RETRIEVAL:
            if name in config.model_fields_set:
                resolver.drop(f"knowledge.{name}", f"active is {source}")
    if source != "all" and "image" not in encoders:
        resolver.mistake("knowledge.active", got=f"{source}, and no image encoder", expected="all, or encoders.image")
    elif source == "image" and not any("finding_logits" in stage.needs for stage in before):
        resolver.mistake(
            "knowledge.active",
            got="image, and no stage that teaches findings before the first that reads knowledge",
            expected="a stage with a loss on findings, of the image encoder alone",
            hint="add base.stages.unimodal before it, or take active: retrieved",
        )
    if source == "retrieved" and config.votes > config.neighbours:
        resolver.mistake("knowledge.votes", got=config.votes, expected=f"at most knowledge.neighbours, {config.neighbours}")
    return {"source": source} | ({name: getattr(config, name) for name in _RETRIEVAL} if source == "retrieved" else {})
