"""First-party adapters."""

from __future__ import annotations

import rrgbench
from rrgbench_adapters.bottleneck import Bottleneck
from rrgbench_adapters.frozen import Frozen
from rrgbench_adapters.low_rank import Ia3, Lora
from rrgbench_adapters.quantised import Qlora


@rrgbench.hookimpl
def rrgbench_adapters() -> dict[str, type]:
    return {"frozen": Frozen, "lora": Lora, "qlora": Qlora, "ia3": Ia3, "bottleneck": Bottleneck}
