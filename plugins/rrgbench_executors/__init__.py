"""First-party executors."""

from __future__ import annotations

import rrgbench
from rrgbench_executors.local import Local


@rrgbench.hookimpl
def rrgbench_executors() -> dict[str, object]:
    return {"local": Local}
