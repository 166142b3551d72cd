"""What flows through the platform: frozen dataclasses, torch only for the type checker.

Letters in shapes: B studies, V views, C channels, H and W pixels, N tokens, D channels of a token, T report tokens,
S context tokens, R report tokens of the text encoder, G graph nodes, K labels, E embedding width.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

if TYPE_CHECKING:
    import numpy
    from torch import Tensor

Split = Literal["train", "validate", "test"]
SPLITS: tuple[Split, ...] = ("train", "validate", "test")
License = Literal["open", "credentialed"]
Side = Literal["prediction", "reference"]
Better = Literal["higher", "lower", "neither"]

VIEWS: tuple[str, ...] = ("unknown", "frontal", "lateral", "other")
"""The view names a data set may use; the place in this tuple is the view id that the model embeds."""

UNKNOWN = 255
"""In masks: it is not known whether there is lung."""


@dataclass(frozen=True)
class Inputs:
    """What a generator may see of one study. Never its report."""

    study_id: str
    subject_id: str
    images: tuple[Path, ...]
    views: tuple[str, ...]
    context: str = ""
    prior_ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class Targets:
    """What a generator is judged by. ``labels`` maps a finding to 1 (present) or 0 (absent)."""

    study_id: str
    report: str
    labels: Mapping[str, int] | None = None


@dataclass(frozen=True)
class Count:
    """What is left of a data set after a rule: ``rule`` says in a few words what was asked for or left out."""

    rule: str
    studies: int
    images: int


@dataclass(frozen=True)
class Download:
    """One file that a data set can be fetched as.

    name: what it is called in the folder; url: its official address; sha256, bytes: its digest and length where they are
    known. folder: it is an archive (.tgz) of films or reports that is unpacked into this folder, flat, and goes; None keeps it
    as it is. members: what the names of its files match, whole.
    """

    name: str
    url: str
    sha256: str | None = None
    bytes: int | None = None
    folder: str | None = None
    members: str = r"[A-Za-z0-9._-]{1,200}"


@dataclass(frozen=True)
class Examples:
    """One split with both sides, in the same order: given to floors for train and validate, never for test."""

    inputs: tuple[Inputs, ...]
    targets: tuple[Targets, ...]


class _Movable:
    """A batch whose tensors can be moved to a device."""

    def to(self: _B, device: Any) -> _B:
        """The same batch with every tensor on ``device``."""
        moved = {
            field.name: value.to(device)
            for field in dataclasses.fields(self)  # type: ignore[arg-type]
            if hasattr(value := getattr(self, field.name), "to")
        }
        return dataclasses.replace(self, **moved)  # type: ignore[type-var]


_B = TypeVar("_B", bound=_Movable)


@dataclass(frozen=True)
class InputBatch(_Movable):
    """Inputs of B studies as tensors. A source that the cell has no encoder for is None.

    pixel_values: (B, V, C, H, W) uint8 as ``ImageEncoder.prepare`` made it, or in its place image_tokens: (B, V, N, D) float
    as a frozen image encoder gave them; view_mask: (B, V) bool, True = a real film;
    view_ids: (B, V) int64 into ``VIEWS``; context_ids, context_mask: (B, S); active_nodes: (B, G) bool.
    """

    study_ids: tuple[str, ...]
    pixel_values: Tensor | None = None
    image_tokens: Tensor | None = None
    view_mask: Tensor | None = None
    view_ids: Tensor | None = None
    context_ids: Tensor | None = None
    context_mask: Tensor | None = None
    active_nodes: Tensor | None = None


@dataclass(frozen=True)
class TargetBatch(_Movable):
    """Targets of B studies as tensors; only losses and scoring see them.

    input_ids: (B, T) int64, ``bos w1 .. wn eos pad ..``, and attention_mask (B, T) bool: ``logits[:, t]`` predicts
    ``input_ids[:, t + 1]``; None in a stage without decoder. report_ids, report_mask: (B, R), the report in the *text
    encoder's* tokens.
    labels: (B, K) float, NaN where unknown. reports: the reports themselves, word for word. report_nodes: (B, G) bool, the
    nodes of the knowledge graph that a report states. masks: (B, V, H, W) uint8, the lungs on the films as
    they were prepared: 1 lung, 0 none, ``UNKNOWN`` all over a film on which none were found, and over padding.
    """

    study_ids: tuple[str, ...]
    input_ids: Tensor | None = None
    attention_mask: Tensor | None = None
    report_ids: Tensor | None = None
    report_mask: Tensor | None = None
    labels: Tensor | None = None
    report_nodes: Tensor | None = None
    masks: Tensor | None = None
    reports: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Sampling:
    """How a loss wants reports drawn from the decoder in training: at most ``max_new_tokens``, the end included, at a
    ``temperature``; the rest is the tokenizer's."""

    bos_token_id: int
    eos_token_id: int
    pad_token_id: int
    vocab_size: int
    max_new_tokens: int
    temperature: float = 1.0


