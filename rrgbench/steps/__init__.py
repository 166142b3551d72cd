"""The step functions: where names meet tensors. Each reads artifacts and data, and writes the files of its own artifact."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module

from rrgbench.steps.context import Context, Result

_PLACES: Mapping[str, str] = {
    "pixels": "generating",
    "masks": "generating",
    "features": "generating",
    "labels": "scoring",
    "graph": "knowledge",
    "active": "knowledge",
    "train": "training",
    "auroc": "judging",
    "generate": "generating",
    "embed": "judging",
    "floor": "generating",
    "score": "scoring",
    "select": "scoring",
    "intervals": "scoring",
}


def step_function(kind: str) -> Callable[[Context], Result]:
    """What does a kind of step. Imported when asked for: a worker that only scores never imports torch."""
    function: Callable[[Context], Result] = getattr(import_module(f"rrgbench.steps.{_PLACES[kind]}"), kind)
    return function


__all__ = ["Context", "Result", "step_function"]
