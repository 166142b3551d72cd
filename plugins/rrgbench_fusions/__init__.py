"""First-party fusions."""

from __future__ import annotations

import rrgbench
from rrgbench_fusions.bilinear import Bilinear
from rrgbench_fusions.co_attention import CoAttention
from rrgbench_fusions.concat import Concat
from rrgbench_fusions.cross_attention import CrossAttention
from rrgbench_fusions.film import Film
from rrgbench_fusions.gating import Gating
from rrgbench_fusions.hybrid import Hybrid
from rrgbench_fusions.perceiver import Perceiver


@rrgbench.hookimpl
def rrgbench_fusions() -> dict[str, type]:
    return {
        "bilinear": Bilinear,
        "co_attention": CoAttention,
        "concat": Concat,
        "cross_attention": CrossAttention,
        "film": Film,
        "gating": Gating,
        "hybrid": Hybrid,
        "perceiver": Perceiver,
    }
