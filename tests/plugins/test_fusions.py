"""First-party fusions keep the contract, with defaults and with their options."""

from __future__ import annotations

import pytest
import torch
from rrgbench_fusions import Concat, CrossAttention, Gating, rrgbench_fusions

from rrgbench import ConfigError
from rrgbench.testing import FusionContract, toy_features

torch.set_num_threads(1)

DIMS = {"image": 12, "text": 10, "knowledge": 6}


class TestConcat(FusionContract):
    component = Concat


class TestConcatWithSelfAttention(FusionContract):
    component = Concat
    options = {"layers": 2, "heads": 2}


class TestCrossAttention(FusionContract):
    component = CrossAttention
    options = {"layers": 2}


class TestCrossAttentionOfTheOthers(FusionContract):
    component = CrossAttention
    options = {"queries": "others"}


class TestGating(FusionContract):
    component = Gating


def test_the_hook_offers_all_three() -> None:
    assert set(rrgbench_fusions()) == {"concat", "cross_attention", "gating"}


def test_concat_keeps_every_token_in_the_order_of_sources() -> None:
    features = toy_features(DIMS)
    memory = Concat({**DIMS}, 16)(dict(reversed(features.items())))
    expected = torch.cat([features[name].mask for name in ("image", "text", "knowledge")], dim=1)
    assert torch.equal(memory.mask, expected)


@pytest.mark.parametrize(
    ("options", "expected"), [({"queries": "image"}, ["image"]), ({"queries": "others"}, ["text", "knowledge"])]
)
def test_cross_attention_keeps_the_tokens_of_the_queries(options: dict[str, str], expected: list[str]) -> None:
    features = toy_features(DIMS)
    memory = CrossAttention(DIMS, 16, **options)(features)
    assert torch.equal(memory.mask, torch.cat([features[name].mask for name in expected], dim=1))


def test_gating_with_closed_gates_leaves_the_image_alone() -> None:
    fusion = Gating(DIMS, 16).eval()
    for gate in fusion.gate.values():
        torch.nn.init.zeros_(gate.weight)
        torch.nn.init.constant_(gate.bias, -1e4)
    features, others = toy_features(DIMS), toy_features(DIMS, seed=1)
    before, after = fusion(features), fusion({**others, "image": features["image"]})
    assert torch.equal(before.hidden_states, after.hidden_states)


@pytest.mark.parametrize("component", [CrossAttention, Gating])
def test_heads_that_do_not_divide_the_width_are_an_error_that_says_so(component: type) -> None:
    with pytest.raises(ConfigError, match="`heads` does not divide the width; got 3 heads for a width of 16"):
        component(DIMS, 16, heads=3)
