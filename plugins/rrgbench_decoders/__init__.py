"""First-party decoders."""

from __future__ import annotations

import rrgbench
from rrgbench_decoders.causal_lm import CausalLM
from rrgbench_decoders.relational_memory import RelationalMemoryDecoder
from rrgbench_decoders.transformer import Transformer


@rrgbench.hookimpl
def rrgbench_decoders() -> dict[str, type]:
    return {"transformer": Transformer, "relational_memory": RelationalMemoryDecoder, "causal_lm": CausalLM}
