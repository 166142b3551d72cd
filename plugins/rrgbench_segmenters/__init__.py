"""First-party segmenters."""

from __future__ import annotations

import rrgbench
from rrgbench_segmenters.pspnet import TorchXRayVision
from rrgbench_segmenters.threshold import Threshold


@rrgbench.hookimpl
def rrgbench_segmenters() -> dict[str, object]:
    return {"threshold": Threshold, "torchxrayvision": TorchXRayVision}
