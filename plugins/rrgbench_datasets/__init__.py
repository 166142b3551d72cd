"""Data sets."""

from __future__ import annotations

import rrgbench
from rrgbench_datasets.iu_xray import IUXray
from rrgbench_datasets.phantom import Phantom


@rrgbench.hookimpl
def rrgbench_datasets() -> dict[str, object]:
    return {"iu_xray": IUXray, "phantom": Phantom}
