"""First-party annotators."""

from __future__ import annotations

import rrgbench
from rrgbench_annotators.lexicon import Lexicon


@rrgbench.hookimpl
def rrgbench_annotators() -> dict[str, object]:
    return {"lexicon": Lexicon}
