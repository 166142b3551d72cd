"""The language-model loss."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from rrgbench import Output, TargetBatch


class CrossEntropy:
    """Mean negative log-likelihood, in nats, of the next report token over all real tokens of the batch.

    Args:
        label_smoothing: the share of probability spread over the whole vocabulary (Szegedy et al. 2016).
    """

    needs: ClassVar[frozenset[str]] = frozenset({"logits"})

    def __init__(self, *, label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0) -> None:
        self.label_smoothing = label_smoothing

    def __call__(self, output: Output, targets: TargetBatch) -> Tensor:
        """logits (B, T, vocabulary) against input_ids (B, T), one place further on; gives a scalar."""
        labels = targets.input_ids[:, 1:].masked_fill(~targets.attention_mask[:, 1:], -100)
        predicted = output.logits[:, :-1].flatten(0, 1).float()
        return F.cross_entropy(predicted, labels.flatten(), ignore_index=-100, label_smoothing=self.label_smoothing)
