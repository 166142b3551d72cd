"""Clinical cues: what a decoder is told of the nodes of the knowledge graph that are active for a study."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from rrgbench import Cue, KnowledgeGraph, Tokenizer

Kinds = Literal["all", "anatomy", "observation"]


class Prompt:
    """The names of active nodes stand before the report, the most frequent first, in the tokens that the decoder writes in.

    A name of which the tokenizer knows no word is left out. A study without an active node has no prompt.

    Args:
        tokenizer: of the reports.
        graph: the knowledge graph.
        kinds: which nodes are told.
        separator: what stands between two names.
        max_tokens: the most tokens of a prompt; what is longer is cut.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        graph: KnowledgeGraph,
        *,
        kinds: Kinds = "all",
        separator: str = " . ",
        max_tokens: Annotated[int, Field(gt=0)] = 48,
    ) -> None:
        self._tokenizer, self._separator, self._max_tokens = tokenizer, separator, max_tokens
        told = _told(graph, kinds)
        self._names = [node.name if tells and _spelt(tokenizer, node.name) else "" for node, tells in zip(graph.nodes, told)]

    def __call__(self, active_nodes: Tensor) -> Cue:
        """Active nodes (B, G) bool."""
        found = [self._ids(row) for row in active_nodes.tolist()]
        lengths = torch.tensor([len(ids) for ids in found])
        mask = torch.arange(max(map(len, found), default=0)) < lengths[:, None]
        ids = torch.zeros(mask.shape, dtype=torch.int64)
        ids[mask] = torch.tensor([one for each in found for one in each], dtype=torch.int64)
        return Cue(ids.to(active_nodes.device), mask.to(active_nodes.device))

    def _ids(self, active: list[bool]) -> list[int]:
        names = [name for name, is_active in zip(self._names, active, strict=True) if name and is_active]
        return self._tokenizer.encode(self._separator.join(names))[1:-1][: self._max_tokens] if names else []


class Bias(nn.Module):
    """Tokens that spell the name of an active node are made likelier at every word of the report, in training and in generation.

    Args:
        tokenizer: of the reports.
        graph: the knowledge graph.
        kinds: which nodes are told.
        strength: what is added to their logits.
        learned: the strength is trained with the decoder, from there on.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        graph: KnowledgeGraph,
        *,
        kinds: Kinds = "all",
        strength: Annotated[float, Field(ge=-100, le=100)] = 1.0,
        learned: bool = False,
    ) -> None:
        super().__init__()
        self.vocab_size = tokenizer.vocab_size
        self.strength = nn.Parameter(torch.tensor(strength)) if learned else strength
        told = _told(graph, kinds)
        spelt = [_spelt(tokenizer, node.name) if tells else [] for node, tells in zip(graph.nodes, told)]
        # One id more than there are stands for nothing: it fills what is short, and takes the place of what is not active.
        ids = torch.full((len(spelt), max(map(len, spelt), default=0)), self.vocab_size)
        for row, found in zip(ids, spelt):
            row[: len(found)] = torch.tensor(found, dtype=torch.int64)
        self.register_buffer("spelt", ids, persistent=False)

    def forward(self, active_nodes: Tensor) -> Cue:
        """Active nodes (B, G) bool."""
        chosen = self.spelt.masked_fill(~active_nodes[:, :, None], self.vocab_size).flatten(1)
        spelt = torch.zeros(len(active_nodes), self.vocab_size + 1, device=active_nodes.device).scatter_(1, chosen, 1.0)
        return Cue(chosen[:, :0], active_nodes[:, :0], spelt[:, : self.vocab_size] * self.strength)


def _told(graph: KnowledgeGraph, kinds: Kinds) -> list[bool]:
    return [kinds in ("all", node.kind) for node in graph.nodes]


def _spelt(tokenizer: Tokenizer, name: str) -> list[int]:
    """The ids that spell a name, at the beginning of a text and inside of one; not the mark of a word that is unknown."""
    ids = {one for text in (name, f"{name} {name}") for one in tokenizer.encode(text)[1:-1]}
    pieces = {one: tokenizer.decode([one]).strip().lstrip("#").lower() for one in ids}
    return sorted(one for one, piece in pieces.items() if piece and piece in name.lower())
