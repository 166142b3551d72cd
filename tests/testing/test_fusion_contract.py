"""Each mistake in a fusion is caught by the check that is for it."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rrgbench import Features
from rrgbench.nn import AttentionBlock, SourceProjection, join, masked_mean, weights_wanted
from rrgbench.testing import failures

torch.set_num_threads(1)

Failing = Callable[..., str]


class Right(nn.Module):
    """A right fusion: the mistakes below are made in it, one at a time."""

    def __init__(self, dims: Mapping[str, int], memory_dim: int) -> None:
        super().__init__()
        self.sources = SourceProjection(dims, memory_dim)
        self.block = AttentionBlock(memory_dim, 2, dropout=0.1)

    def forward(self, features: Mapping[str, Features]) -> Features:
        joined = join(list(self.sources(features).values()))
        return self.end(self.block(joined.hidden_states, self.heard(joined.mask)), joined.mask)

    def heard(self, mask: Tensor) -> Tensor:
        return mask

    def end(self, hidden: Tensor, mask: Tensor) -> Features:
        return Features(hidden, mask)


def wrong(**methods: Callable[..., Any]) -> type[nn.Module]:
    """``Right`` with one method in place of another."""
    return type("Wrong", (Right,), methods)


def ignores_the_mask(self: Right, mask: Tensor) -> Tensor:
    return torch.ones_like(mask)


def means_over_padding(self: Right, hidden: Tensor, mask: Tensor) -> Features:
    mean = hidden.masked_fill(~mask.unsqueeze(-1), 0).mean(1, keepdim=True)
    return Features(mean, torch.ones_like(mask[:, :1]))


def means_over_the_batch(self: Right, hidden: Tensor, mask: Tensor) -> Features:
    mean = masked_mean(hidden, mask).mean(0)
    return Features(hidden + mean, mask)


def adds_the_place_in_the_batch(self: Right, hidden: Tensor, mask: Tensor) -> Features:
    return Features(hidden + torch.arange(len(hidden))[:, None, None], mask)


def is_too_wide(self: Right, hidden: Tensor, mask: Tensor) -> Features:
    return Features(torch.cat([hidden, hidden], dim=2), mask)


def gives_an_integer_mask(self: Right, hidden: Tensor, mask: Tensor) -> Features:
    return Features(hidden, mask.long())


def masks_everything(self: Right, hidden: Tensor, mask: Tensor) -> Features:
    return Features(hidden, torch.zeros_like(mask))


def gives_a_tensor(self: Right, hidden: Tensor, mask: Tensor) -> Tensor:
    return hidden


def draws(self: Right, hidden: Tensor, mask: Tensor) -> Features:
    return Features(hidden + torch.randn_like(hidden), mask)


def gives_nan(self: Right, hidden: Tensor, mask: Tensor) -> Features:
    return Features(hidden * float("nan"), mask)


def keeps_what_bfloat16_cannot_hold(self: Right, hidden: Tensor, mask: Tensor) -> Features:
    return (
        Features(hidden @ torch.eye(hidden.shape[2], dtype=torch.float64).to(self.block.attention.query.weight), mask)
        if (not torch.is_autocast_enabled("cpu"))
        else Features(hidden.to(torch.bfloat16) * torch.tensor(1e38, dtype=torch.bfloat16) * 1e38, mask)
    )


class WantsAnImage(Right):
    def forward(self, features: Mapping[str, Features]) -> Features:
        image = self.sources(features)["image"]
        return Features(self.block(image.hidden_states, image.mask), image.mask)


class ReadsTheFirstSourceOnly(Right):
    def forward(self, features: Mapping[str, Features]) -> Features:
        first = next(iter(self.sources(features).values()))
        return Features(self.block(first.hidden_states, first.mask), first.mask)


class HasADeadParameter(Right):
    def __init__(self, dims: Mapping[str, int], memory_dim: int) -> None:
        super().__init__(dims, memory_dim)
        self.never_read = nn.Linear(2, 2)


class WritesIntoTheFeatures(Right):
    def forward(self, features: Mapping[str, Features]) -> Features:
        for one in features.values():
            one.hidden_states[~one.mask] = 0.0
        return super().forward(features)


class KeepsAWeightToItself(Right):
    def __init__(self, dims: Mapping[str, int], memory_dim: int) -> None:
        super().__init__(dims, memory_dim)
        self.scale = [float(each) for each in torch.rand(next(KeepsAWeightToItself.counter))]

    counter = itertools.count(2)

    def forward(self, features: Mapping[str, Features]) -> Features:
        memory = super().forward(features)
        return Features(memory.hidden_states * sum(self.scale), memory.mask)


class StartsWithAClosedGate(Right):
    """Right: a gate at zero (as in ReZero) opens with the first step, so nothing behind it is dead."""

    def __init__(self, dims: Mapping[str, int], memory_dim: int) -> None:
        super().__init__(dims, memory_dim)
        self.gate = nn.Parameter(torch.zeros(()))
        self.extra = nn.Linear(memory_dim, memory_dim)

    def forward(self, features: Mapping[str, Features]) -> Features:
        memory = super().forward(features)
        return Features(memory.hidden_states + self.gate * self.extra(memory.hidden_states), memory.mask)


class TellsAttention(Right):
    """Right: it tells how its tokens attend to one another, where it is asked."""

    def forward(self, features: Mapping[str, Features]) -> Features:
        joined = join(list(self.sources(features).values()))
        weights = self.block.weights(joined.hidden_states, joined.mask) if weights_wanted() else None
        memory = super().forward(features)
        return Features(memory.hidden_states, memory.mask, attention=self.told(weights, joined.mask))

    def told(self, weights: Tensor | None, mask: Tensor) -> Tensor | None:
        return weights


def attending(told: Callable[..., Any]) -> type[nn.Module]:
    """``TellsAttention`` that tells something else."""
    return type("Wrong", (TellsAttention,), {"told": told})


class NormalisesOverTheBatchInTraining(Right):
    def end(self, hidden: Tensor, mask: Tensor) -> Features:
        return Features(hidden - hidden.mean(dim=0) if self.training else hidden, mask)


class HasNoForward(nn.Module):
    def __init__(self, dims: Mapping[str, int], memory_dim: int) -> None:
        super().__init__()


@pytest.mark.parametrize("component", [Right, StartsWithAClosedGate, TellsAttention])
def test_a_right_fusion_passes(component: Any) -> None:
    assert failures("fusions", component) == {}


@pytest.mark.parametrize(
    ("component", "check", "sentence"),
    [
        (wrong(heard=ignores_the_mask), "what stands in the padding", "its mask is ignored"),
        (wrong(end=means_over_padding), "how long the padding", "counts the padding of image"),
        (wrong(end=means_over_the_batch), "no study reads", "study 0 reads the others"),
        (wrong(end=means_over_the_batch), "the batch does not matter", "the order or the size of its batch"),
        (wrong(end=adds_the_place_in_the_batch), "the batch does not matter", "the order or the size of its batch"),
        (HasADeadParameter, "every parameter", "never_read.weight, never_read.bias"),
        (wrong(end=is_too_wide), "right width", r"of image gives a memory of shape \(3, 6, 64\), not \(3, M, 32\)"),
        (wrong(end=gives_nan), "right width", "NaN"),
        (wrong(end=gives_an_integer_mask), "the mask is boolean", "not boolean"),
        (wrong(end=masks_everything), "the mask is boolean", "without a real token"),
        (wrong(end=gives_a_tensor), "right width", "gives Tensor, not Features"),
        (WantsAnImage, "every subset", "Wants.* of text raised KeyError: 'image'"),
        (HasNoForward, "every subset", "raised NotImplementedError"),
        (ReadsTheFirstSourceOnly, "every source", "does not read text"),
        (wrong(end=draws), "deterministic", "not deterministic in evaluation mode"),
        (WritesIntoTheFeatures, "left as they were", "writes into the features of image"),
        (KeepsAWeightToItself, "state dict", "does not survive a state dict"),
        (wrong(end=keeps_what_bfloat16_cannot_hold), "bfloat16", "NaN or infinity"),
        (NormalisesOverTheBatchInTraining, "training reads no other", "reads other studies in training"),
        (attending(lambda self, weights, mask: mask[:, None, None] * 1.0), "attention is told", "nobody asked for"),
        (
            attending(lambda self, weights, mask: None if weights is None else weights[..., 1:]),
            "attention is told",
            "not .3, heads",
        ),
        (attending(lambda self, weights, mask: None if weights is None else -weights), "attention is told", "negative"),
        (attending(lambda self, weights, mask: None if weights is None else weights / 2), "attention is told", "sum to 1"),
        (
            attending(lambda self, weights, mask: None if weights is None else torch.ones_like(weights) / weights.shape[3]),
            "attention is told",
            "falls on padding",
        ),
    ],
)
def test_a_wrong_fusion_is_caught_by_its_check(failing: Failing, component: Any, check: str, sentence: str) -> None:
    assert re.search(sentence, failing("fusions", component, check))


def test_a_mistake_that_padding_alone_shows_is_not_seen_by_the_other_checks() -> None:
    assert list(failures("fusions", wrong(heard=ignores_the_mask))) == [
        "what stands in the padding does not matter",
        "how long the padding is does not matter",
    ]
    assert list(failures("fusions", wrong(end=means_over_padding))) == ["how long the padding is does not matter"]
