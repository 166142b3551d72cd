"""The hooks: one a kind of component, the events, and the shell. Everything here stands in docs/hooks.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pluggy

from rrgbench.interfaces import ComponentFactory

if TYPE_CHECKING:
    import typer

GROUP = "rrgbench"
"""The entry-point group, and pluggy's project name."""

hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)

Factories = Mapping[str, ComponentFactory]


@hookspec
def rrgbench_datasets() -> Factories:  # type: ignore[empty-body]
    """Name -> factory of ``Dataset``."""


@hookspec
def rrgbench_image_encoders() -> Factories:  # type: ignore[empty-body]
    """Name -> factory of ``ImageEncoder``."""


@hookspec
def rrgbench_text_encoders() -> Factories:  # type: ignore[empty-body]
    """Name -> factory of ``TextEncoder``."""


@hookspec
def rrgbench_knowledge_encoders() -> Factories:  # type: ignore[empty-body]
    """Name -> factory of ``KnowledgeEncoder``."""


@hookspec
def rrgbench_fusions() -> Factories:  # type: ignore[empty-body]
    """Name -> factory of ``Fusion``."""


@hookspec
def rrgbench_tokenizers() -> Factories:  # type: ignore[empty-body]
    """Name -> factory of ``Tokenizer``."""


@hookspec
def rrgbench_decoders() -> Factories:  # type: ignore[empty-body]
    """Name -> factory of ``Decoder``."""


@hookspec
def rrgbench_cues() -> Factories:  # type: ignore[empty-body]
    """Name -> factory of ``Cues``."""


@hookspec
def rrgbench_adapters() -> Factories:  # type: ignore[empty-body]
    """Name -> factory of ``Adapter``."""


@hookspec
def rrgbench_losses() -> Factories:  # type: ignore[empty-body]
    """Name -> factory of ``Loss``."""


@hookspec
def rrgbench_annotators() -> Factories:  # type: ignore[empty-body]
    """Name -> factory of ``Annotator``."""


@hookspec
def rrgbench_segmenters() -> Factories:  # type: ignore[empty-body]
    """Name -> factory of ``Segmenter``."""


@hookspec
def rrgbench_protocols() -> Factories:  # type: ignore[empty-body]
    """Name -> factory of ``ScoringProtocol``."""


@hookspec
def rrgbench_metrics() -> Factories:  # type: ignore[empty-body]
    """Name -> factory of ``Metric``."""


@hookspec
def rrgbench_floors() -> Factories:  # type: ignore[empty-body]
    """Name -> factory of ``Floor``."""


@hookspec
def rrgbench_explainers() -> Factories:  # type: ignore[empty-body]
    """Name -> factory of ``Explainer``."""


@hookspec
def rrgbench_executors() -> Factories:  # type: ignore[empty-body]
    """Name -> factory of ``Executor``."""


@hookspec
def rrgbench_step_started(step: Mapping[str, Any]) -> None:
    """A step (``id``, ``kind``, ``title``) was handed to a worker."""


@hookspec
def rrgbench_epoch_finished(step: Mapping[str, Any], epoch: int, scores: Mapping[str, float]) -> None:
    """An epoch of a training step ended with these losses."""


@hookspec
def rrgbench_step_finished(step: Mapping[str, Any], result: str) -> None:
    """A step ended; ``result`` is ``done``, ``failed`` or ``died``."""


@hookspec
def rrgbench_row_written(row: Mapping[str, Any]) -> None:
    """A leaderboard row was written; ``row`` is its JSON."""


@hookspec
def rrgbench_commands(cli: typer.Typer) -> None:
    """Add commands to the shell."""
