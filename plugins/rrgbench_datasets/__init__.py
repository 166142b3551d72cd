"""Data sets."""

from __future__ import annotations

import rrgbench
from rrgbench_datasets.iu_xray import IUXray
from rrgbench_datasets.mimic_cxr import MIMICCXR
from rrgbench_datasets.phantom import Phantom
from rrgbench_datasets.table import Table


@rrgbench.hookimpl
def rrgbench_datasets() -> dict[str, object]:
    return {"iu_xray": IUXray, "mimic_cxr": MIMICCXR, "phantom": Phantom, "table": Table}
