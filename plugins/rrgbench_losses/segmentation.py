"""The loss that teaches the image encoder where the lungs are."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from rrgbench import Output, TargetBatch


class Segmentation:
    """Dice and binary cross-entropy of the lungs, read from single tokens: the mean over the films on which lungs are known.

    Dice is V-Net's (Milletari et al., 2016), with squares in the denominator, so that it is 0 at the shares of lung themselves
    and not at their rounding; cross-entropy is in nats, the mean over the tokens of a film.

    Args:
        dice: the share of Dice in the sum; the rest is cross-entropy.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"mask_logits", "masks"})

    def __init__(self, *, dice: Annotated[float, Field(ge=0, le=1)] = 0.5) -> None:
        self.dice = dice

    def __call__(self, output: Output, targets: TargetBatch) -> Tensor:
        """mask_logits (B, V, h, w) against masks (B, V, h, w), the share of lung at a token, NaN where unknown; gives a scalar, 0
        where no lungs are known."""
        assert output.mask_logits is not None and output.masks is not None, "the platform gives what `needs` names"
        logits, shares = (each.flatten(0, 1).flatten(1).float() for each in (output.mask_logits, output.masks))
        known = ~shares.isnan().any(dim=1)
        shares, found = shares.nan_to_num(), logits.sigmoid()
        entropy = F.binary_cross_entropy_with_logits(logits, shares, reduction="none").mean(dim=1)
        both = (found * found + shares * shares).sum(dim=1).clamp(min=1e-6)
        each = self.dice * (1 - 2 * (found * shares).sum(dim=1) / both) + (1 - self.dice) * entropy
        return (each * known).sum() / known.sum().clamp(min=1)
