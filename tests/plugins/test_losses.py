"""Cross-entropy keeps the contract and equals the textbook."""

from __future__ import annotations

import torch
from rrgbench_losses import CrossEntropy, rrgbench_losses

from rrgbench import Features, Output, TargetBatch
from rrgbench.testing import LossContract

torch.set_num_threads(1)


class TestCrossEntropy(LossContract):
    component = CrossEntropy


class TestSmoothedCrossEntropy(LossContract):
    component = CrossEntropy
    options = {"label_smoothing": 0.1}


def batch() -> tuple[Output, TargetBatch]:
    torch.manual_seed(0)
    memory = Features(torch.zeros(2, 1, 4), torch.ones(2, 1, dtype=torch.bool))
    ids = torch.tensor([[1, 5, 6, 2, 0], [1, 7, 2, 0, 0]])
    mask = torch.tensor([[1, 1, 1, 1, 0], [1, 1, 1, 0, 0]]).bool()
    return Output({}, memory, torch.randn(2, 5, 9)), TargetBatch(("a", "b"), ids, mask)


def test_the_hook_offers_it() -> None:
    assert rrgbench_losses() == {"cross_entropy": CrossEntropy}


def test_it_is_the_mean_of_minus_log_p_over_the_real_next_tokens() -> None:
    output, targets = batch()
    log_p = output.logits.log_softmax(-1)
    pairs = [(0, 0, 5), (0, 1, 6), (0, 2, 2), (1, 0, 7), (1, 1, 2)]
    expected = -torch.stack([log_p[place] for place in pairs]).mean()
    assert torch.allclose(CrossEntropy()(output, targets), expected)


def test_smoothing_spreads_its_share_over_the_whole_vocabulary() -> None:
    output, targets = batch()
    log_p = output.logits.log_softmax(-1)
    pairs = [(0, 0, 5), (0, 1, 6), (0, 2, 2), (1, 0, 7), (1, 1, 2)]
    expected = -torch.stack([0.8 * log_p[place] + 0.2 * log_p[place[:2]].mean() for place in pairs]).mean()
    assert torch.allclose(CrossEntropy(label_smoothing=0.2)(output, targets), expected)
