"""Swin, EVA-02, ViT, DenseNet, ConvNeXt, ResNet through timm: the smallest of each keeps the contract, its tokens are places."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from rrgbench_encoders import Timm

from rrgbench import ConfigError, InputBatch
from rrgbench.model import Model
from rrgbench.testing import failures

torch.set_num_threads(1)

SWIN, SWIN2, EVA, VIT = (
    "swin_tiny_patch4_window7_224",
    "swinv2_tiny_window8_256",
    "eva02_tiny_patch14_224",
    "vit_tiny_patch16_224",
)

SMALL: tuple[tuple[str, int, int], ...] = (
    (SWIN, 128, 16),  # (B, H, W, C)
    (SWIN2, 128, 16),
    ("swinv2_cr_tiny_224", 128, 16),  # (B, C, H, W), and its name says Swin
    (EVA, 56, 16),
    (VIT, 64, 16),  # a class token
    ("deit_tiny_distilled_patch16_224", 64, 16),  # and one of distillation
    ("vit_small_patch14_reg4_dinov2", 56, 16),  # and four registers
    ("vit_tiny_patch16_dinov3_qkvb", 64, 16),
    ("vit_dwee_patch16_reg1_gap_256", 64, 16),  # a register alone
    ("densenet121", 128, 16),
    ("convnext_atto", 128, 16),
    ("convnextv2_atto", 128, 16),
    ("resnet10t", 128, 16),
    ("resnet18", 128, 16),
)


@pytest.mark.heavy
@pytest.mark.parametrize(("model", "size", "tokens"), SMALL)
def test_the_smallest_of_a_family_keeps_the_contract(model: str, size: int, tokens: int) -> None:
    assert failures("image_encoders", Timm, {"model": model, "size": size}) == {}


@pytest.mark.heavy
@pytest.mark.parametrize(("model", "size", "tokens"), SMALL)
def test_each_token_is_a_place_row_by_row_from_the_top_left(model: str, size: int, tokens: int) -> None:
    torch.manual_seed(0)
    encoder = Timm(model=model, size=size).eval()
    film, side = torch.rand(1, 1, size, size), math.isqrt(tokens)
    width = size // side
    with torch.no_grad():
        plain = encoder(film)
        assert plain.shape == (1, tokens, encoder.num_features)
        for row, column in ((0, side - 1), (side - 1, 0), (1, 2)):
            others = film.repeat(4, 1, 1, 1)
            others[..., row * width : (row + 1) * width, column * width : (column + 1) * width] += 3 * torch.randn(4, 1, 1, 1)
            moved = (encoder(others) - plain).norm(dim=-1).sum(dim=0)
            assert int(moved.argmax()) == row * side + column


@pytest.mark.heavy
@pytest.mark.parametrize("model", [SWIN, VIT, "resnet10t"])
def test_several_views_are_read_film_by_film_and_lie_end_to_end(model: str) -> None:
    torch.manual_seed(0)
    encoder = Timm(model=model, size=64)
    whole = Model({"image": encoder}, None, None, None).eval()
    films = torch.randint(0, 256, (2, 2, 1, 64, 64), dtype=torch.uint8)
    mask, views = torch.tensor([[True, True], [True, False]]), torch.tensor([[0, 1], [0, 0]])
    with torch.no_grad():
        found = whole.encode(InputBatch(("a", "b"), pixel_values=films, view_mask=mask, view_ids=views))["image"]
        alone = whole.film_tokens(films[1, :1])
    count = alone.shape[1]
    assert found.hidden_states.shape[:2] == (2, 2 * count)
    assert found.mask.tolist() == [[True] * 2 * count, [True] * count + [False] * count]
    with torch.no_grad():
        one = whole.encode(InputBatch(("b",), pixel_values=films[1:, :1], view_mask=mask[1:, :1], view_ids=views[1:, :1]))[
            "image"
        ]
    assert torch.allclose(found.hidden_states[1, :count], one.hidden_states[0], atol=1e-5)


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("model", "size", "tokens"),
    [
        (SWIN, 192, 36),
        (SWIN, 200, 49),
        (SWIN2, 256, 64),
        (EVA, 112, 64),
        (EVA, 224, 256),
        (VIT, 384, 576),
        ("densenet121", 100, 9),
    ],
)
def test_sizes_that_a_model_was_not_made_for(model: str, size: int, tokens: int) -> None:
    encoder = Timm(model=model, size=size).eval()
    with torch.no_grad():
        assert encoder(torch.zeros(1, 1, size, size)).shape == (1, tokens, encoder.num_features)


@pytest.mark.parametrize(
    ("model", "size", "message"),
    [
        (EVA, 128, "a multiple of its patch of 14, such as 126 or 140"),
        ("test_vit", 40, "a multiple of its patch of 16, such as 32 or 48"),
        ("test_vit3", 100, "a multiple of its patch of 16"),
        ("maxvit_nano_rw_256", 200, "must be divisible by window"),
        ("convnext_atto", 16, "cannot read a film of 16 x 16 pixels"),
        ("crossvit_tiny_240", 240, "cannot read a film"),
    ],
)
def test_a_size_that_a_model_cannot_read_whole_is_one_line(model: str, size: int, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        Timm(model=model, size=size)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("options", [{"mean": 0.5, "std": 1 / 2048}, {"mean": (0.5, 0.5, 0.5), "std": (1 / 2048,) * 3}])
@pytest.mark.parametrize("channels", [1, 3])
def test_normalisation_can_be_that_of_the_weights(options: dict[str, Any], channels: int) -> None:
    encoder = Timm(model="test_resnet", size=64, channels=channels, **options)
    films = torch.tensor([0, 255], dtype=torch.uint8)[:, None, None, None].expand(2, channels, 64, 64)
    found = encoder.transform(films, False)
    assert torch.allclose(found[0], torch.tensor(-1024.0)) and torch.allclose(found[1], torch.tensor(1024.0))


def test_a_normalisation_of_two_numbers_is_refused() -> None:
    with pytest.raises(ConfigError, match="option `mean`; got 2 numbers; expected 1, or 3"):
        Timm(model="test_resnet", size=64, mean=(0.1, 0.2))
