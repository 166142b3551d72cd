"""What every fusion must be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from rrgbench.attention import attention_weights
from rrgbench.interfaces import SOURCES
from rrgbench.testing.building import (
    assert_bfloat16,
    assert_close,
    assert_deterministic,
    assert_finite,
    assert_learns,
    assert_survives_saving,
    built,
    close,
    component_name,
    module_of,
    saying,
)
from rrgbench.testing.toys import generator, toy_features
from rrgbench.types import Features

SUBSETS: tuple[tuple[str, ...], ...] = tuple(subset for size in (1, 2, 3) for subset in combinations(SOURCES, size))
"""Every non-empty subset of the sources: a fusion serves them all, so that grids have no holes."""


def real_tokens(memory: Features) -> list[Tensor]:
    """The real tokens of every study."""
    return [hidden[mask] for hidden, mask in zip(memory.hidden_states, memory.mask)]


def assert_same_memory(first: Features, second: Features, sentence: str) -> None:
    """Study by study the same real tokens, but for rounding."""
    for study, (one, other) in enumerate(zip(real_tokens(first), real_tokens(second), strict=True)):
        assert_close(one, other, f"{sentence} (study {study})")


def changed_padding(features: Features, seed: int) -> Features:
    """Other and large numbers in the padding."""
    noise = 50 * torch.randn(features.hidden_states.shape, generator=generator(seed))
    hidden = torch.where(features.mask.unsqueeze(-1), features.hidden_states, noise)
    return Features(hidden, features.mask, features.view_ids, active_nodes=features.active_nodes)


def longer(features: Features, by: int) -> Features:
    """More padding."""
    studies, _, dim = features.hidden_states.shape
    views = features.view_ids
    return Features(
        torch.cat([features.hidden_states, torch.zeros(studies, by, dim)], dim=1),
        torch.cat([features.mask, torch.zeros(studies, by, dtype=torch.bool)], dim=1),
        None if views is None else torch.cat([views, torch.zeros(studies, by, dtype=views.dtype)], dim=1),
        active_nodes=features.active_nodes,
    )


def rows(features: Features, index: Tensor) -> Features:
    """Some studies, in this order."""
    views, active = (None if each is None else each[index] for each in (features.view_ids, features.active_nodes))
    return Features(features.hidden_states[index], features.mask[index], views, active_nodes=active)


class FusionContract:
    """Subclass it and set ``component`` (and ``options``, where the defaults are too large for a test).

    All checks but that of gradients run in evaluation mode, over every non-empty subset of the sources, on three studies.
    """

    component: ClassVar[Any]
    options: ClassVar[Mapping[str, Any]] = {}
    dims: ClassVar[Mapping[str, int]] = {"image": 24, "text": 20, "knowledge": 12}
    memory_dim: ClassVar[int] = 32

    def _made(self, subset: tuple[str, ...]) -> nn.Module:
        values = {"dims": {name: self.dims[name] for name in subset}, "memory_dim": self.memory_dim}
        component = type(self).component
        return module_of(component, built(component, values, self.options)).eval()

    def _fused(self, fusion: nn.Module, features: Mapping[str, Features]) -> Features:
        with saying(f"{component_name(type(self).component)} of {', '.join(features)}"):
            memory = fusion(dict(features))
        assert isinstance(memory, Features), f"{self._name(features)} gives {type(memory).__name__}, not Features"
        return memory

    def _name(self, features: Mapping[str, Features] | tuple[str, ...]) -> str:
        return f"{component_name(type(self).component)} of {', '.join(features)}"

    def _cases(self) -> Iterator[tuple[str, nn.Module, dict[str, Features]]]:
        for subset in SUBSETS:
            features = toy_features({name: self.dims[name] for name in subset})
            yield self._name(subset), self._made(subset), features

    def test_every_subset_of_sources_gives_a_memory_of_the_right_width(self) -> None:
        """(B, M, memory_dim) of finite numbers, in training too."""
        for name, fusion, features in self._cases():
            for mode in (False, True):
                memory = self._fused(fusion.train(mode), features)
                shape = tuple(memory.hidden_states.shape)
                right = len(shape) == 3 and shape[0] == 3 and shape[2] == self.memory_dim
                assert right, f"{name} gives a memory of shape {shape}, not (3, M, {self.memory_dim}): wrong width or wrong rank"
                assert_finite(memory.hidden_states, f"the memory of {name}")

    def test_the_mask_is_boolean_and_leaves_every_study_a_token(self) -> None:
        """(B, M) bool, True = real."""
        for name, fusion, features in self._cases():
            memory = self._fused(fusion, features)
            assert isinstance(memory.mask, Tensor) and memory.mask.dtype == torch.bool, f"the mask of {name} is not boolean"
            expected = tuple(memory.hidden_states.shape[:2])
            assert tuple(memory.mask.shape) == expected, f"the mask of {name} is {tuple(memory.mask.shape)}, not {expected}"
            assert bool(memory.mask.any(dim=1).all()), f"the mask of {name} leaves a study without a real token"

    def test_what_stands_in_the_padding_does_not_matter(self) -> None:
        """A mask that is ignored shows here."""
        for name, fusion, features in self._cases():
            before = self._fused(fusion, features)
            for source in features:
                changed = {**features, source: changed_padding(features[source], 7)}
                sentence = f"{name} reads the padding of {source}: its mask is ignored"
                assert_same_memory(before, self._fused(fusion, changed), sentence)

    def test_how_long_the_padding_is_does_not_matter(self) -> None:
        """A mean over padding shows here."""
        for name, fusion, features in self._cases():
            before = self._fused(fusion, features)
            for source in features:
                padded = {**features, source: longer(features[source], 5)}
                sentence = f"{name} counts the padding of {source}: more of it changes the memory"
                assert_same_memory(before, self._fused(fusion, padded), sentence)

    def test_no_study_reads_another(self) -> None:
        """Other features of the other studies leave a study's memory as it is."""
        for name, fusion, features in self._cases():
            others = toy_features({source: self.dims[source] for source in features}, seed=9)
            before = real_tokens(self._fused(fusion, features))
            for study in range(3):
                keep = torch.arange(3) == study
                mixed = {
                    source: Features(
                        torch.where(keep[:, None, None], one.hidden_states, 3 * others[source].hidden_states),
                        one.mask,
                        one.view_ids,
                    )
                    for source, one in features.items()
                }
                after = real_tokens(self._fused(fusion, mixed))
                assert_close(before[study], after[study], f"{name} mixes the studies of a batch: study {study} reads the others")

    def test_the_batch_does_not_matter(self) -> None:
        """Its order and its size leave a study's memory as it is."""
        for name, fusion, features in self._cases():
            before = real_tokens(self._fused(fusion, features))
            for order in ([2, 0, 1], [1]):
                index = torch.tensor(order)
                after = real_tokens(self._fused(fusion, {source: rows(one, index) for source, one in features.items()}))
                for place, study in enumerate(order):
                    sentence = f"{name}: the memory of study {study} depends on the order or the size of its batch"
                    assert_close(before[study], after[place], sentence)

    def test_every_source_reaches_the_memory(self) -> None:
        """A source that is taken and not read makes an ablation lie."""
        for name, fusion, features in self._cases():
            before = self._fused(fusion, features)
            for source, one in features.items():
                other = Features(one.hidden_states.flip(0, 2) * 2 + 1, one.mask, one.view_ids)
                after = self._fused(fusion, {**features, source: other})
                same = all(close(*pair) for pair in zip(real_tokens(before), real_tokens(after)))
                assert not same, f"{name} does not read {source}: other features of it change nothing"

    def test_attention_is_told_where_it_is_asked_for(self) -> None:
        """Under ``rrgbench.nn.attention_weights()``, where the fusion fills it: (B, heads, M, all tokens of all sources), not
        negative, 0 on padding, 1 in sum over the row of a real token; the memory is the same. Otherwise it is None."""
        for name, fusion, features in self._cases():
            plain = self._fused(fusion, features)
            assert plain.attention is None, f"{name} gives attention that nobody asked for"
            with attention_weights(), torch.no_grad():
                memory = self._fused(fusion, features)
            assert_same_memory(plain, memory, f"{name} gives another memory where attention is asked for")
            weights = memory.attention
            if weights is None:
                continue
            real = torch.cat([features[source].mask for source in SOURCES if source in features], dim=1)
            expected = (*memory.mask.shape, real.shape[1])
            shape = tuple(weights.shape)
            right = len(shape) == 4 and (shape[0], *shape[2:]) == expected
            assert right, f"the attention of {name} is {shape}, not (3, heads, {expected[1]}, {expected[2]})"
            assert bool((weights >= 0).all()), f"the attention of {name} is negative or NaN somewhere"
            padding = weights.masked_select(~real[:, None, None]).abs().sum()
            assert float(padding) == 0, f"the attention of {name} falls on padding"
            sums = weights.sum(dim=3).transpose(1, 2)[memory.mask]
            assert_close(sums, torch.ones_like(sums), f"the attention of {name} does not sum to 1 over a row")

    def test_training_reads_no_other_study(self) -> None:
        """In training too: no statistics of the batch. Each study is fused alone and in company, with the same draws."""
        for name, fusion, features in self._cases():
            for module in fusion.modules():
                if isinstance(module, nn.Dropout):
                    module.p = 0.0
            fusion.train()
            before = real_tokens(self._fused(fusion, features))
            for study in range(3):
                alone = {source: rows(one, torch.tensor([study])) for source, one in features.items()}
                (after,) = real_tokens(self._fused(fusion, alone))
                assert_close(before[study], after, f"{name} reads other studies in training (study {study})")

    def test_every_parameter_learns(self) -> None:
        """For the subset that it was made for, a gradient reaches every parameter."""
        for name, fusion, features in self._cases():

            def result(fusion: nn.Module = fusion, features: dict[str, Features] = features) -> Tensor:
                memory = self._fused(fusion, features)
                return memory.hidden_states[memory.mask]

            assert_learns(fusion, result, name)

    def test_evaluation_is_deterministic(self) -> None:
        """No dropout, no random numbers, no state between calls."""
        for name, fusion, features in self._cases():

            def result(fusion: nn.Module = fusion, features: dict[str, Features] = features) -> Tensor:
                return self._fused(fusion, features).hidden_states

            assert_deterministic(fusion, result, name)

    def test_the_features_are_left_as_they_were(self) -> None:
        """Features are shared between cells, so nothing may be written into them."""
        for name, fusion, features in self._cases():
            untouched = toy_features({source: self.dims[source] for source in features})
            with torch.no_grad():
                self._fused(fusion, features)
            for source, one in features.items():
                same = torch.equal(one.hidden_states, untouched[source].hidden_states)
                same = same and torch.equal(one.mask, untouched[source].mask)
                assert same, f"{name} writes into the features of {source}"

    def test_it_survives_a_state_dict(self) -> None:
        """Through safetensors, into a fusion with other weights."""
        for name, fusion, features in self._cases():

            def result(module: Any, features: dict[str, Features] = features) -> Tensor:
                memory = self._fused(module, features)
                return memory.hidden_states[memory.mask]

            assert_survives_saving(fusion, self._made(tuple(features)), result, name)

    def test_it_runs_in_bfloat16(self) -> None:
        """Under autocast, which is how it is trained on a GPU."""
        for name, fusion, features in self._cases():
            with torch.no_grad():
                shape = self._fused(fusion, features).hidden_states.shape

            def result(fusion: nn.Module = fusion, features: dict[str, Features] = features) -> Tensor:
                return self._fused(fusion, features).hidden_states

            assert_bfloat16(result, shape, name)
