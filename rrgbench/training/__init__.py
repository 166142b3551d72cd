"""Training in rungs of epochs, exact to the bit however often it is cut or killed."""

from __future__ import annotations

from rrgbench.training.checking import WeightedLoss
from rrgbench.training.loop import train_rung
from rrgbench.training.process import numerics_domain, reset_process
from rrgbench.training.ranks import Ranks
from rrgbench.training.recipe import Recipe
from rrgbench.training.state import load_model, load_parts, save_model
from rrgbench.training.stopping import EarlyStopping, has_stopped

__all__ = [
    "EarlyStopping",
    "Ranks",
    "Recipe",
    "WeightedLoss",
    "has_stopped",
    "load_model",
    "load_parts",
    "numerics_domain",
    "reset_process",
    "save_model",
    "train_rung",
]
