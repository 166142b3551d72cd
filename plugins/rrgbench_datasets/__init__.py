"""Data sets."""

from __future__ import annotations

import rrgbench
from rrgbench_datasets.chexpert_plus import CheXpertPlus
from rrgbench_datasets.iu_xray import IUXray
from rrgbench_datasets.phantom import Phantom
from rrgbench_datasets.rexrank import ReXrank


@rrgbench.hookimpl
def rrgbench_datasets() -> dict[str, object]:
    return {"chexpert_plus": CheXpertPlus, "iu_xray": IUXray, "phantom": Phantom, "rexrank": ReXrank}
