"""The contract of knowledge encoders: a right one keeps it, and each wrong one is told what is wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from rrgbench import KnowledgeGraph
from rrgbench.testing import failures


class Right(nn.Module):
    """A vector a node, and one for none."""

    def __init__(self, graph: KnowledgeGraph, *, width: int = 6) -> None:
        super().__init__()
        self.num_features = width
        self.nodes = nn.Parameter(torch.randn(len(graph.nodes), width))
        self.null = nn.Parameter(torch.randn(width))

    def states(self) -> Tensor:
        return self.nodes

    def forward(self, active_nodes: Tensor) -> Tensor:
        tokens = self.states() * active_nodes.unsqueeze(-1)
        none = ~active_nodes.any(dim=1)
        return torch.cat([torch.where(none[:, None, None], self.null, tokens[:, :1]), tokens[:, 1:]], dim=1)


class NoNull(Right):
    def forward(self, active_nodes: Tensor) -> Tensor:
        return self.nodes * active_nodes.unsqueeze(-1)


class Mixes(Right):
    def forward(self, active_nodes: Tensor) -> Tensor:
        return super().forward(active_nodes) + active_nodes.float().mean()


class Alike(Right):
    def states(self) -> Tensor:
        return self.nodes.mean(dim=0, keepdim=True).expand_as(self.nodes)


class Short(Right):
    def forward(self, active_nodes: Tensor) -> Tensor:
        return super().forward(active_nodes)[:, :-1]


class Draws(Right):
    def states(self) -> Tensor:
        return self.nodes * torch.from_numpy(np.random.default_rng().random(self.nodes.shape)).float()


class Dead(Right):
    def __init__(self, graph: KnowledgeGraph, *, width: int = 6) -> None:
        super().__init__(graph, width=width)
        self.unused = nn.Linear(2, 2)


class NeedsEdges(Right):
    def __init__(self, graph: KnowledgeGraph, *, width: int = 6) -> None:
        super().__init__(graph, width=width)
        graph.edge_types.max()


class Forgets(Right):
    def __init__(self, graph: KnowledgeGraph, *, width: int = 6) -> None:
        super().__init__(graph, width=width)
        self.hidden = torch.randn(width, generator=torch.Generator().manual_seed(id(self) % 2**31))

    def states(self) -> Tensor:
        return self.nodes + self.hidden


def test_a_right_encoder_keeps_the_contract() -> None:
    assert failures("knowledge_encoders", Right, {"width": 5}) == {}


@pytest.mark.parametrize(
    ("component", "check", "told"),
    [
        (NoNull, "a study without an active node has a null token", "gives nothing where no node is active"),
        (Mixes, "no study reads another", "mixes the studies of a batch"),
        (Alike, "every node has a token of its own", "the same token"),
        (Short, "it takes any graph", "Short"),
        (Draws, "evaluation is deterministic", "is not deterministic in evaluation mode"),
        (Draws, "gradients are the same twice", "other gradients the second time"),
        (Dead, "every parameter learns", "unused.weight"),
        (NeedsEdges, "it takes any graph", "NeedsEdges"),
        (Forgets, "it survives a state dict", "does not survive a state dict"),
    ],
)
def test_a_wrong_one_is_told_what_is_wrong(component: Any, check: str, told: str) -> None:
    found = failures("knowledge_encoders", component)
    assert check in found
    assert told in found[check]
