"""Scoring protocols: what is done to texts before they are scored."""

from __future__ import annotations

import rrgbench
from rrgbench_protocols.coco import CocoPTB
from rrgbench_protocols.cvt2distilgpt2 import CvT2DistilGPT2
from rrgbench_protocols.r2gen import R2GenIU
from rrgbench_protocols.raw import Raw


@rrgbench.hookimpl
def rrgbench_protocols() -> dict[str, object]:
    return {"raw": Raw, "r2gen-iu": R2GenIU, "cvt2distilgpt2": CvT2DistilGPT2, "coco-ptb": CocoPTB}
