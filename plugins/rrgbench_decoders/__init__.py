"""First-party decoders, and cues for them."""

from __future__ import annotations

import rrgbench
from rrgbench_decoders.causal_lm import CausalLM
from rrgbench_decoders.cues import Bias, Prompt
from rrgbench_decoders.relational_memory import RelationalMemoryDecoder
from rrgbench_decoders.transformer import Transformer


@rrgbench.hookimpl
def rrgbench_decoders() -> dict[str, type]:
    return {"transformer": Transformer, "relational_memory": RelationalMemoryDecoder, "causal_lm": CausalLM}


@rrgbench.hookimpl
def rrgbench_cues() -> dict[str, type]:
    return {"prompt": Prompt, "bias": Bias}
