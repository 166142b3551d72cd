"""The language-model loss."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor

from rrgbench import Output, TargetBatch
from rrgbench_losses.language import next_word


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
        return next_word(output.logits, targets.input_ids, targets.attention_mask, self.label_smoothing)
