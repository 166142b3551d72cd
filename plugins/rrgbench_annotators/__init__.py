"""First-party annotators."""

from __future__ import annotations

import rrgbench
from rrgbench_annotators.lexicon import Lexicon
from rrgbench_annotators.precomputed import Precomputed
from rrgbench_annotators.radgraph import RadGraph


@rrgbench.hookimpl
def rrgbench_annotators() -> dict[str, object]:
    return {"lexicon": Lexicon, "precomputed": Precomputed, "radgraph": RadGraph}
