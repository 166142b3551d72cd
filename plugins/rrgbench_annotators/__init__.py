"""First-party annotators."""

from __future__ import annotations

import rrgbench


@rrgbench.hookimpl
def rrgbench_annotators() -> dict[str, object]:
    return {}
