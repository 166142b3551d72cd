"""Floors: generators that need no training, so that every number has something to stand on."""

from __future__ import annotations

import rrgbench
from rrgbench_floors.constant import Constant
from rrgbench_floors.most_frequent import MostFrequent
from rrgbench_floors.nearest import Nearest
from rrgbench_floors.random import Random


@rrgbench.hookimpl
def rrgbench_floors() -> dict[str, object]:
    return {"constant": Constant, "most_frequent": MostFrequent, "random": Random, "nearest": Nearest}
