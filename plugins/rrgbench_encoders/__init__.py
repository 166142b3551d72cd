"""First-party encoders."""

from __future__ import annotations

import rrgbench
from rrgbench_encoders.image import Timm
from rrgbench_encoders.text import Transformers


@rrgbench.hookimpl
def rrgbench_image_encoders() -> dict[str, type]:
    return {"timm": Timm}


@rrgbench.hookimpl
def rrgbench_text_encoders() -> dict[str, type]:
    return {"transformers": Transformers}
