"""A cell: one model with its training, every component resolved and every default spelled out."""

from __future__ import annotations

from rrgbench.cell.config import EMBEDDINGS, HEADS, MASKS, MODULES, CellConfig, DecodingConfig, KnowledgeConfig, StageConfig
from rrgbench.cell.resolved import (
    Cell,
    Knowledge,
    Part,
    Stage,
    carried,
    identity_of,
    is_credentialed,
    replaced,
    request_of,
    title_of,
)
from rrgbench.cell.resolving import resolve_cell

__all__ = [
    "EMBEDDINGS",
    "HEADS",
    "MASKS",
    "MODULES",
    "Cell",
    "CellConfig",
    "DecodingConfig",
    "Knowledge",
    "KnowledgeConfig",
    "Part",
    "Stage",
    "StageConfig",
    "carried",
    "identity_of",
    "is_credentialed",
    "replaced",
    "request_of",
    "resolve_cell",
    "title_of",
]
