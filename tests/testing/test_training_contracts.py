"""Each mistake in a loss or an adapter is caught by the check that is for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from rrgbench import Output, TargetBatch
from rrgbench.testing import failures

torch.set_num_threads(1)

Failing = Callable[..., str]


class RightLoss:
    needs: ClassVar[frozenset[str]] = frozenset({"logits", "labels"})

    def __call__(self, output: Output, targets: TargetBatch) -> Tensor:
        assert targets.labels is not None
        real = targets.attention_mask[:, 1:]
        chosen = output.logits[:, :-1].log_softmax(-1).gather(-1, targets.input_ids[:, 1:, None])[..., 0]
        return -chosen[real].mean() * targets.labels.nansum()


def wrong_loss(call: Callable[[Output, TargetBatch], Any], needs: frozenset[str] = frozenset({"logits"})) -> type:
    return type("WrongLoss", (), {"needs": needs, "__call__": lambda self, output, targets: call(output, targets)})


@pytest.mark.parametrize(
    ("component", "check", "sentence"),
    [
        (wrong_loss(lambda o, t: o.logits.sum(), frozenset({"logit"})), "says what it needs", "not a frozenset of"),
        (wrong_loss(lambda o, t: o.logits.mean((1, 2))), "finite scalar", "not a scalar"),
        (wrong_loss(lambda o, t: o.memory.hidden_states.mean()), "finite scalar", "raised AttributeError"),
        (wrong_loss(lambda o, t: o.image_embedding.mean()), "finite scalar", "raised AttributeError"),
        (wrong_loss(lambda o, t: o.logits.mean() + torch.rand(())), "finite scalar", "not deterministic"),
        (wrong_loss(lambda o, t: o.logits.detach().mean()), "a gradient reaches", "without a gradient"),
        (wrong_loss(lambda o, t: o.logits.mean()), "padding", "reads the padding"),
        (wrong_loss(lambda o, t: o.logits[t.attention_mask].sum() / t.attention_mask.numel()), "padding", "counts the padding"),
        (wrong_loss(lambda o, t: o.logits[0, 0].mean()), "order of studies", "depends on the order"),
    ],
)
def test_a_wrong_loss_is_caught(failing: Failing, component: Any, check: str, sentence: str) -> None:
    assert sentence in failing("losses", component, check)


def test_a_right_loss_passes() -> None:
    assert failures("losses", RightLoss) == {}


class RightAdapter:
    """Low rank beside the last layer, zero at first; the norm is trained."""

    merges: ClassVar[bool] = True

    def __init__(self, module: nn.Module) -> None:
        self.module = module

    def merge(self) -> nn.Module:
        return _plain(self.module).requires_grad_(True)

    def __call__(self) -> nn.Module:
        self.module.requires_grad_(False)
        self.module.norm.requires_grad_(True)
        self.module.second = _Beside(self.module.second)
        return self.module


class _Beside(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner, self.down, self.up = inner, nn.Linear(8, 2), nn.Linear(2, 6)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x) + self.up(self.down(x))


def _plain(module: nn.Module, learnt: float = 1.0) -> nn.Module:
    """A module under the right adapter without it."""
    beside = module.second
    with torch.no_grad():
        beside.inner.weight += learnt * beside.up.weight @ beside.down.weight
        beside.inner.bias += learnt * beside.up(beside.down.bias)
    module.second = beside.inner
    return module


def _still(module: nn.Module) -> nn.Module:
    module.norm.__class__ = type("Still", (nn.BatchNorm1d,), {"train": lambda self, mode=True: nn.Module.train(self, False)})
    return module


def _merging(change: Callable[[nn.Module], nn.Module]) -> type:
    """The right adapter, merged in another way."""
    return type("WrongAdapter", (RightAdapter,), {"merge": lambda self: change(self.module)})


class _Halved(nn.Module):
    """Knows the shape of float32 numbers alone."""

    num_features = 6

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        answer = self.inner(x)
        return answer if answer.dtype == torch.float32 else answer.view(7, -1)


class _Hiding(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner, self.unread = inner, nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x)


def adapter(change: Callable[[nn.Module], Any]) -> Callable[[nn.Module], Callable[[], Any]]:
    """An adapter that is a function."""

    def wrong_adapter(module: nn.Module) -> Callable[[], Any]:
        return lambda: change(module)

    return wrong_adapter


@pytest.mark.parametrize(
    ("component", "check", "sentence"),
    [
        (adapter(_Hiding), "attributes", "raised AttributeError"),
        (adapter(_Hiding), "has a gradient", "unread.weight"),
        (adapter(lambda module: nn.Sequential(module, nn.Tanh())), "at its start", "before anything was learnt"),
        (adapter(lambda module: nn.Sequential(module, nn.Linear(6, 5))), "at its start", "changes the shape"),
        (adapter(lambda module: None), "at its start", "not a torch.nn.Module"),
        (adapter(lambda module: module.requires_grad_(False).train() and _always_training(module)), "switched", "deterministic"),
        (adapter(lambda module: module.requires_grad_(False)), "a step", "changes what is not trained: norm.running_mean"),
        (adapter(lambda module: _Halved(module)), "mixed precision", "raised RuntimeError"),
        (_merging(lambda module: module.requires_grad_(True)), "merging", "merges into other names"),
        (_merging(lambda module: _plain(module, learnt=0.0).requires_grad_(True)), "merging", "loses what was learnt"),
        (_merging(lambda module: _plain(module)), "merging", "leaves frozen what it is merged into"),
        (_merging(lambda module: _still(_plain(module).requires_grad_(True))), "merging", "in evaluation mode"),
    ],
)
def test_a_wrong_adapter_is_caught(failing: Failing, component: Any, check: str, sentence: str) -> None:
    assert sentence in failing("adapters", component, check)


def _always_training(module: nn.Module) -> nn.Module:
    module.__class__ = type("Training", (type(module),), {"train": lambda self, mode=True: nn.Module.train(self, True)})
    return module


def test_a_right_adapter_passes() -> None:
    assert failures("adapters", RightAdapter) == {}
