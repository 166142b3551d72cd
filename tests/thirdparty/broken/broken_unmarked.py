"""A hook without its mark."""


def rrgbench_fusions():
    return {"unmarked": object}
