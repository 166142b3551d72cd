"""A cell as an experiment writes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from rrgbench.interfaces import SOURCES
from rrgbench.strict import Strict

MODULES = (*SOURCES, "report", "fusion", "decoder", "heads")
"""The parts of a model that stages train, adapt and give rates to; ``heads`` are trained wherever a loss reads them, and
``report`` is the encoder of reports where it is another than that of text."""

EMBEDDINGS = frozenset({"image_embedding", "report_embedding"})
"""What needs the common space of films and reports."""

MASKS = frozenset({"mask_logits", "masks"})
"""What needs the lungs on the films."""

HEADS: Mapping[str, frozenset[str]] = {
    "head of embeddings": EMBEDDINGS,
    "head of findings": frozenset({"finding_logits"}),
    "head of masks": MASKS,
    "head of pairs": frozenset({"matching_logits"}),
    "head of nodes": frozenset({"node_logits"}),
    "head of entities": frozenset({"entity_logits"}),
    "head of words": frozenset({"masked_logits"}),
}
"""The heads that a checkpoint may hold, and what a loss reads of each."""

READS: Mapping[str, tuple[str, ...]] = {
    "image_embedding": ("image",),
    "report_embedding": ("report",),
    "finding_logits": ("image",),
    "mask_logits": ("image",),
    "masks": ("image",),
    "matching_logits": ("image", "report"),
    "node_logits": ("image", "knowledge"),
    "entity_logits": ("report", "knowledge"),
    "masked_logits": ("text",),
    "lm_logits": ("decoder",),
    "report_nodes": ("knowledge",),
}
"""What a loss needs -> the parts of the model that it is made of. The text encoder reads reports where no other is named."""

EPOCHS = 10
"""The horizon of a stage that names neither epochs nor steps."""

Positive = Annotated[float, Field(gt=0)]


class StoppingConfig(Strict):
    """When a stage ends before its horizon: a loss has not fallen for some epochs."""

    patience: Annotated[int, Field(ge=1)]
    on: Literal["validate", "train"] = "validate"
    loss: str | None = None
    min_delta: Annotated[float, Field(ge=0)] = 0.0


class StageConfig(Strict):
    """One named stage of training as an experiment writes it."""

    train: list[str] | None = None
    adapters: dict[str, Any] = {}
    losses: dict[str, Any] = {"cross_entropy": 1.0}
    augment: bool = True
    cached: list[Literal["image"]] = []
    epochs: Annotated[int, Field(ge=1)] | None = None
    steps: Annotated[int, Field(ge=1)] | None = None
    rung: Annotated[int, Field(ge=1)] | None = None
    batch_size: Annotated[int, Field(ge=1)] = 16
    lr: Positive | dict[str, Positive] = 1e-3
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    betas: Annotated[list[Annotated[float, Field(ge=0, lt=1)]], Field(min_length=2, max_length=2)] = [0.9, 0.999]
    schedule: Literal["cosine", "step", "constant"] = "cosine"
    warmup: Annotated[float, Field(ge=0, le=1)] = 0.05
    step_size: Annotated[int, Field(ge=1)] = 10
    gamma: Positive = 0.1
    clip_norm: Positive | None = 1.0
    accumulate: Annotated[int, Field(ge=1)] = 1
    global_batch: Annotated[int, Field(ge=1)] | None = None
    precision: Literal["no", "bf16", "fp16"] = "no"
    unfreeze: dict[str, Annotated[dict[str, Annotated[int, Field(ge=0)]], Field(min_length=1)]] = {}
    early_stopping: StoppingConfig | None = None


class DecodingConfig(Strict):
    """How reports are generated."""

    num_beams: Annotated[int, Field(ge=1, le=64)] = 1
    max_new_tokens: Annotated[int, Field(ge=1, le=4096)] = 60
    min_new_tokens: Annotated[int, Field(ge=0)] = 0
    length_penalty: float = 1.0
    no_repeat_ngram_size: Annotated[int, Field(ge=0)] = 0
    batch_size: Annotated[int, Field(ge=1)] = 64


class KnowledgeConfig(Strict):
    """How the knowledge graph of the train split is built, and which of its nodes are active for a study."""

    annotator: Any = None
    min_count: Annotated[int, Field(ge=1)] = 5
    min_edge_count: Annotated[int, Field(ge=1)] = 3
    max_nodes: Annotated[int, Field(ge=1, le=2000)] = 200
    co_occurrence: Annotated[float, Field(ge=1, le=1e6)] | None = 2.0
    active: Literal["image", "retrieved", "all"] = "retrieved"
    neighbours: Annotated[int, Field(ge=1, le=1000)] = 5
    votes: Annotated[int, Field(ge=1, le=1000)] = 2


class CellConfig(Strict):
    """A cell as an experiment writes it."""

    dataset: Any
    encoders: dict[str, Any]
    fusion: Any
    tokenizer: Any = "auto"
    decoder: Any
    labels: Any = None
    masks: Any = None
    knowledge: KnowledgeConfig = KnowledgeConfig()
    embedding_dim: Annotated[int, Field(ge=1, le=8192)] = 128
    stages: Annotated[dict[str, StageConfig | None], Field(min_length=1)]
    decoding: DecodingConfig = DecodingConfig()
