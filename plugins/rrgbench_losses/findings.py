"""The loss that teaches the image encoder what there is to see."""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor

from rrgbench import Output, TargetBatch


class Findings:
    """Binary cross-entropy, in nats, of the findings that a report states, read from the films alone: the mean over known
    labels."""

    needs: ClassVar[frozenset[str]] = frozenset({"finding_logits", "labels"})

    def __call__(self, output: Output, targets: TargetBatch) -> Tensor:
        """finding_logits (B, K) against labels (B, K), NaN where unknown; gives a scalar, 0 where none is known."""
        logits, labels = output.finding_logits, targets.labels
        assert logits is not None and labels is not None, "the platform gives what `needs` names"
        known = ~labels.isnan()
        each = F.binary_cross_entropy_with_logits(logits.float(), labels.nan_to_num(), reduction="none")
        return (each * known).sum() / known.sum().clamp(min=1)
