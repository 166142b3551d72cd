"""What all cues must be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from rrgbench.interfaces import Tokenizer
from rrgbench.testing.building import (
    assert_close,
    assert_finite,
    assert_learns,
    awake,
    built,
    close,
    component_name,
    reloaded,
    saying,
)
from rrgbench.testing.knowledge import odd_graphs
from rrgbench.testing.toys import ToyTokenizer, toy_graph
from rrgbench.types import Cue, KnowledgeGraph


class CuesContract:
    """Subclass it and set ``component`` (and ``options``)."""

    component: ClassVar[Any]
    options: ClassVar[Mapping[str, Any]] = {}
    tokenizer: ClassVar[Tokenizer] = ToyTokenizer()

    def _made(self, graph: KnowledgeGraph | None = None) -> Any:
        values = {"tokenizer": self.tokenizer, "graph": graph or toy_graph()}
        return built(type(self).component, values, self.options)

    def _active(self) -> Tensor:
        """Four studies: one node, none, all, two."""
        return torch.tensor([[False, True, False], [False, False, False], [True, True, True], [True, False, True]])

    def _cue(self, cues: Any, active: Tensor) -> Cue:
        """The cue, when it is one: shapes, types, ids of the vocabulary, padding at the end."""
        with saying(f"calling {self._name}"):
            cue = cues(active)
        assert isinstance(cue, Cue), f"{self._name} gives {type(cue).__name__}, not a Cue"
        ids, mask, studies = cue.prompt_ids, cue.prompt_mask, len(active)
        right = ids.dim() == 2 and len(ids) == studies and ids.dtype == torch.int64
        assert right, f"{self._name}: prompt_ids are {ids.dtype} {tuple(ids.shape)}, not int64 ({studies}, P)"
        right = mask.dtype == torch.bool and mask.shape == ids.shape
        assert right, f"{self._name}: prompt_mask is {mask.dtype} {tuple(mask.shape)}, not bool {tuple(ids.shape)}"
        within = not ids.numel() or (int(ids.min()) >= 0 and int(ids.max()) < self.tokenizer.vocab_size)
        assert within, f"{self._name}: a prompt holds ids that are not in the vocabulary, in its words or in its padding"
        special = torch.tensor([self.tokenizer.bos_token_id, self.tokenizer.eos_token_id])
        assert not bool(torch.isin(ids[mask], special).any()), f"{self._name}: a prompt holds the begin or the end of a report"
        assert bool((mask[:, 1:] <= mask[:, :-1]).all()), f"{self._name}: padding of a prompt stands before its words"
        if cue.logit_bias is not None:
            expected = (studies, self.tokenizer.vocab_size)
            got = tuple(cue.logit_bias.shape)
            assert got == expected, f"{self._name}: logit_bias has the shape {got}, not {expected}"
            assert_finite(cue.logit_bias, f"the logit_bias of {self._name}")
        return cue

    def _same(self, one: Cue, other: Cue, sentence: str) -> None:
        """Study by study the same words and the same bias."""
        for study in range(len(one.prompt_mask)):
            first, second = (cue.prompt_ids[study][cue.prompt_mask[study]] for cue in (one, other))
            assert torch.equal(first, second), f"{sentence}: other words for study {study}"
        assert (one.logit_bias is None) == (other.logit_bias is None), f"{sentence}: a bias is there once, and once it is not"
        if one.logit_bias is not None and other.logit_bias is not None:
            assert_close(one.logit_bias, other.logit_bias, sentence)

    @property
    def _name(self) -> str:
        return component_name(type(self).component)

    @torch.no_grad()
    def test_active_nodes_are_told(self) -> None:
        """Every set of active nodes is told in another way, by words or by a bias."""
        cue = self._cue(self._made(), self._active())
        told = [
            (tuple(ids[mask].tolist()), None if cue.logit_bias is None else tuple(cue.logit_bias[study].tolist()))
            for study, (ids, mask) in enumerate(zip(cue.prompt_ids, cue.prompt_mask))
        ]
        assert len(set(told)) == len(told), f"{self._name} tells other active nodes in the same way"

    @torch.no_grad()
    def test_no_study_reads_another(self) -> None:
        """Neither the order nor the size of the batch matters."""
        cues, active = self._made(), self._active()
        whole = self._cue(cues, active)
        for order in ([1, 3, 0, 2], [1], [0], [2, 2]):
            index = torch.tensor(order)
            bias = None if whole.logit_bias is None else whole.logit_bias[index]
            expected = Cue(whole.prompt_ids[index], whole.prompt_mask[index], bias)
            self._same(expected, self._cue(cues, active[index]), f"{self._name} mixes the studies of a batch")

    @torch.no_grad()
    def test_it_takes_any_graph(self) -> None:
        """One node, no edge, an isolated node: pruning may leave these."""
        for graph in odd_graphs().values():
            self._cue(self._made(graph), torch.tensor([[True] * len(graph.nodes), [False] * len(graph.nodes)]))

    @torch.no_grad()
    def test_training_and_generation_are_told_the_same(self) -> None:
        """Called again, and in the other mode, it tells the same: nothing is drawn, nothing is kept."""
        cues, active = self._made(), self._active()
        before = self._cue(cues, active)
        for mode in (True, False):
            if isinstance(cues, nn.Module):
                cues.train(mode)
            self._same(before, self._cue(cues, active), f"{self._name} does not tell the same twice, or not in every mode")

    def test_every_parameter_learns(self) -> None:
        """A gradient reaches every parameter, through the bias."""
        cues = self._made()
        if isinstance(cues, nn.Module) and list(cues.parameters()):
            bias = self._cue(cues, self._active()).logit_bias
            assert bias is not None, f"{self._name} has parameters and gives no bias: nothing reaches them"
            assert_learns(cues, lambda: cues(self._active()).logit_bias, self._name)

    @torch.no_grad()
    def test_it_survives_a_state_dict(self) -> None:
        """Through safetensors, into cues that were made anew."""
        cues, again = self._made(), self._made()
        if isinstance(cues, nn.Module):
            reloaded(awake(cues), again, self._name)
            first, second = (self._cue(each, self._active()) for each in (cues, again))
            told = first.logit_bias is None or second.logit_bias is None or close(first.logit_bias, second.logit_bias)
            assert told, f"{self._name} does not survive a state dict: something that counts is neither parameter nor buffer"
