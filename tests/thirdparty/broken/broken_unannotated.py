"""An option without a type."""

import rrgbench


class Unannotated:
    def __init__(self, dims, memory_dim, *, heads=4):
        self.heads = heads


@rrgbench.hookimpl
def rrgbench_fusions():
    return {"unannotated": Unannotated}
