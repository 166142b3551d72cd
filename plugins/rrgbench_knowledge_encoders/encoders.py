"""Nodes to tokens by message passing over the graph, on torch_geometric: ``gcn`` and ``gat``.

The states of the nodes do not depend on the study, so they are computed once a batch; a study's tokens are those of its
active nodes.
"""

from __future__ import annotations

import warnings
from types import ModuleType
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from rrgbench import ConfigError, KnowledgeGraph

Width = Annotated[int, Field(gt=0)]
Layers = Annotated[int, Field(gt=0)]
Dropout = Annotated[float, Field(ge=0, lt=1)]


def _geometric(name: str) -> ModuleType:
    """``torch_geometric.nn``, which comes with an extra.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of torch.jit, for users of it
            import torch_geometric.nn
    except ImportError as error:
        what = f"knowledge encoder `{name}` needs torch_geometric"
        raise ConfigError(what, got=str(error), hint='pip install "rrgbench[graph]"') from error
    found: ModuleType = torch_geometric.nn
    return found


def _embeddings(graph: KnowledgeGraph, width: int, names: bool) -> nn.Parameter:
    """A vector a node, (G, width), drawn from torch's generator; with ``names`` that of its words in the middle, so that nodes
    that share a word start alike."""
    nodes = torch.randn(len(graph.nodes), width) * width**-0.5
    if names:
        spelled = [node.name.split() or [node.name] for node in graph.nodes]
        places = {word: place for place, word in enumerate(sorted({word for words in spelled for word in words}))}
        vectors = torch.randn(len(places), width) * width**-0.5
        middle = torch.stack([vectors[[places[word] for word in words]].mean(dim=0) for words in spelled])
        nodes = middle + 0.1 * nodes
    return nn.Parameter(nodes)


class _Edges(nn.Module):
    """The edges of a graph in both directions: ``index`` (2, 2M); ``kinds`` (2M,), the relations that occur, numbered from 0;
    ``back`` (2M,), True for the reverse of an edge; ``weights`` (2M,) in (0, 1], log(1 + count) by the largest."""

    index: Tensor
    kinds: Tensor
    back: Tensor
    weights: Tensor

    def __init__(self, graph: KnowledgeGraph) -> None:
        super().__init__()
        edges, types = graph.edges, graph.edge_types
        known, kinds = types.unique(return_inverse=True)
        self.count = len(known)
        weights = torch.ones(len(types)) if graph.edge_counts is None else graph.edge_counts.float().log1p()
        weights = weights / weights.max() if len(weights) else weights
        there = torch.zeros(len(types), dtype=torch.bool)
        # The graph is known before the weights are loaded: none of this is state.
        self.register_buffer("index", torch.cat([edges, edges.flip(0)], dim=1), persistent=False)
        self.register_buffer("kinds", kinds.repeat(2), persistent=False)
        self.register_buffer("back", torch.cat([there, ~there]), persistent=False)
        self.register_buffer("weights", weights.repeat(2), persistent=False)

    def attributes(self) -> Tensor:
        """(2M, 2 * relations + 1): which relation in which direction, and the weight."""
        kinds = F.one_hot(self.kinds + self.count * self.back, 2 * self.count) if self.count else self.index.new_zeros(0, 0)
        return torch.cat([kinds.to(self.weights.dtype), self.weights.unsqueeze(1)], dim=1)


def _tokens(states: Tensor, null: Tensor, active: Tensor) -> Tensor:
    """States of the nodes (G, D) and active nodes (B, G) to tokens (B, G, D): zero where inactive, and the null token (D,) in
    the first place of a study where none is active."""
    tokens = states * active.unsqueeze(-1)
    none = ~active.any(dim=1)
    first = torch.where(none[:, None, None], null.to(tokens.dtype), tokens[:, :1])
    return torch.cat([first, tokens[:, 1:]], dim=1)


def _passed(encoder: Gcn | Gat, about: Tensor) -> Tensor:
    """The nodes (G, width) after message passing; ``about``: what its layers read of the edges."""
    hidden: Tensor = encoder.nodes
    for norm, layer in zip(encoder.norms, encoder.layers):
        hidden = hidden + encoder.dropout(F.gelu(layer(norm(hidden), encoder.edges.index, about)))
    states: Tensor = encoder.norm(hidden)
    return states


class Gcn(nn.Module):
    """Graph convolutions (Kipf and Welling 2017; ``GCNConv``) over the graph in both directions, pre-norm and residual.

    An edge weighs log(1 + count), times a strength a relation that is learnt.

    Args:
        graph: nodes and edges of the train split.
        width: of a node's vector, and of a token.
        layers: convolutions, one after the other.
        dropout: of what a convolution adds.
        names: nodes that share a word start alike.

    Raises:
        ConfigError: torch_geometric is not installed.
    """

    def __init__(
        self, graph: KnowledgeGraph, *, width: Width = 128, layers: Layers = 2, dropout: Dropout = 0.1, names: bool = False
    ) -> None:
        super().__init__()
        geometric = _geometric("gcn")
        self.num_features = width
        self.edges = _Edges(graph)
        self.nodes = _embeddings(graph, width, names)
        self.null = nn.Parameter(torch.randn(width))
        self.strength = nn.Parameter(torch.zeros(self.edges.count)) if self.edges.count else None
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(layers))
        self.layers = nn.ModuleList(geometric.GCNConv(width, width) for _ in range(layers))
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(width)

    def states(self) -> Tensor:
        """The nodes after message passing, (G, width)."""
        weights = self.edges.weights
        if self.strength is not None:
            weights = weights * self.strength.exp()[self.edges.kinds]
        return _passed(self, weights)

    def forward(self, active_nodes: Tensor) -> Tensor:
        """(B, G) bool to (B, G, width)."""
        return _tokens(self.states(), self.null, active_nodes)


class Gat(nn.Module):
    """Graph attention (Brody et al. 2022, ``GATv2Conv``: attention that depends on both ends) over the graph in both directions,
    pre-norm and residual. Attention sees the relation of an edge, its direction and log(1 + count).

    Args:
        graph: nodes and edges of the train split.
        width: of a node's vector, and of a token.
        layers: attention layers, one after the other.
        heads: attention heads; they divide ``width``.
        dropout: of what a layer adds.
        names: nodes that share a word start alike.

    Raises:
        ConfigError: torch_geometric is not installed, or ``heads`` does not divide ``width``.
    """

    def __init__(
        self,
        graph: KnowledgeGraph,
        *,
        width: Width = 128,
        layers: Layers = 2,
        heads: Annotated[int, Field(gt=0)] = 4,
        dropout: Dropout = 0.1,
        names: bool = False,
    ) -> None:
        super().__init__()
        if width % heads:
            raise ConfigError("knowledge encoder `gat`: option `heads`", got=heads, expected=f"a divisor of the width {width}")
        geometric = _geometric("gat")
        self.num_features = width
        self.edges = _Edges(graph)
        self.nodes = _embeddings(graph, width, names)
        self.null = nn.Parameter(torch.randn(width))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(layers))
        seen = self.edges.attributes().shape[1]
        # A node's loop to itself is of no relation: with their mean, a node of one relation could not tell itself from others.
        self.layers = nn.ModuleList(
            geometric.GATv2Conv(width, width // heads, heads, edge_dim=seen, fill_value=0.0) for _ in range(layers)
        )
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(width)

    def states(self) -> Tensor:
        """The nodes after message passing, (G, width)."""
        return _passed(self, self.edges.attributes())

    def forward(self, active_nodes: Tensor) -> Tensor:
        """(B, G) bool to (B, G, width)."""
        return _tokens(self.states(), self.null, active_nodes)
