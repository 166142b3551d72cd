"""First-party losses."""

from __future__ import annotations

import rrgbench
from rrgbench_losses.cross_entropy import CrossEntropy


@rrgbench.hookimpl
def rrgbench_losses() -> dict[str, type]:
    return {"cross_entropy": CrossEntropy}
