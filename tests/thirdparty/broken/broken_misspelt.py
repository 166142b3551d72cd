"""A hook that does not exist."""

import rrgbench


@rrgbench.hookimpl
def rrgbench_fusion():
    return {"misspelt": object}
