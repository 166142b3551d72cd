"""First-party adapters."""

from __future__ import annotations

import rrgbench
from rrgbench_adapters.frozen import Frozen


@rrgbench.hookimpl
def rrgbench_adapters() -> dict[str, type]:
    return {"frozen": Frozen}
