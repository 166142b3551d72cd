"""Contracts can be run one by one and without pytest, and the toys are what they ask for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import nn

from rrgbench import ConfigError, Features
from rrgbench.nn import SourceProjection, join
from rrgbench.testing import CONTRACTS, checks, failures, toy_features, toy_graph, toy_values

torch.set_num_threads(1)


class Good(nn.Module):
    """A right fusion."""

    def __init__(self, dims: Mapping[str, int], memory_dim: int) -> None:
        super().__init__()
        self.sources = SourceProjection(dims, memory_dim)

    def forward(self, features: Mapping[str, Features]) -> Features:
        return join(list(self.sources(features).values()))


def test_the_toys_are_what_the_contracts_ask_for() -> None:
    features = toy_features({"image": 4, "text": 3})
    for one in features.values():
        assert one.mask.any(dim=1).all() and not one.mask.all() and one.mask[0].all()
    assert toy_graph().edges.shape == (2, 2)
    assert toy_values(seed=3)["seed"] == 3


def test_checks_have_names_and_can_be_called_one_by_one() -> None:
    found = checks("fusions", Good)
    assert "no study reads another" in found and len(found) == 14
    found["no study reads another"]()


def test_a_component_that_asks_for_what_it_may_not_have_or_cannot_be_made_is_told() -> None:
    class Asks(Good):
        def __init__(self, dims: Mapping[str, int], memory_dim: int, tokenizer: Any) -> None:
            super().__init__(dims, memory_dim)

    asked, optioned = failures("fusions", Asks), failures("fusions", Good, {"unknown": 1})
    assert len(asked) == len(optioned) == 14
    assert all("Asks asks for ['tokenizer']; its kind may ask for" in sentence for sentence in asked.values())
    assert all("making Good raised TypeError" in sentence for sentence in optioned.values())


def test_a_kind_without_a_contract_is_a_clear_error() -> None:
    with pytest.raises(ConfigError, match="no contract for this kind of component; got fusion; expected adapters"):
        checks("fusion", Good)


@pytest.mark.parametrize("kind", sorted(CONTRACTS))
def test_every_check_says_what_it_is_for(kind: str) -> None:
    for name, method in vars(CONTRACTS[kind]).items():
        if name.startswith("test_"):
            assert method.__doc__ and method.__doc__.strip()


def test_checks_leave_the_generator_of_the_host_alone_where_nothing_is_trained() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    for name in ("no study reads another", "it survives a state dict", "every parameter learns"):
        checks("fusions", Good)[name]()
    assert torch.equal(before, torch.get_rng_state())
