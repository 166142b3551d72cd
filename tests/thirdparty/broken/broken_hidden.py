"""Options of a parent, passed through **options."""

import rrgbench


class Parent:
    def __init__(self, dims, memory_dim, *, heads: int = 4):
        self.heads = heads


class Hidden(Parent):
    def __init__(self, dims, memory_dim, **options):
        super().__init__(dims, memory_dim, **options)


@rrgbench.hookimpl
def rrgbench_fusions():
    return {"hidden": Hidden}
