"""First-party decoders."""

from __future__ import annotations

import rrgbench
from rrgbench_decoders.transformer import Transformer


@rrgbench.hookimpl
def rrgbench_decoders() -> dict[str, type]:
    return {"transformer": Transformer}
