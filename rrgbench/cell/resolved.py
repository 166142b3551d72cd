"""A cell with every component resolved and every default spelled out, and its parts as steps carry them."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from rrgbench.catalogue import Component
from rrgbench.cell.config import EMBEDDINGS, EPOCHS, HEADS, MASKS, DecodingConfig, StageConfig
from rrgbench.identity import digest

_NO_RECIPE = {"train", "adapters", "losses", "lr", "rung", "cached", "epochs", "steps", "accumulate", "global_batch", "unfreeze"}
"""What of a stage is no part of its recipe as it was written."""

_NEWER = {"early_stopping"}


@dataclass(frozen=True)
class Stage:
    """A stage with its components; references to parts that the cell does not have are dropped.

    ``modules`` are the parts of the model that its losses read: it holds no others, so that
    cells which differ elsewhere share it.
    """

    name: str
    config: StageConfig
    modules: tuple[str, ...]
    train: tuple[str, ...]
    lr: Mapping[str, float]
    adapters: Mapping[str, Component]
    losses: Mapping[str, tuple[float, Component]]

    @property
    def needs(self) -> frozenset[str]:
        """What its losses read."""
        return frozenset(need for _, loss in self.losses.values() for need in loss.attributes["needs"])

    @property
    def holds(self) -> frozenset[str]:
        """What its checkpoint holds: modules, and which of the heads."""
        return frozenset({*self.modules} - {"heads"} | {head for head, read in HEADS.items() if self.needs & read})

    @property
    def is_cached(self) -> bool:
        """Whether it reads what the image encoder once made of the films, and not the films."""
        return "image" in self.config.cached and "image" in self.modules

    def recipe(self) -> dict[str, Any]:
        """Everything but components, caching and the cutting into rungs, as JSON data."""
        plain = self.config.model_dump(mode="json", exclude=_NO_RECIPE)
        horizon = {"epochs": self.config.epochs or EPOCHS} if self.config.steps is None else {"steps": self.config.steps}
        # Randomness goes by batch where a step of the optimiser has several; artifacts from before that are not taken for these.
        batches = {"accumulate": self.accumulate} | ({"draws": "by batch"} if self.accumulate > 1 else {})
        # What is new in recipes stands in them where it is used: the ids of all others stay what they were.
        plain = {key: value for key, value in plain.items() if value is not None or key not in _NEWER}
        unfreeze = {module: self.config.unfreeze[module] for module in self.train if module in self.config.unfreeze}
        plain |= {"unfreeze": unfreeze} if unfreeze else {}
        return plain | horizon | batches | {"train": list(self.train), "lr": dict(self.lr)}

    @property
    def is_validated(self) -> bool:
        """Whether it reads validate, to end early."""
        return self.config.early_stopping is not None and self.config.early_stopping.on == "validate"

    @property
    def accumulate(self) -> int:
        """Batches a step of the optimiser."""
        config = self.config
        return config.accumulate if config.global_batch is None else config.global_batch // config.batch_size

    def epochs(self, studies: int) -> int:
        """Epochs over ``studies`` of the train split that its horizon comes to; the last may be cut short by ``steps``."""
        if self.config.steps is None:
            return self.config.epochs or EPOCHS
        return math.ceil(self.config.steps / max(1, math.ceil(studies / (self.config.batch_size * self.accumulate))))

    @cached_property
    def part(self) -> Part:
        """What a step that trains needs to know."""
        return Part({"name": self.name, "recipe": self.recipe(), "adapters": self.adapters, "losses": self.losses})


def carried(stages: Sequence[Stage], modules: Sequence[str]) -> dict[str, Component]:
    """Module -> the adapter under which the newest of these stages that holds it wrote it; nothing where there is none.

    A module keeps its adapter until a stage trains it under another, or whole.
    """
    found: dict[str, Component] = {}
    for stage in stages:
        for module in replaced(found, stage):
            del found[module]
        found |= {module: adapter for module, adapter in stage.adapters.items() if adapter.attributes["trains"]}
    return {module: adapter for module, adapter in found.items() if module in modules}


def replaced(before: Mapping[str, Component], stage: Stage) -> tuple[str, ...]:
    """Modules whose adapter of ``before`` a stage merges into their weights: it trains them under another adapter, or whole."""

    def is_replaced(module: str) -> bool:
        adapter = stage.adapters.get(module)
        if adapter is None:
            return module in stage.train
        return bool(adapter.attributes["trains"]) and adapter.identity() != before[module].identity()

    return tuple(module for module in stage.modules if module in before and is_replaced(module))


@dataclass(frozen=True)
class Knowledge:
    """The knowledge graph of a cell: who annotates, what is kept; and what makes nodes active, with the options of that alone
    (None where neither an encoder nor cues read active nodes). ``cued``: the decoder has cues."""

    annotator: Component
    pruning: Mapping[str, Any]
    active: Mapping[str, Any] | None
    cued: bool = False

    def is_read_by(self, modules: Collection[str]) -> bool:
        """Whether these parts of a model read active nodes. Cues do where a report is written of studies: with a fusion."""
        return self.active is not None and ("knowledge" in modules or (self.cued and "fusion" in modules))

    def payload(self) -> dict[str, Any]:
        """What counts in ids."""
        return {"annotator": self.annotator, "pruning": self.pruning, "active": self.active}


@dataclass(frozen=True)
class Cell:
    """One model with its training: what a row of a leaderboard is about."""

    labels: Mapping[str, str]
    dataset: Component
    root: Path | None
    encoders: Mapping[str, Component]
    fusion: Component
    tokenizer: Component
    own_tokenizer: Component
    decoder: Component
    annotator: Component | None
    segmenter: Component | None
    embedding_dim: int
    stages: tuple[Stage, ...]
    decoding: DecodingConfig
    dropped: tuple[str, ...]
    knowledge: Knowledge | None = None
    report_encoder: Component | None = None

    @property
    def title(self) -> str:
        """The cell for people: its axes and labels."""
        return title_of(self.labels)

    @cached_property
    def model(self) -> Part:
        """The components of the report generator, in the form that step payloads carry."""
        return self.parts((*self.encoders, "fusion", "decoder"), frozenset())

    def parts(self, modules: Sequence[str], needs: frozenset[str]) -> Part:
        """Some modules of the model, with the heads for what losses (or scoring) need."""
        encoders = {source: encoder for source, encoder in self.encoders.items() if source in modules}
        found: dict[str, Any] = {"encoders": encoders}
        if "decoder" in modules:
            own = {"own_tokenizer": self.own_tokenizer} if "own_tokenizer" in self.tokenizer.asked_values() else {}
            found |= {"fusion": self.fusion} if "fusion" in modules else {}
            found |= {"decoder": self.decoder, "tokenizer": self.tokenizer, **own}
        if "report" in modules and self.report_encoder is not None:
            found["report"] = self.report_encoder
        heads: dict[str, Any] = {"embedding_dim": self.embedding_dim} if needs & EMBEDDINGS else {}
        heads |= dict.fromkeys(sorted(needs & {"finding_logits", "masked_logits"}), True)
        heads |= dict.fromkeys(sorted(needs & {"matching_logits", "node_logits", "entity_logits"}), self.embedding_dim)
        if needs & MASKS:
            heads["mask_logits"] = True
        return Part(found | ({"heads": heads} if heads else {}))

    @property
    def reader(self) -> str:
        """The module that reads reports: an encoder of their own, or that of text."""
        return "text" if self.report_encoder is None else "report"

    @property
    def embeds(self) -> bool:
        """Whether a stage trains the common space of films and reports."""
        return any(stage.needs >= EMBEDDINGS for stage in self.stages)

    def payload(self) -> dict[str, Any]:
        """The whole cell as data and components."""
        stages = [{"stage": stage.part.value, "rung": stage.config.rung, "cached": stage.is_cached} for stage in self.stages]
        decoding = self.decoding.model_dump(mode="json")
        needs = frozenset(need for stage in self.stages for need in stage.needs)
        labels = self.annotator if "labels" in needs else None
        masks = {"masks": self.segmenter} if needs & MASKS else {}
        reading = {module for stage in self.stages for module in stage.modules} & {"report"}
        model = self.parts((*self.encoders, "fusion", "decoder", *reading), needs).value
        known = {"knowledge": self.knowledge.payload()} if self.knowledge is not None else {}
        told = {"dataset": self.dataset, "model": model, "labels": labels, "stages": stages, "decoding": decoding}
        return told | masks | known

    @cached_property
    def id(self) -> str:
        """SHA-256 over everything that makes this cell what it is; labels and places do not count."""
        return digest(identity_of(self.payload()))


def title_of(labels: Mapping[str, str]) -> str:
    """Labels of a cell as its title."""
    return ", ".join(f"{axis}={label}" for axis, label in labels.items()) or "base"


@dataclass(frozen=True)
class Part:
    """Data and components that many steps share. It counts in their ids by its digest, which is made once."""

    value: Any

    @cached_property
    def digest(self) -> str:
        """SHA-256 of what counts in ids."""
        return digest(identity_of(self.value))

    @cached_property
    def request(self) -> Any:
        """What a worker needs."""
        return request_of(self.value)

    @cached_property
    def is_credentialed(self) -> bool:
        """Whether a component of it is."""
        return is_credentialed(self.value)


def identity_of(value: Any) -> Any:
    """A payload with components replaced by what counts in ids, and parts by their digests."""
    return _mapped(value, lambda item: item.identity() if isinstance(item, Component) else item.digest)


def request_of(value: Any) -> Any:
    """A payload with components and parts replaced by what a worker needs."""
    return _mapped(value, lambda item: item.request() if isinstance(item, Component) else item.request)


def _mapped(value: Any, change: Callable[[Component | Part], Any]) -> Any:
    if isinstance(value, (Component, Part)):
        return change(value)
    if isinstance(value, Mapping):
        return {key: _mapped(item, change) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_mapped(item, change) for item in value]
    return value


def is_credentialed(payload: Any) -> bool:
    """Whether a component of a payload has the option `license` and it is not open: what reads its file derives from it."""
    if isinstance(payload, Part):
        return payload.is_credentialed
    if isinstance(payload, Component):
        return payload.options.get("license") == "credentialed" or is_credentialed(payload.options)
    if isinstance(payload, Mapping):
        return any(is_credentialed(value) for value in payload.values())
    return isinstance(payload, (list, tuple)) and any(is_credentialed(value) for value in payload)
