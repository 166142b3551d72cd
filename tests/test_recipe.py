"""A recipe says what is trained, how long and how fast, or is refused."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from rrgbench import ConfigError
from rrgbench.training import Recipe
from rrgbench.training.recipe import make_optimizer, trained

_spec = importlib.util.spec_from_file_location("rrgbench_toys", Path(__file__).with_name("toys.py"))
toys = sys.modules.setdefault("rrgbench_toys", importlib.util.module_from_spec(_spec))
if not hasattr(toys, "make_model"):
    _spec.loader.exec_module(toys)


@pytest.mark.parametrize(
    ("recipe", "factors"),
    [
        (Recipe(epochs=2, batch_size=4, warmup=2), [0.5, 1, 1, 0.854, 0.5, 0.146]),
        (Recipe(epochs=2, batch_size=4, warmup=0.5, schedule="constant"), [1 / 3, 2 / 3, 1, 1, 1, 1]),
        (Recipe(epochs=2, batch_size=4, warmup=0, schedule="step", step_size=1, gamma=0.1), [1, 1, 1, 0.1, 0.1, 0.1]),
        (Recipe(steps=4, batch_size=2, accumulate=2, warmup=0), [1, 0.854, 0.5, 0.146]),
    ],
)
def test_rates_follow_the_schedule_over_the_whole_horizon(recipe: Recipe, factors: list[float]):
    assert recipe.horizon(11) == len(factors)
    assert [recipe.factor(step, 11) for step in range(len(factors))] == pytest.approx(factors, abs=1e-3)


def test_rates_go_by_module_and_norms_and_biases_do_not_decay():
    model = toys.make_model()
    recipe = Recipe(epochs=1, train=("image", "decoder"), lr={"default": 1e-3, "image": 1e-5}, weight_decay=0.1)
    with trained(model, recipe):
        groups = make_optimizer(model, recipe).param_groups
    assert [(group["module"], group["peak"], group["weight_decay"]) for group in groups] == [
        ("image", 1e-5, 0.1), ("image", 1e-5, 0.0), ("decoder", 1e-3, 0.1), ("decoder", 1e-3, 0.0),
    ]  # fmt: skip
    assert {parameter.dim() for parameter in groups[1]["params"]} == {1}
    with pytest.raises(ConfigError, match="no rate for module text; got image"):
        make_optimizer(model, Recipe(epochs=1, lr={"image": 1e-5}))


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"epochs": 0}, "epochs; got 0"),
        ({"steps": 0}, "steps; got 0"),
        ({}, "the horizon; got epochs None, steps None; expected one of them"),
        ({"epochs": 2, "steps": 3}, "the horizon; got epochs 2, steps 3; expected one of them"),
        ({"train": ("fusion", "decodr")}, "train; got decodr; expected of image, text, knowledge, report, fusion, decoder"),
        ({"lr": {"defautl": 1.0}}, "lr; got defautl"),
        ({"lr": {"default": -1.0}}, "lr.default; got -1.0"),
        ({"schedule": "linear"}, "schedule; got linear"),
        ({"precision": "int8"}, "precision; got int8"),
        ({"warmup": -1}, "warmup"),
        ({"clip_norm": 0.0}, "clip_norm"),
        ({"epochs": 1, "unfreeze": {"imgae": {"*": 0}}}, "unfreeze; got imgae; expected of image, text"),
    ],
)
def test_a_recipe_that_makes_no_sense_is_refused(wrong: dict, told: str):
    with pytest.raises(ConfigError, match=told):
        Recipe(**wrong)
