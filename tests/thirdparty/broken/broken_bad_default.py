"""A default that its own annotation forbids."""

from typing import Annotated

from pydantic import Field

import rrgbench


class BadDefault:
    def __init__(self, dims, memory_dim, *, heads: Annotated[int, Field(ge=1)] = 0):
        self.heads = heads


@rrgbench.hookimpl
def rrgbench_fusions():
    return {"bad_default": BadDefault}
