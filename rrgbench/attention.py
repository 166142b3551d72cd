"""Whether fusions are to tell how they attend."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_wanted: ContextVar[bool] = ContextVar("attention weights are wanted", default=False)


@contextmanager
def attention_weights() -> Iterator[None]:
    """As long as this lasts, fusions that attend fill ``Features.attention``: to explain a report, not to train. Of this thread
    alone."""
    token = _wanted.set(True)
    try:
        yield
    finally:
        _wanted.reset(token)


def weights_wanted() -> bool:
    """Whether ``Features.attention`` is to be filled: never in training, where weights would cost and nobody reads them."""
    return _wanted.get()
