"""First-party fusions."""

from __future__ import annotations

import rrgbench
from rrgbench_fusions.concat import Concat
from rrgbench_fusions.cross_attention import CrossAttention
from rrgbench_fusions.gating import Gating


@rrgbench.hookimpl
def rrgbench_fusions() -> dict[str, type]:
    return {"concat": Concat, "cross_attention": CrossAttention, "gating": Gating}
