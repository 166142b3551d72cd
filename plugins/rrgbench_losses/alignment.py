"""The losses that tie the knowledge graph to films and to reports."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from rrgbench import Output, TargetBatch


def _balanced(logits: Tensor, stated: Tensor) -> Tensor:
    """Binary cross-entropy in nats, the mean over stated nodes and the mean over the others in equal parts: a report states few
    of many nodes."""
    cost = F.binary_cross_entropy_with_logits(logits.float(), stated.float(), reduction="none")
    parts = [cost[one].mean() for one in (stated, ~stated) if bool(one.any())]
    return torch.stack(parts).mean()


class KnowledgeAlignment:
    """Graph nodes find their place on the films: a node that the report states is near to some region of its films, another to
    none (multiple-instance learning: no box is needed). In training only; a generator never sees which nodes a report states.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"node_logits", "report_nodes"})

    def __call__(self, output: Output, targets: TargetBatch) -> Tensor:
        """node_logits (B, G) against report_nodes (B, G) bool; gives a scalar."""
        assert output.node_logits is not None and targets.report_nodes is not None, "the platform gives what `needs` names"
        return _balanced(output.node_logits, targets.report_nodes)


class EntityAlignment:
    """Graph nodes find their words in the report: a node that the report states is near to some token of it, another to none. It
    teaches the knowledge encoder and the encoder of reports one space."""

    needs: ClassVar[frozenset[str]] = frozenset({"entity_logits", "report_nodes"})

    def __call__(self, output: Output, targets: TargetBatch) -> Tensor:
        """entity_logits (B, G) against report_nodes (B, G) bool; gives a scalar."""
        assert output.entity_logits is not None and targets.report_nodes is not None, "the platform gives what `needs` names"
        return _balanced(output.entity_logits, targets.report_nodes)
