"""Each mistake in an encoder is caught by the check that is for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from rrgbench.nn import AttentionBlock
from rrgbench.testing import ToyTokenizer, failures

torch.set_num_threads(1)

Failing = Callable[..., str]


class RightImageEncoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.num_features = 8
        self.patches = nn.Conv2d(1, 8, 8, 8)

    def prepare(self, image: Image.Image) -> Tensor:
        if image.mode in ("I", "F", "I;16"):
            deep = np.asarray(image, dtype=np.float64)
            image = Image.fromarray((deep * (255 / deep.max())).astype(np.uint8))
        return torch.from_numpy(np.array(image.convert("L").resize((16, 16))))[None]

    def transform(self, pixels: Tensor, train: bool) -> Tensor:
        return pixels.float() / 255 + (0.1 * torch.randn(len(pixels), 1, 1, 1) if train else 0)

    def forward(self, pixel_values: Tensor) -> Tensor:
        return self.patches(pixel_values).flatten(2).transpose(1, 2)


def wrong_image_encoder(**methods: Callable[..., Any]) -> type[nn.Module]:
    return type("WrongEncoder", (RightImageEncoder,), methods)


GENERATOR = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("methods", "check", "sentence"),
    [
        ({"prepare": lambda self, image: torch.from_numpy(np.array(image.convert("L")))[None]}, "every mode", "several shapes"),
        ({"prepare": lambda self, image: torch.rand(1, 16, 16)}, "every mode", "no uint8 (C, H, W)"),
        (
            {"prepare": lambda self, image: torch.from_numpy(np.array(image.convert("L").resize((16, 16))))[None] // 128},
            "every mode",
            "their grey levels are lost",
        ),
        ({"transform": lambda self, pixels, train: pixels.float() + torch.rand(1)}, "film by film", "not deterministic"),
        ({"transform": lambda self, pixels, train: pixels.float() - pixels.float().mean()}, "film by film", "mixes the films"),
        (
            {"transform": lambda self, pixels, train: pixels.float() + (GENERATOR.random() if train else 0)},
            "seed of torch",
            "draws from elsewhere",
        ),
        ({"transform": lambda self, pixels, train: pixels.clamp_(max=9).float()}, "seed of torch", "writes into the films"),
        ({"forward": lambda self, pixels: self.patches(pixels)}, "film alone", "tokens of shape (3, 8, 2, 2)"),
        (
            {"forward": lambda self, pixels: RightImageEncoder.forward(self, pixels - pixels.mean(0))},
            "film alone",
            "mixes the films of a batch",
        ),
        ({"forward": lambda self, pixels: RightImageEncoder.forward(self, 0 * pixels)}, "film alone", "does not read the film"),
        ({"forward": lambda self, pixels: RightImageEncoder.forward(self, pixels).detach()}, "learns", "backward pass"),
    ],
)
def test_a_wrong_image_encoder_is_caught(
    failing: Failing, methods: dict[str, Callable[..., Any]], check: str, sentence: str
) -> None:
    assert sentence in failing("image_encoders", wrong_image_encoder(**methods), check)


def test_a_right_image_encoder_passes() -> None:
    assert failures("image_encoders", RightImageEncoder) == {}


class RightTextEncoder(nn.Module):
    def __init__(self, train_contexts: tuple[str, ...]) -> None:
        super().__init__()
        self.num_features = 8
        self.tokenizer = ToyTokenizer(train_contexts)
        self.words = nn.Embedding(self.tokenizer.vocab_size, 8)
        self.block = AttentionBlock(8, 2)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return self.block(self.words(input_ids), attention_mask)


class IgnoresTheMask(RightTextEncoder):
    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return super().forward(input_ids, torch.ones_like(attention_mask))


class HasAPooler(RightTextEncoder):
    def __init__(self, train_contexts: tuple[str, ...]) -> None:
        super().__init__(train_contexts)
        self.pooler = nn.Linear(8, 8)


class ReadsNoWords(RightTextEncoder):
    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return super().forward(torch.ones_like(input_ids), attention_mask)


class MeansOverTheBatch(RightTextEncoder):
    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return super().forward(input_ids, attention_mask) + self.words(input_ids[:, 1]).mean(0)


@pytest.mark.parametrize(
    ("component", "check", "sentence"),
    [
        (IgnoresTheMask, "padding", "its mask is ignored"),
        (HasAPooler, "learns", "pooler.weight"),
        (ReadsNoWords, "reads another", "does not read the words"),
        (MeansOverTheBatch, "reads another", "mixes the contexts"),
    ],
)
def test_a_wrong_text_encoder_is_caught(failing: Failing, component: Any, check: str, sentence: str) -> None:
    assert sentence in failing("text_encoders", component, check)


def test_a_right_text_encoder_passes() -> None:
    assert failures("text_encoders", RightTextEncoder) == {}
