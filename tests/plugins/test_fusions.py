"""First-party fusions keep the contract, with defaults and with their options."""

from __future__ import annotations

import itertools

import pytest
import torch
from rrgbench_fusions import (
    Bilinear,
    CoAttention,
    Concat,
    CrossAttention,
    Film,
    Gating,
    Hybrid,
    Perceiver,
    rrgbench_fusions,
)

from rrgbench import ConfigError
from rrgbench.nn import attention_weights
from rrgbench.testing import FusionContract, failures, toy_features

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


class TestHybrid(FusionContract):
    component = Hybrid


@pytest.mark.parametrize(("early", "cross_attention", "gating"), list(itertools.product([False, True], repeat=3)))
def test_hybrid_keeps_the_contract_whatever_is_taken_away(early: bool, cross_attention: bool, gating: bool) -> None:
    options = {"early": early, "cross_attention": cross_attention, "gating": gating, "layers": 2}
    assert failures("fusions", Hybrid, options) == {}


class TestCoAttention(FusionContract):
    component = CoAttention
    options = {"layers": 2}


class TestFilm(FusionContract):
    component = Film


class TestBilinear(FusionContract):
    component = Bilinear


class TestPerceiver(FusionContract):
    component = Perceiver
    options = {"latents": 7}


def test_the_hook_offers_them_all() -> None:
    names = ["bilinear", "co_attention", "concat", "cross_attention", "film", "gating", "hybrid", "perceiver"]
    assert sorted(rrgbench_fusions()) == names


def test_the_memory_of_a_perceiver_is_as_long_as_it_is_told() -> None:
    assert Perceiver(DIMS, 16, latents=5)(toy_features(DIMS)).hidden_states.shape == (3, 5, 16)


def test_the_text_of_the_hybrid_reads_image_and_knowledge_and_never_itself() -> None:
    features = toy_features(DIMS)
    with attention_weights():
        weights = Hybrid(DIMS, 16, gating=False).eval()(features).attention
    image, text, knowledge = (features[name].mask.shape[1] for name in ("image", "text", "knowledge"))
    asking = weights[:, :, image + knowledge :]
    assert asking.shape[2] == text and (asking[..., image : image + text] == 0).all()
    assert torch.allclose(asking.sum(dim=3), torch.ones(()))
    own = weights[:, :, : image + knowledge]
    assert ((own == 0) | (own == 1)).all(), "early tokens are themselves"


def test_each_part_of_the_hybrid_changes_the_memory_and_its_parameters() -> None:
    features, seen = toy_features(DIMS), []
    for off in ({}, {"early": False}, {"cross_attention": False}, {"gating": False}):
        torch.manual_seed(0)
        fusion = Hybrid(DIMS, 16, **off).eval()
        seen.append((sum(p.numel() for p in fusion.parameters()), fusion(features).hidden_states))
    whole, *parts = seen
    for count, memory in parts:
        assert count < whole[0] and not torch.allclose(memory, whole[1])


def test_modulation_is_by_what_the_others_say() -> None:
    fusion = Film(DIMS, 16).eval()
    features, others = toy_features(DIMS), toy_features(DIMS, seed=1)
    memory = fusion(features).hidden_states
    for name in ("text", "knowledge"):
        assert not torch.allclose(memory, fusion({**features, name: others[name]}).hidden_states)


def test_attention_is_asked_for_in_this_thread_alone_and_only_as_long_as_it_lasts() -> None:
    fusion, features = CrossAttention(DIMS, 16).eval(), toy_features(DIMS)
    with pytest.raises(ZeroDivisionError), attention_weights():
        assert fusion(features).attention is not None
        raise ZeroDivisionError
    assert fusion(features).attention is None


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


@pytest.mark.parametrize("component", [Bilinear, CoAttention, CrossAttention, Gating, Hybrid, Perceiver])
def test_heads_that_do_not_divide_the_width_are_an_error_that_says_so(component: type) -> None:
    with pytest.raises(ConfigError, match="`heads` does not divide the width; got 3 heads for a width of 16"):
        component(DIMS, 16, heads=3)
