"""The frozen adapter keeps the contract, and a module under it stays what it is."""

from __future__ import annotations

import copy

import pytest
import torch
from rrgbench_adapters import Frozen, rrgbench_adapters
from torch import nn

from rrgbench.testing import AdapterContract

torch.set_num_threads(1)


class TestFrozen(AdapterContract):
    component = Frozen


def toy() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))


def test_the_hook_offers_it() -> None:
    assert rrgbench_adapters() == {"frozen": Frozen}


@pytest.mark.parametrize("within", [False, True])
def test_it_stays_in_evaluation_mode_whoever_calls_train(within: bool) -> None:
    frozen = Frozen(toy())()
    whole = nn.ModuleList([frozen, nn.Dropout()]) if within else frozen
    whole.train()
    assert not any(module.training for module in frozen.modules())
    assert whole.training == within


def test_training_passes_change_neither_parameters_nor_batch_statistics() -> None:
    module = toy()
    before = copy.deepcopy(module.state_dict())
    frozen = Frozen(module)().train()
    frozen(torch.randn(8, 4))
    assert not any(parameter.requires_grad for parameter in frozen.parameters())
    assert all(torch.equal(value, before[name]) for name, value in frozen.state_dict().items())


def test_a_gradient_passes_through_to_what_comes_before() -> None:
    x = torch.randn(8, 4, requires_grad=True)
    Frozen(toy())()(x).sum().backward()
    assert x.grad is not None and x.grad.abs().sum() > 0


def test_the_names_of_the_state_dict_are_those_without_the_adapter() -> None:
    assert list(Frozen(toy())().state_dict()) == list(toy().state_dict())


def test_the_module_keeps_its_class_and_can_be_copied() -> None:
    frozen = Frozen(toy())()
    assert isinstance(frozen, nn.Sequential) and len(frozen) == 3
    twin = copy.deepcopy(frozen).train()
    assert not twin.training and torch.equal(twin[0].weight, frozen[0].weight)


def test_freezing_twice_is_freezing_once() -> None:
    once = type(Frozen(toy())())
    assert [base.__name__ for base in type(Frozen(Frozen(toy())())()).__mro__] == [base.__name__ for base in once.__mro__]


def test_other_modules_of_the_class_are_not_touched() -> None:
    Frozen(toy())()
    assert toy().train().training
