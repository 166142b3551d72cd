"""Data sets."""

from __future__ import annotations

import rrgbench
from rrgbench_datasets.chexpert_plus import CheXpertPlus
from rrgbench_datasets.iu_xray import IUXray
from rrgbench_datasets.mimic_cxr import MIMICCXR
from rrgbench_datasets.phantom import Phantom
from rrgbench_datasets.rexrank import ReXrank
from rrgbench_datasets.table import Table


@rrgbench.hookimpl
def rrgbench_datasets() -> dict[str, object]:
    return {
        "chexpert_plus": CheXpertPlus,
        "iu_xray": IUXray,
        "mimic_cxr": MIMICCXR,
        "phantom": Phantom,
        "rexrank": ReXrank,
        "table": Table,
    }
