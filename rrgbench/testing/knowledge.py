"""What every encoder of the knowledge graph must be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from rrgbench.testing.building import (
    assert_bfloat16,
    assert_close,
    assert_deterministic,
    assert_fields,
    assert_finite,
    assert_learns,
    assert_survives_saving,
    built,
    component_name,
    module_of,
    saying,
)
from rrgbench.testing.toys import generator, toy_graph
from rrgbench.types import KnowledgeGraph, Node


def odd_graphs() -> dict[str, KnowledgeGraph]:
    """Graphs that pruning may leave: one node, no edge at all, an edge that nobody counted beside a node that has none."""
    none = torch.zeros(2, 0, dtype=torch.int64)
    nodes = toy_graph().nodes
    counted = KnowledgeGraph(nodes, torch.tensor([[2], [0]]), torch.tensor([1]), ("modify", "located_at"), torch.tensor([7.0]))
    return {
        "one node": KnowledgeGraph((Node("heart", "anatomy"),), none, none[0]),
        "no edge": KnowledgeGraph(nodes, none, none[0]),
        "a node without an edge": counted,
    }


class KnowledgeEncoderContract:
    """Subclass it and set ``component`` (and ``options``: a small model)."""

    component: ClassVar[Any]
    options: ClassVar[Mapping[str, Any]] = {}

    def _made(self, graph: KnowledgeGraph | None = None) -> Any:
        component = type(self).component
        made = module_of(component, built(component, {"graph": graph or toy_graph()}, self.options))
        assert_fields(made, {"num_features": int})
        return made.eval()

    def _active(self) -> Tensor:
        """Four studies: one node, none, all, two."""
        return torch.tensor([[False, True, False], [False, False, False], [True, True, True], [True, False, True]])

    def _tokens(self, encoder: Any, active: Tensor) -> Tensor:
        with saying(f"the forward pass of {self._name}"):
            tokens = encoder(active)
        expected = (*active.shape, encoder.num_features)
        right = isinstance(tokens, Tensor) and tuple(tokens.shape) == expected
        assert right, f"{self._name} gives {tuple(getattr(tokens, 'shape', ()))}, not tokens of shape {expected}"
        assert_finite(tokens, f"the tokens of {self._name}")
        assert isinstance(tokens, Tensor)
        return tokens

    def _real(self, encoder: Any, active: Tensor) -> Tensor:
        """The tokens that a fusion reads: those of active nodes, and the first where none is active."""
        none = ~active.any(dim=1, keepdim=True)
        return self._tokens(encoder, active)[torch.cat([active[:, :1] | none, active[:, 1:]], dim=1)]

    @property
    def _name(self) -> str:
        return component_name(type(self).component)

    @torch.no_grad()
    def test_a_study_without_an_active_node_has_a_null_token(self) -> None:
        """In the first place, and it is neither zero nor the token of the first node."""
        encoder = self._made()
        tokens = self._tokens(encoder, self._active())
        assert bool(tokens[1, 0].ne(0).any()), f"{self._name} gives nothing where no node is active: a null token stands first"
        assert not torch.allclose(tokens[1, 0], tokens[2, 0]), f"{self._name}: the null token is that of the first node"

    @torch.no_grad()
    def test_every_node_has_a_token_of_its_own(self) -> None:
        """Else a fusion could not tell which is active."""
        tokens = self._tokens(self._made(), self._active())[2]
        for one, other in ((0, 1), (0, 2), (1, 2)):
            assert not torch.allclose(tokens[one], tokens[other]), f"{self._name} gives nodes {one} and {other} the same token"

    @torch.no_grad()
    def test_no_study_reads_another(self) -> None:
        """Neither the order nor the size of the batch matters."""
        encoder, active = self._made(), self._active()
        whole = self._real(encoder, active)
        alone = torch.cat([self._real(encoder, study.unsqueeze(0)) for study in active])
        assert_close(whole, alone, f"{self._name} mixes the studies of a batch")

    @torch.no_grad()
    def test_it_takes_any_graph(self) -> None:
        """One node, no edge, an isolated node: pruning may leave these."""
        for what, graph in odd_graphs().items():
            encoder = self._made(graph)
            with saying(f"{self._name} over a graph of {what}"):
                tokens = encoder(torch.tensor([[True] * len(graph.nodes), [False] * len(graph.nodes)]))
            assert tuple(tokens.shape) == (2, len(graph.nodes), encoder.num_features), f"{self._name}, {what}: wrong shape"
            assert_finite(tokens, f"the tokens of {self._name} over a graph of {what}")

    def test_every_parameter_learns(self) -> None:
        """A gradient reaches every parameter, the null token's too."""
        encoder, active = self._made(), self._active()
        assert_learns(encoder, lambda: self._real(encoder, active), self._name)

    def test_gradients_are_the_same_twice(self) -> None:
        """With torch's deterministic algorithms, under which the platform trains."""
        before = torch.are_deterministic_algorithms_enabled()
        found = []
        try:
            torch.use_deterministic_algorithms(True)
            for _ in range(2):
                encoder = self._made().train()
                with torch.random.fork_rng(devices=[]), saying(f"training {self._name} with deterministic algorithms"):
                    torch.manual_seed(3)
                    tokens = self._tokens(encoder, self._active())
                    weighed = (tokens * torch.randn(tokens.shape, generator=generator(2))).sum()
                    gradients = torch.autograd.grad(weighed, list(encoder.parameters()), allow_unused=True)
                found.append([one for one in gradients if one is not None])
        finally:
            torch.use_deterministic_algorithms(before)
        assert len(found[0]) > 0, f"{self._name} learns nothing"
        same = all(torch.equal(one, other) for one, other in zip(*found, strict=True))
        assert same, f"{self._name} has other gradients the second time: something draws, or adds up in an order of its own"

    def test_evaluation_is_deterministic(self) -> None:
        """No dropout, no random numbers, no state between calls."""
        encoder = self._made()
        assert_deterministic(encoder, lambda: self._real(encoder, self._active()), self._name)

    def test_it_survives_a_state_dict(self) -> None:
        """Through safetensors, into an encoder with other weights over the same graph."""
        encoder = self._made()
        again: nn.Module = self._made()
        assert_survives_saving(encoder, again, lambda module: self._real(module, self._active()), self._name)

    def test_it_runs_in_bfloat16(self) -> None:
        """Under autocast, which is how it is trained on a GPU."""
        encoder, active = self._made(), self._active()
        assert_bfloat16(lambda: self._tokens(encoder, active), (*active.shape, encoder.num_features), self._name)
