"""The loss that brings films and reports together."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from rrgbench import Output, TargetBatch


class Contrastive:
    """CLIP's loss (Radford et al., 2021): each film finds its report in the batch, and each report its film; their mean, in nats.

    Cosines are multiplied with the model's learnt ``logit_scale``. Studies of a batch whose reports are word for word the
    same count as right, in equal shares (as in UniCL, Yang et al., 2022): chest reports repeat themselves, and a normal
    film cannot be told to avoid the report of another normal film.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"image_embedding", "report_embedding"})

    def __call__(self, output: Output, targets: TargetBatch) -> Tensor:
        """image_embedding and report_embedding (B, E) of length 1, report_ids (B, R); gives a scalar."""
        image, report, scale = output.image_embedding, output.report_embedding, output.logit_scale
        assert image is not None and report is not None and scale is not None, "the platform gives what `needs` names"
        logits = scale * image.float() @ report.float().T
        right = same_reports(targets).to(logits)
        right = right / right.sum(dim=1, keepdim=True)
        return (F.cross_entropy(logits, right) + F.cross_entropy(logits.T, right)) / 2


def same_reports(targets: TargetBatch) -> Tensor:
    """(B, B) bool: which studies of the batch have the same report."""
    ids, mask = targets.report_ids, targets.report_mask
    assert ids is not None and mask is not None, "the platform gives what `needs` names"
    words = torch.where(mask, ids, -1)
    return (words[:, None] == words[None]).all(dim=2)
