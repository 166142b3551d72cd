"""What every decoder must be."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from rrgbench.interfaces import Tokenizer
from rrgbench.testing.building import (
    assert_bfloat16,
    assert_close,
    assert_deterministic,
    assert_fields,
    assert_finite,
    assert_learns,
    assert_survives_saving,
    built,
    close,
    component_name,
    module_of,
    saying,
)
from rrgbench.testing.fusion import changed_padding, longer, rows
from rrgbench.testing.toys import REPORTS, ToyCues, ToyTokenizer, generator, toy_features, toy_graph
from rrgbench.types import Cue, Features


def reordered(cache: Any, index: Tensor) -> Any:
    """The same nest of tuples, lists and dicts with the rows of every tensor picked out, as beam search does it."""
    if isinstance(cache, Tensor):
        return cache.index_select(0, index)
    if isinstance(cache, dict):
        return {key: reordered(value, index) for key, value in cache.items()}
    return type(cache)([reordered(value, index) for value in cache])


def leaves(cache: Any) -> list[Tensor]:
    """All tensors of a cache."""
    if isinstance(cache, Tensor):
        return [cache]
    nest = isinstance(cache, (tuple, list, dict))
    assert nest, f"the cache holds {type(cache).__name__}: only tensors in tuples, lists and dicts can be reordered"
    inner = cache.values() if isinstance(cache, dict) else cache
    return [leaf for each in inner for leaf in leaves(each)]


class DecoderContract:
    """Subclass it and set ``component`` (and ``options``; ``tokenizer`` where the decoder can only do with its own).

    A decoder with an option ``cues`` is tried with cues too: a prompt and a bias that differ from study to study.
    """

    component: ClassVar[Any]
    options: ClassVar[Mapping[str, Any]] = {}
    tokenizer: ClassVar[Tokenizer] = ToyTokenizer()

    def _made(self, **more: Any) -> nn.Module:
        component = type(self).component
        values = {"tokenizer": self.tokenizer, "graph": toy_graph()}
        made = module_of(component, built(component, values, {**self.options, **more}))
        assert_fields(made, {"hidden_size": int})
        return made.eval()

    def _memory(self, decoder: Any, seed: int = 0) -> Features:
        """Three studies, five places, one and two of them padding in the second and third."""
        return toy_features({"text": decoder.hidden_size}, seed=seed)["text"]

    def _reports(self) -> tuple[Tensor, Tensor]:
        """Ids (3, T) and their mask, as a batch of targets holds them."""
        encoded = [self.tokenizer.encode(report) for report in REPORTS[:3]]
        ids = torch.full((3, max(map(len, encoded))), self.tokenizer.pad_token_id)
        for row, report in zip(ids, encoded):
            row[: len(report)] = torch.tensor(report)
        lengths = torch.tensor([len(report) for report in encoded])
        return ids, torch.arange(ids.shape[1]) < lengths.unsqueeze(1)

    def _logits(self, decoder: nn.Module, memory: Features, ids: Tensor, mask: Tensor) -> Tensor:
        with saying(f"the forward pass of {self._name}"):
            logits = decoder(memory, ids, mask)
        assert isinstance(logits, Tensor), f"{self._name} gives {type(logits).__name__}, not logits"
        expected = (*ids.shape, self.tokenizer.vocab_size)
        assert tuple(logits.shape) == expected, f"{self._name} gives logits of shape {tuple(logits.shape)}, not {expected}"
        return logits

    def _steps(self, decoder: Any, memory: Features, ids: Tensor, cache: Any = None) -> tuple[list[Tensor], Any]:
        found = []
        for place in range(ids.shape[1]):
            with saying(f"step {place} of {self._name}"):
                logits, cache = decoder.step(ids[:, place : place + 1], memory, cache)
            expected = (len(ids), self.tokenizer.vocab_size)
            assert tuple(logits.shape) == expected, f"a step of {self._name} gives {tuple(logits.shape)}, not {expected}"
            found.append(logits)
        return found, cache

    @property
    def _name(self) -> str:
        return component_name(type(self).component)

    def test_it_names_its_own_tokenizer(self) -> None:
        """``own_tokenizer`` is readable on the factory, and names a component."""
        own = getattr(type(self).component, "own_tokenizer", None)
        named = isinstance(own, Mapping) and isinstance(own.get("name"), str)
        assert named, f"{self._name}.own_tokenizer is {own!r}, not a mapping with a name"

    def test_logits_are_finite_for_reports_of_every_length(self) -> None:
        """(B, T, vocabulary), from two tokens to the tokenizer's ``max_length``, in training too."""
        decoder = self._made()
        memory = self._memory(decoder)
        for length in (2, self.tokenizer.max_length):
            ids = torch.full((3, length), self.tokenizer.bos_token_id)
            mask = torch.ones(3, length, dtype=torch.bool)
            for mode in (False, True):
                logits = self._logits(decoder.train(mode), memory, ids, mask)
                assert_finite(logits, f"the logits of {self._name}")

    @torch.no_grad()
    def test_it_does_not_look_ahead(self) -> None:
        """Other words later on leave the logits before them as they are."""
        decoder = self._made()
        memory, (ids, mask) = self._memory(decoder), self._reports()
        before = self._logits(decoder, memory, ids, mask)
        for place in range(1, ids.shape[1]):
            other = ids.clone()
            other[:, place:] = (other[:, place:] + 1) % self.tokenizer.vocab_size
            after = self._logits(decoder, memory, other, mask)
            sentence = f"{self._name} looks ahead: words from place {place} on change the logits before it"
            assert_close(before[:, :place], after[:, :place], sentence)

    @torch.no_grad()
    def test_padding_of_reports_does_not_matter(self) -> None:
        """Neither what stands in it nor how long it is."""
        decoder = self._made()
        memory, (ids, mask) = self._memory(decoder), self._reports()
        before = self._logits(decoder, memory, ids, mask)
        other = torch.where(mask, ids, (ids + 5) % self.tokenizer.vocab_size)
        sentence = f"{self._name}: what stands in the padding of a report changes the logits of its words"
        assert_close(before[mask], self._logits(decoder, memory, other, mask)[mask], sentence)
        room = self.tokenizer.max_length - ids.shape[1]
        if room > 0:
            more = torch.cat([ids, ids.new_full((3, room), self.tokenizer.pad_token_id)], dim=1)
            wide = torch.cat([mask, mask.new_zeros(3, room)], dim=1)
            sentence = f"{self._name}: longer padding of a report changes the logits of its words"
            assert_close(before[mask], self._logits(decoder, memory, more, wide)[wide], sentence)

    @torch.no_grad()
    def test_the_memory_mask_is_honoured(self) -> None:
        """Neither what stands in the padding of the memory nor how long it is matters, in the forward pass and in steps."""
        decoder = self._made()
        memory, (ids, mask) = self._memory(decoder), self._reports()
        before, stepped = self._logits(decoder, memory, ids, mask), self._steps(decoder, memory, ids[:, :3])[0]
        for other, what in ((changed_padding(memory, 7), "what stands in"), (longer(memory, 4), "the length of")):
            sentence = f"{self._name} reads padding of the memory: {what} it changes the logits"
            assert_close(before[mask], self._logits(decoder, other, ids, mask)[mask], sentence)
            again = self._steps(decoder, other, ids[:, :3])[0]
            assert_close(torch.stack(stepped), torch.stack(again), f"{sentence} of a step")

    @torch.no_grad()
    def test_the_memory_is_read(self) -> None:
        """Another memory gives other logits: a decoder that is blind to it writes the same report for everybody."""
        decoder = self._made()
        ids, mask = self._reports()
        first, second = (self._logits(decoder, self._memory(decoder, seed), ids, mask)[mask] for seed in (0, 1))
        assert not close(first, second), f"{self._name} does not read the memory: another one gives the same logits"

    @torch.no_grad()
    def test_no_study_reads_another(self) -> None:
        """Order and company of a batch leave a study's logits as they are."""
        decoder = self._made()
        memory, (ids, mask) = self._memory(decoder), self._reports()
        before = self._logits(decoder, memory, ids, mask)
        for order in ([2, 0, 1], [1], [0, 0, 0]):
            index = torch.tensor(order)
            after = self._logits(decoder, rows(memory, index), ids[index], mask[index])
            sentence = f"{self._name} mixes the studies of a batch: its order or size changes a study's logits"
            assert_close(before[index][mask[index]], after[mask[index]], sentence)

    @torch.no_grad()
    def test_steps_give_what_the_forward_pass_gives(self) -> None:
        """The cache changes the time, and nothing else."""
        decoder = self._made()
        memory, (ids, mask) = self._memory(decoder), self._reports()
        whole = self._logits(decoder, memory, ids, mask)
        for place, logits in enumerate(self._steps(decoder, memory, ids)[0]):
            real = mask[:, place]
            sentence = f"{self._name}: the logits of cached step {place} are not those of the forward pass"
            assert_close(whole[:, place][real], logits[real], sentence)

    @torch.no_grad()
    def test_the_cache_can_be_reordered(self) -> None:
        """Rows swapped, dropped and repeated as in beam search go on as if they had been alone."""
        decoder = self._made()
        memory, (ids, _) = self._memory(decoder), self._reports()
        _, cache = self._steps(decoder, memory, ids[:, :4])  # other than the number of studies
        for leaf in leaves(cache):
            right = leaf.ndim > 0 and leaf.shape[0] == 3
            assert right, f"the cache of {self._name} holds a tensor of shape {tuple(leaf.shape)}: its first dimension is not B"
        for order in ([2, 1, 0], [1], [0, 0, 2, 2]):
            index = torch.tensor(order)
            held, chosen = rows(memory, index), ids[index]
            (after,), _ = self._steps(decoder, held, chosen[:, 4:5], reordered(cache, index))
            whole = self._logits(decoder, held, chosen[:, :5], torch.ones(len(order), 5, dtype=torch.bool))
            sentence = f"{self._name}: after its cache was reordered to rows {order} a step gives other logits"
            assert_close(whole[:, 4], after, sentence)

    @torch.no_grad()
    def test_a_step_leaves_the_cache_before_it_as_it_was(self) -> None:
        """Two steps from one cache do not know of each other."""
        decoder = self._made()
        memory, (ids, _) = self._memory(decoder), self._reports()
        _, cache = self._steps(decoder, memory, ids[:, :2])
        (first,), _ = self._steps(decoder, memory, ids[:, 2:3], cache)
        self._steps(decoder, memory, ids[:, 3:4], cache)
        (again,), _ = self._steps(decoder, memory, ids[:, 2:3], cache)
        assert_close(first, again, f"{self._name} writes into the cache that it was given, where it should give a new one")

    def test_every_parameter_learns(self) -> None:
        """A gradient reaches every parameter."""
        decoder = self._made()
        memory, (ids, mask) = self._memory(decoder), self._reports()
        assert_learns(decoder, lambda: self._logits(decoder, memory, ids, mask)[mask], self._name)

    def test_the_memory_gets_a_gradient(self) -> None:
        """Otherwise fusion and encoders would learn nothing."""
        decoder = self._made()
        memory, (ids, mask) = self._memory(decoder), self._reports()
        hidden = memory.hidden_states.clone().requires_grad_()
        logits = self._logits(decoder, Features(hidden, memory.mask), ids, mask)
        weights = torch.randn(logits.shape, generator=generator(3))
        (found,) = torch.autograd.grad((logits.float() * weights).sum(), [hidden], allow_unused=True)
        reached = found is not None and bool(found[memory.mask].ne(0).any())
        assert reached, f"{self._name} gives the memory no gradient: fusion and encoders would learn nothing"

    def test_evaluation_is_deterministic(self) -> None:
        """No dropout, no random numbers, no state between calls."""
        decoder = self._made()
        memory, (ids, mask) = self._memory(decoder), self._reports()
        assert_deterministic(decoder, lambda: self._logits(decoder, memory, ids, mask), self._name)

    def test_it_survives_a_state_dict(self) -> None:
        """Through safetensors, into a decoder with other weights."""
        decoder, again = self._made(), self._made()
        memory, (ids, mask) = self._memory(decoder), self._reports()
        assert_survives_saving(decoder, again, lambda module: self._logits(module, memory, ids, mask)[mask], self._name)

    def test_it_runs_in_bfloat16(self) -> None:
        """Under autocast, which is how it is trained on a GPU."""
        decoder = self._made()
        memory, (ids, mask) = self._memory(decoder), self._reports()
        assert_bfloat16(lambda: self._logits(decoder, memory, ids, mask), (*ids.shape, self.tokenizer.vocab_size), self._name)

    def _takes_cues(self) -> bool:
        return "cues" in inspect.signature(type(self).component).parameters

    def _cued(self, **padding: int) -> nn.Module:
        """The decoder with cues; the same weights every time."""
        return self._made(cues=ToyCues(self.tokenizer, toy_graph(), **padding))

    def _told(self, decoder: Any, active: list[list[bool]] | None = None) -> Features:
        """A memory with active nodes: two, none, one."""
        chosen = active or [[True, False, True], [False, False, False], [False, True, False]]
        return replace(self._memory(decoder), active_nodes=torch.tensor(chosen))

    @torch.no_grad()
    def test_cued_steps_equal_the_forward_pass(self) -> None:
        """Logits are of the report alone, whatever stands before it, and steps know the cue that they began with."""
        if not self._takes_cues():
            return
        decoder = self._cued()
        memory, (ids, mask) = self._told(decoder), self._reports()
        whole = self._logits(decoder, memory, ids, mask)
        for place, logits in enumerate(self._steps(decoder, memory, ids)[0]):
            real = mask[:, place]
            sentence = f"{self._name} with cues: the logits of cached step {place} are not those of the forward pass"
            assert_close(whole[:, place][real], logits[real], sentence)

    @torch.no_grad()
    def test_cues_are_read(self) -> None:
        """Words before the report, and a bias of every word: each of them counts, in the forward pass."""
        if not self._takes_cues():
            return
        decoder = self._cued()
        memory, (ids, mask) = self._told(decoder), self._reports()
        cue = cast(Any, decoder).cues(memory.active_nodes)
        told = self._logits(decoder, memory, ids, mask) - cue.logit_bias[:, None]
        alone = self._logits(decoder, replace(memory, active_nodes=None), ids, mask)
        for study in (0, 2):
            same = close(told[study][mask[study]], alone[study][mask[study]])
            assert not same, f"{self._name} does not read the words of its cues"
        words, nothing = (cue.prompt_ids, cue.prompt_mask), torch.zeros_like(cue.logit_bias)
        cast(Any, decoder).cues = lambda _: Cue(*words, nothing)
        unbiased = self._logits(decoder, memory, ids, mask)
        assert_close(told, unbiased, f"{self._name} does not add the bias of its cues to the logits")

    @torch.no_grad()
    def test_cues_of_another_study_are_not_read(self) -> None:
        """Order and company of a batch, and the padding of prompts, leave a study's logits as they are."""
        if not self._takes_cues():
            return
        decoder = self._cued()
        memory, (ids, mask) = self._told(decoder), self._reports()
        before = self._logits(decoder, memory, ids, mask)
        for order in ([2, 0, 1], [0], [1], [2, 2]):
            index = torch.tensor(order)
            after = self._logits(decoder, rows(memory, index), ids[index], mask[index])
            sentence = f"{self._name} mixes the cues of a batch: its order or size changes a study's logits"
            assert_close(before[index][mask[index]], after[mask[index]], sentence)
        padded = self._logits(self._cued(filler=5, room=2), memory, ids, mask)
        assert_close(before[mask], padded[mask], f"{self._name} reads the padding of a prompt")

    @torch.no_grad()
    def test_cued_logits_know_no_later_word(self) -> None:
        """Nor does a prompt read the report."""
        if not self._takes_cues():
            return
        decoder = self._cued()
        memory, (ids, mask) = self._told(decoder), self._reports()
        before = self._logits(decoder, memory, ids, mask)
        for place in (1, 4):
            other = ids.clone()
            other[:, place:] = (other[:, place:] + 1) % self.tokenizer.vocab_size
            after = self._logits(decoder, memory, other, mask)
            sentence = f"{self._name} with cues looks ahead: words from place {place} on change the logits before it"
            assert_close(before[:, :place], after[:, :place], sentence)

    @torch.no_grad()
    def test_cues_go_with_their_rows(self) -> None:
        """Rows swapped, dropped and repeated as in beam search keep their cues."""
        if not self._takes_cues():
            return
        decoder = self._cued()
        memory, (ids, _) = self._told(decoder), self._reports()
        _, cache = self._steps(decoder, memory, ids[:, :4])
        for leaf in leaves(cache):
            assert leaf.shape[0] == 3, f"the cache of {self._name} with cues holds a tensor whose first dimension is not B"
        for order in ([2, 1, 0], [0, 0, 2, 2]):
            index = torch.tensor(order)
            held, chosen = rows(memory, index), ids[index]
            (after,), _ = self._steps(decoder, held, chosen[:, 4:5], reordered(cache, index))
            whole = self._logits(decoder, held, chosen[:, :5], torch.ones(len(order), 5, dtype=torch.bool))
            sentence = f"{self._name} with cues: after its cache was reordered to rows {order} a step gives other logits"
            assert_close(whole[:, 4], after, sentence)

    @torch.no_grad()
    def test_without_active_nodes_nothing_is_told(self) -> None:
        """A memory that knows of none is like one with none: a decoder may learn to write before it is told anything."""
        if not self._takes_cues():
            return
        decoder = self._cued()
        memory, (ids, mask) = self._told(decoder, [[False] * 3] * 3), self._reports()
        with_none = self._logits(decoder, memory, ids, mask)
        unknown = self._logits(decoder, replace(memory, active_nodes=None), ids, mask)
        assert_close(with_none[mask], unknown[mask], f"{self._name} is told something where no node is active")

    def test_cues_leave_no_parameter_dead(self) -> None:
        """What cues add to it too."""
        if not self._takes_cues():
            return
        decoder = self._cued()
        memory, (ids, mask) = self._told(decoder), self._reports()
        assert_learns(decoder, lambda: self._logits(decoder, memory, ids, mask)[mask], f"{self._name} with cues")
