"""Each mistake in cues is caught by the check that is for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rrgbench import Cue, KnowledgeGraph
from rrgbench.testing import ToyCues, ToyTokenizer, failures

Failing = Callable[..., str]


class Learned(nn.Module):
    """Right cues with a parameter: the mistakes below are made in them, one at a time."""

    def __init__(self, tokenizer: ToyTokenizer, graph: KnowledgeGraph) -> None:
        super().__init__()
        self.toy = ToyCues(tokenizer, graph)
        self.strength = nn.Parameter(torch.tensor(2.0))

    def forward(self, active_nodes: Tensor) -> Cue:
        cue = self.toy(active_nodes)
        return replace(cue, logit_bias=cue.logit_bias * self.strength)


def wrong(change: Callable[[Learned, Cue, Tensor], Any]) -> type[Learned]:
    """Cues whose answer is changed."""

    class Wrong(Learned):
        def forward(self, active_nodes: Tensor) -> Any:
            return change(self, super().forward(active_nodes), active_nodes)

    return Wrong


class Dead(Learned):
    def __init__(self, tokenizer: ToyTokenizer, graph: KnowledgeGraph) -> None:
        super().__init__(tokenizer, graph)
        self.unused = nn.Parameter(torch.ones(2))


class NeedsEdges(Learned):
    def __init__(self, tokenizer: ToyTokenizer, graph: KnowledgeGraph) -> None:
        super().__init__(tokenizer, graph)
        graph.edge_types.max()


class Forgets(Learned):
    def __init__(self, tokenizer: ToyTokenizer, graph: KnowledgeGraph) -> None:
        super().__init__(tokenizer, graph)
        self.hidden = id(self) % 997

    def forward(self, active_nodes: Tensor) -> Cue:
        cue = super().forward(active_nodes)
        return replace(cue, logit_bias=cue.logit_bias + self.hidden)


def remembers(cues: Learned, cue: Cue, active: Tensor) -> Cue:
    cues.calls = getattr(cues, "calls", 0) + 1
    return replace(cue, logit_bias=cue.logit_bias + cues.calls)


def reads_the_batch(cues: Learned, cue: Cue, active: Tensor) -> Cue:
    return replace(cue, logit_bias=cue.logit_bias + cue.logit_bias.mean())


def gives_the_longest_prompt_to_all(cues: Learned, cue: Cue, active: Tensor) -> Cue:
    return replace(cue, prompt_mask=torch.ones_like(cue.prompt_mask))


def test_right_cues_keep_the_contract() -> None:
    assert failures("cues", ToyCues) == {}
    assert failures("cues", ToyCues, {"filler": 3, "room": 2}) == {}
    assert failures("cues", Learned) == {}


@pytest.mark.parametrize(
    ("component", "check", "sentence"),
    [
        (wrong(lambda cues, cue, active: cue.prompt_ids), "active nodes are told", "gives Tensor, not a Cue"),
        (
            wrong(lambda cues, cue, active: replace(cue, prompt_ids=cue.prompt_ids.float())),
            "active nodes are told",
            "not int64 (4, P)",
        ),
        (
            wrong(lambda cues, cue, active: replace(cue, prompt_mask=cue.prompt_mask.long())),
            "active nodes are told",
            "prompt_mask is torch.int64",
        ),
        (
            wrong(lambda cues, cue, active: replace(cue, prompt_ids=cue.prompt_ids + 500)),
            "active nodes are told",
            "not in the vocabulary",
        ),
        (
            wrong(lambda cues, cue, active: replace(cue, prompt_ids=cue.prompt_ids * 0 + 1)),
            "active nodes are told",
            "the begin or the end",
        ),
        (
            wrong(lambda cues, cue, active: replace(cue, prompt_mask=cue.prompt_mask.flip(1))),
            "active nodes are told",
            "padding of a prompt stands before its words",
        ),
        (
            wrong(lambda cues, cue, active: replace(cue, logit_bias=cue.logit_bias[:, 1:])),
            "active nodes are told",
            "logit_bias has the shape",
        ),
        (
            wrong(lambda cues, cue, active: replace(cue, logit_bias=cue.logit_bias / 0)),
            "active nodes are told",
            "NaN or infinity",
        ),
        (
            wrong(lambda cues, cue, active: cues.toy(active | True)),
            "active nodes are told",
            "tells other active nodes in the same way",
        ),
        (wrong(reads_the_batch), "no study reads another", "mixes the studies of a batch"),
        (wrong(gives_the_longest_prompt_to_all), "no study reads another", "other words for study"),
        (NeedsEdges, "any graph", "raised"),
        (wrong(remembers), "told the same", "does not tell the same twice"),
        (
            wrong(lambda cues, cue, active: replace(cue, logit_bias=None) if cues.training else cue),
            "told the same",
            "a bias is there once, and once it is not",
        ),
        (Dead, "every parameter", "unused"),
        (
            wrong(lambda cues, cue, active: replace(cue, logit_bias=None)),
            "every parameter",
            "gives no bias: nothing reaches them",
        ),
        (Forgets, "survives", "does not survive a state dict"),
    ],
)
def test_wrong_cues_are_caught_by_their_check(failing: Failing, component: Any, check: str, sentence: str) -> None:
    assert sentence in failing("cues", component, check)
