"""The loss that asks of a film and a report whether they belong together."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from rrgbench import Output, TargetBatch
from rrgbench_losses.contrastive import same_reports


class ImageTextMatching:
    """Binary cross-entropy, in nats, of pairs of film and report: the right ones against hard negatives of the batch (ALBEF, Li
    et al., 2021), the mean of both kinds.

    Studies whose reports are word for word the same are never negatives of each other. A batch in which all are the same has
    no negative.

    Args:
        negatives: for each film the wrong report, and for each report the wrong film, that the model thinks the likeliest
            (``hard``), or ``all`` wrong pairs.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"matching_logits"})

    def __init__(self, *, negatives: Literal["hard", "all"] = "hard") -> None:
        self.negatives = negatives

    def __call__(self, output: Output, targets: TargetBatch) -> Tensor:
        """matching_logits (B, B), row film, column report, and report_ids (B, R); gives a scalar."""
        logits = output.matching_logits
        assert logits is not None, "the platform gives what `needs` names"
        logits = logits.float()
        wrong = ~same_reports(targets)
        right = F.softplus(-logits.diagonal()).mean()
        if not bool(wrong.any()):
            return right
        cost = F.softplus(logits)
        if self.negatives == "all":
            return (right + cost[wrong].mean()) / 2
        hardest = []
        for dim in (1, 0):
            there = wrong.any(dim=dim)
            chosen = logits.detach().masked_fill(~wrong, -torch.inf).argmax(dim=dim, keepdim=True)
            hardest.append(cost.gather(dim, chosen).squeeze(dim)[there])
        return (right + torch.cat(hardest).mean()) / 2
