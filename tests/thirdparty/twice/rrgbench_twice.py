"""A fusion under a name that is taken."""

import rrgbench


class Concat:
    """Not the one you meant."""

    def __init__(self, dims, memory_dim, *, layers: int = 0):
        self.layers = layers


@rrgbench.hookimpl
def rrgbench_fusions():
    return {"concat": Concat}