@dataclass(frozen=True)
class Samples:
    """A report drawn for each study: ids (B, T) int64, ``bos w1 .. eos pad ..``; mask (B, T) bool; log_probs (B, T - 1), of
    ``ids[:, 1:]``, 0 on padding. greedy_ids: (B, U), the likeliest report in the same form."""

    ids: Tensor
    mask: Tensor
    log_probs: Tensor
    greedy_ids: Tensor


@dataclass(frozen=True)
class Features:
    """Tokens of one source, or of a memory. mask: (B, N) bool, True = real, at least one True a row.

    active_nodes: of a memory, (B, G) bool: the nodes of the knowledge graph that are active for each study, for decoders with
    cues; None where nobody knows.

    attention: of a memory, where ``rrgbench.nn.attention_weights()`` asks for it and the fusion attends: (B, heads, M, N), how
    the last attention that made a token weighed the tokens of all sources, laid end to end in the platform's order; rows of
    real tokens sum to 1, padding and sources that were not read have 0.
    """

    hidden_states: Tensor
    mask: Tensor
    view_ids: Tensor | None = None
    attention: Tensor | None = None
    active_nodes: Tensor | None = None


@dataclass(frozen=True)
class Cue:
    """What a decoder is told of the active nodes of B studies, in the tokens that it writes in.

    prompt_ids: (B, P) int64, words that stand before the report, and prompt_mask: (B, P) bool, True = real; padding stands at
    the end of a row, and a row may have no word at all. logit_bias: (B, vocabulary) float, added to the logits of every
    word of the report; None adds nothing.
    """

    prompt_ids: Tensor
    prompt_mask: Tensor
    logit_bias: Tensor | None = None


@dataclass(frozen=True)
class Output:
    """What a forward pass gives the losses; None where no loss of the stage reads it.

    logits: (B, T, vocabulary); image_embedding, report_embedding: (B, E) of length 1; logit_scale: (), what their cosines
    are multiplied with; finding_logits: (B, K), from the films alone, in the order of ``TargetBatch.labels``.
    mask_logits: (B, V, h, w), one for each token of a film at its place; masks: (B, V, h, w), the share of lung there, of masks
    that were moved as the films were, NaN where it is not known.
    matching_logits: (B, B), whether film (row) and report (column) belong together. node_logits, entity_logits: (B, G), whether
    a node of the knowledge graph is on the films, or in the report. masked_logits: (n, vocabulary of the text encoder), one for
    each of the batch's n masked words, and masked_ids: (n,), what they were. lm_logits: (B, T, vocabulary), as ``logits``, of the
    decoder alone, without films, context or knowledge. samples: reports drawn from the decoder.
    """

    features: Mapping[str, Features]
    memory: Features | None = None
    logits: Tensor | None = None
    image_embedding: Tensor | None = None
    report_embedding: Tensor | None = None
    logit_scale: Tensor | None = None
    finding_logits: Tensor | None = None
    mask_logits: Tensor | None = None
    masks: Tensor | None = None
    matching_logits: Tensor | None = None
    node_logits: Tensor | None = None
    entity_logits: Tensor | None = None
    masked_logits: Tensor | None = None
    masked_ids: Tensor | None = None
    lm_logits: Tensor | None = None
    samples: Samples | None = None


@dataclass(frozen=True)
class Node:
    """A node of the knowledge graph: ``kind`` is ``anatomy`` or ``observation``."""

    name: str
    kind: str


@dataclass(frozen=True)
class KnowledgeGraph:
    """Built from the train split only. edges: (2, M) int64, from and to; edge_types: (M,) int64 into ``relations``;
    edge_counts: (M,) float, in how many train reports an edge stands, None where nobody counted."""

    nodes: tuple[Node, ...]
    edges: Tensor
    edge_types: Tensor
    relations: tuple[str, ...] = ()
    edge_counts: Tensor | None = None


@dataclass(frozen=True)
class Entity:
    """A span of a report in RadGraph's schema; ``start`` and ``end`` are token positions, both inclusive."""

    tokens: str
    label: str
    start: int
    end: int
    relations: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class ReportGraph:
    """Entities and relations of one report in RadGraph's schema, whoever annotated."""

    text: str
    entities: tuple[Entity, ...] = ()


@dataclass(frozen=True)
class Texts:
    """What a metric reads: predictions and references after the protocol, in the order of ``study_ids``.

    labels: the data set's own labels of the references, for metrics that need ``labels``. image_embeddings,
    report_embeddings: (n, E) float32 of length 1, for metrics that need ``embeddings``; None for all others.
    """

    study_ids: tuple[str, ...]
    predictions: tuple[str, ...]
    references: tuple[str, ...]
    labels: tuple[Mapping[str, int] | None, ...] | None = None
    image_embeddings: numpy.ndarray[Any, numpy.dtype[numpy.float32]] | None = None
    report_embeddings: numpy.ndarray[Any, numpy.dtype[numpy.float32]] | None = None
