"""The losses that teach text encoder and decoder the language of reports, before they are told what to write."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from rrgbench import Output, TargetBatch


class MaskedLanguageModelling:
    """Mean negative log-likelihood, in nats, of masked words of contexts and train reports (BERT, Devlin et al., 2019). 0 where
    no word of the batch was masked."""

    needs: ClassVar[frozenset[str]] = frozenset({"masked_logits"})

    def __call__(self, output: Output, targets: TargetBatch) -> Tensor:
        """masked_logits (n, vocabulary) against masked_ids (n,); gives a scalar."""
        logits, ids = output.masked_logits, output.masked_ids
        assert logits is not None and ids is not None, "the platform gives what `needs` names"
        return F.cross_entropy(logits.float(), ids, reduction="sum") / max(len(ids), 1)


class LanguageModelling:
    """Mean negative log-likelihood, in nats, of the next report token by the decoder alone: its memory holds nothing.

    Args:
        label_smoothing: the share of probability spread over the whole vocabulary (Szegedy et al., 2016).
    """

    needs: ClassVar[frozenset[str]] = frozenset({"lm_logits"})

    def __init__(self, *, label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0) -> None:
        self.label_smoothing = label_smoothing

    def __call__(self, output: Output, targets: TargetBatch) -> Tensor:
        """lm_logits (B, T, vocabulary) against input_ids (B, T), one place further on; gives a scalar."""
        logits, ids, mask = output.lm_logits, targets.input_ids, targets.attention_mask
        assert logits is not None and ids is not None and mask is not None, "the platform gives what `needs` names"
        return next_word(logits, ids, mask, self.label_smoothing)


def next_word(logits: Tensor, ids: Tensor, mask: Tensor, label_smoothing: float) -> Tensor:
    """Mean negative log-likelihood, in nats, of ids (B, T) by logits (B, T, vocabulary) one place before, over real tokens."""
    labels = ids[:, 1:].masked_fill(~mask[:, 1:], -100)
    predicted = logits[:, :-1].flatten(0, 1).float()
    return F.cross_entropy(predicted, labels.flatten(), ignore_index=-100, label_smoothing=label_smoothing)
