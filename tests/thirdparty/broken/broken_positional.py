"""An option that is not keyword-only."""

import rrgbench


class Positional:
    def __init__(self, dims, memory_dim, heads: int = 4):
        self.heads = heads


@rrgbench.hookimpl
def rrgbench_fusions():
    return {"positional": Positional}
