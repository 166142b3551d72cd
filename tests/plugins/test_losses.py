"""Losses keep the contract and equal the textbook."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from rrgbench_losses import (
    Contrastive,
    CrossEntropy,
    EntityAlignment,
    Findings,
    ImageTextMatching,
    KnowledgeAlignment,
    LanguageModelling,
    MaskedLanguageModelling,
    Scst,
    Segmentation,
    rrgbench_losses,
)
from rrgbench_metrics import Bleu, Rouge
from rrgbench_protocols import Raw

from rrgbench import ConfigError, Features, Output, Samples, TargetBatch
from rrgbench.testing import LossContract, ToyTokenizer

torch.set_num_threads(1)


class TestCrossEntropy(LossContract):
    component = CrossEntropy


class TestSmoothedCrossEntropy(LossContract):
    component = CrossEntropy
    options = {"label_smoothing": 0.1}


class TestContrastive(LossContract):
    component = Contrastive


class TestFindings(LossContract):
    component = Findings


class TestSegmentation(LossContract):
    component = Segmentation


class TestImageTextMatching(LossContract):
    component = ImageTextMatching


class TestImageTextMatchingOverAllPairs(LossContract):
    component = ImageTextMatching
    options = {"negatives": "all"}


class TestKnowledgeAlignment(LossContract):
    component = KnowledgeAlignment


class TestEntityAlignment(LossContract):
    component = EntityAlignment


class TestMaskedLanguageModelling(LossContract):
    component = MaskedLanguageModelling


class TestLanguageModelling(LossContract):
    component = LanguageModelling


class TestScst(LossContract):
    component = Scst
    options = {"reward": {"rouge_l": Rouge()}, "protocol": Raw()}


def batch() -> tuple[Output, TargetBatch]:
    torch.manual_seed(0)
    memory = Features(torch.zeros(2, 1, 4), torch.ones(2, 1, dtype=torch.bool))
    ids = torch.tensor([[1, 5, 6, 2, 0], [1, 7, 2, 0, 0]])
    mask = torch.tensor([[1, 1, 1, 1, 0], [1, 1, 1, 0, 0]]).bool()
    return Output({}, memory, torch.randn(2, 5, 9)), TargetBatch(("a", "b"), ids, mask)


def test_the_hook_offers_it() -> None:
    assert rrgbench_losses() == {
        "cross_entropy": CrossEntropy,
        "contrastive": Contrastive,
        "entity_alignment": EntityAlignment,
        "findings": Findings,
        "image_text_matching": ImageTextMatching,
        "knowledge_alignment": KnowledgeAlignment,
        "language_modelling": LanguageModelling,
        "masked_language_modelling": MaskedLanguageModelling,
        "scst": Scst,
        "segmentation": Segmentation,
    }


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


def aligned(images: torch.Tensor, reports: torch.Tensor, ids: list[list[int]], scale: float = 10.0) -> float:
    rows = torch.tensor(ids)
    output = Output({}, image_embedding=images, report_embedding=reports, logit_scale=torch.tensor(scale))
    names = tuple(f"s{place}" for place in range(len(ids)))
    return float(Contrastive()(output, TargetBatch(names, report_ids=rows, report_mask=rows > 0)))


def test_contrastive_is_clip_s_symmetric_loss_where_all_reports_differ() -> None:
    torch.manual_seed(0)
    images, reports = (F.normalize(torch.randn(5, 4), dim=1) for _ in range(2))
    logits = 10 * images @ reports.T
    expected = (F.cross_entropy(logits, torch.arange(5)) + F.cross_entropy(logits.T, torch.arange(5))) / 2
    assert math.isclose(aligned(images, reports, [[1, 2], [1, 3], [1, 4], [2, 0], [2, 2]]), float(expected), rel_tol=1e-6)


def test_films_whose_reports_are_the_same_are_not_pushed_apart() -> None:
    images = F.normalize(torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), dim=1)
    same, other = [[1, 2], [1, 2], [3, 0]], [[1, 2], [1, 4], [3, 0]]
    # Two studies with one report each take half: at best log 2 for them and 0 for the third.
    assert math.isclose(aligned(images, images, same, 100.0), 2 / 3 * math.log(2), rel_tol=1e-5)
    mirrored = images.flip(0)
    assert aligned(images, images, same) < aligned(images, mirrored, same)
    assert aligned(images, images, same) == aligned(images, images, other), "alike films cannot do better"


def test_padding_of_the_encoder_s_tokens_makes_no_report_different() -> None:
    images = F.normalize(torch.randn(2, 4), dim=1)
    output = Output({}, image_embedding=images, report_embedding=images, logit_scale=torch.tensor(5.0))
    mask = torch.tensor([[True, True, False]] * 2)
    one, two = (
        float(Contrastive()(output, TargetBatch(("a", "b"), report_ids=torch.tensor(ids), report_mask=mask)))
        for ids in ([[5, 6, 0], [5, 6, 0]], [[5, 6, 7], [5, 6, 8]])
    )
    assert one == two


def test_findings_is_binary_cross_entropy_over_known_labels() -> None:
    logits = torch.tensor([[0.3, -1.0], [2.0, 0.5]])
    labels = torch.tensor([[1.0, math.nan], [0.0, 1.0]])
    loss = Findings()(Output({}, finding_logits=logits), TargetBatch(("a", "b"), labels=labels))
    expected = -(F.logsigmoid(logits[0, 0]) + F.logsigmoid(-logits[1, 0]) + F.logsigmoid(logits[1, 1])) / 3
    assert torch.allclose(loss, expected)
    nothing = Findings()(Output({}, finding_logits=logits), TargetBatch(("a", "b"), labels=torch.full((2, 2), math.nan)))
    assert nothing == 0


def lungs(logits: torch.Tensor, shares: torch.Tensor, **options: float) -> float:
    """The loss of (B, V, h, w) of both."""
    return Segmentation(**options)(Output({}, mask_logits=logits, masks=shares), TargetBatch(("a",))).item()


def test_dice_and_cross_entropy_are_those_of_the_textbook() -> None:
    torch.manual_seed(0)
    logits, shares = torch.randn(2, 1, 2, 3), torch.rand(2, 1, 2, 3)
    found = logits.sigmoid()
    entropy = -(shares * found.log() + (1 - shares) * (1 - found).log()).mean().item()
    dice = [1 - 2 * (p * t).sum() / (p.square().sum() + t.square().sum()) for p, t in zip(found, shares)]
    assert math.isclose(lungs(logits, shares, dice=0.0), entropy, rel_tol=1e-5)
    assert math.isclose(lungs(logits, shares, dice=1.0), sum(dice).item() / 2, rel_tol=1e-5)
    mixed = 0.25 * sum(dice).item() / 2 + 0.75 * entropy
    assert math.isclose(lungs(logits, shares, dice=0.25), mixed, rel_tol=1e-5)


def test_dice_is_zero_at_the_shares_themselves() -> None:
    shares = torch.tensor([0.2, 0.5, 0.9, 0.6]).reshape(1, 1, 2, 2)
    assert abs(lungs(shares.logit(), shares, dice=1.0)) < 1e-6
    assert lungs(torch.full((1, 1, 2, 2), -9.0), torch.zeros(1, 1, 2, 2), dice=1.0) >= 0


def test_films_without_known_lungs_count_for_nothing() -> None:
    torch.manual_seed(0)
    logits, shares = torch.randn(2, 2, 2, 2), torch.rand(2, 2, 2, 2)
    shares[0, 1] = shares[1, 0] = math.nan
    known = [lungs(logits[b : b + 1, v : v + 1], shares[b : b + 1, v : v + 1]) for b, v in ((0, 0), (1, 1))]
    assert math.isclose(lungs(logits, shares), sum(known) / 2, rel_tol=1e-5)
    nothing = logits.requires_grad_()
    value = Segmentation()(Output({}, mask_logits=nothing, masks=torch.full_like(shares, math.nan)), TargetBatch(("a",)))
    value.backward()
    assert value.item() == 0 and bool((nothing.grad == 0).all())


def pairs(logits: list[list[float]], reports: list[list[int]]) -> tuple[Output, TargetBatch]:
    ids = torch.tensor(reports)
    return Output({}, matching_logits=torch.tensor(logits)), TargetBatch(("a", "b", "c"), report_ids=ids, report_mask=ids > 0)


def test_matching_takes_the_likeliest_wrong_report_of_a_film_and_film_of_a_report() -> None:
    output, targets = pairs([[2.0, 1.0, -1.0], [0.0, 3.0, 0.5], [-2.0, 4.0, 1.0]], [[5, 6], [7, 0], [8, 9]])
    right = [math.log1p(math.exp(-x)) for x in (2.0, 3.0, 1.0)]
    wrong = [math.log1p(math.exp(x)) for x in (1.0, 0.5, 4.0, 0.0, 4.0, 0.5)]
    expected = (sum(right) / 3 + sum(wrong) / 6) / 2
    assert torch.allclose(ImageTextMatching()(output, targets), torch.tensor(expected))


def test_studies_with_the_same_report_are_no_negatives_of_each_other() -> None:
    output, targets = pairs([[2.0, 90.0, -1.0], [90.0, 3.0, 0.5], [-2.0, -3.0, 1.0]], [[5, 6], [5, 6], [8, 9]])
    assert float(ImageTextMatching()(output, targets)) < 2
    output, targets = pairs([[2.0, 9.0], [9.0, 3.0]], [[5, 6], [5, 6]])
    right = (math.log1p(math.exp(-2.0)) + math.log1p(math.exp(-3.0))) / 2
    assert torch.allclose(ImageTextMatching()(output, targets), torch.tensor(right))


def test_alignment_weighs_stated_nodes_and_the_others_alike() -> None:
    stated = torch.tensor([[True, False, False, False]])
    targets = TargetBatch(("a",), report_nodes=stated)
    logits = torch.tensor([[1.0, -1.0, 0.0, -2.0]])
    expected = (math.log1p(math.exp(-1)) + (math.log1p(math.exp(-1)) + math.log(2) + math.log1p(math.exp(-2))) / 3) / 2
    for loss, name in ((KnowledgeAlignment(), "node_logits"), (EntityAlignment(), "entity_logits")):
        assert torch.allclose(loss(Output({}, **{name: logits}), targets), torch.tensor(expected))


def test_no_masked_word_is_no_loss() -> None:
    logits = torch.zeros(0, 9, requires_grad=True)
    output = Output({}, masked_logits=logits, masked_ids=torch.zeros(0, dtype=torch.int64))
    value = MaskedLanguageModelling()(output, TargetBatch(()))
    value.backward()
    assert value == 0 and logits.grad is not None


def drawn(first: str, second: str, greedy: tuple[str, str], references: tuple[str, str]) -> tuple[Output, TargetBatch]:
    tokenizer = ToyTokenizer()

    def rows(texts: tuple[str, str]) -> torch.Tensor:
        encoded = [tokenizer.encode(text) for text in texts]
        ids = torch.zeros(2, max(map(len, encoded)), dtype=torch.int64)
        for row, report in zip(ids, encoded):
            row[: len(report)] = torch.tensor(report)
        return ids

    ids = rows((first, second))
    samples = Samples(ids, ids > 0, torch.full((2, ids.shape[1] - 1), -1.0).requires_grad_(), rows(greedy))
    return Output({}, samples=samples), TargetBatch(("a", "b"), reports=references)


def test_a_drawn_report_that_beats_the_greedy_one_becomes_likelier_and_a_worse_one_less() -> None:
    references = ("the lungs are clear .", "the heart is large .")
    output, targets = drawn(
        "the lungs are clear .", "no acute finding .", ("no acute finding .", "the heart is large ."), references
    )
    loss = Scst(ToyTokenizer(), reward={"rouge_l": Rouge()}, protocol=Raw())
    loss(output, targets).backward()
    assert output.samples is not None and output.samples.log_probs.grad is not None
    better, worse = output.samples.log_probs.grad
    assert (better < 0).all() and (worse >= 0).all() and (worse > 0).any()
    told = loss.told()
    assert 0.5 < told["reward"] < 0.7 and told["reward"] == told["greedy_reward"], "one of two is right on either side"
    assert told["length"] == 4.5 and told["distinct"] == 1.0 and told["reference_length"] == 5.0


def test_rewards_are_a_weighted_mixture() -> None:
    output, targets = drawn("the lungs are clear .", "no acute finding .", ("no .", "no ."), ("the lungs are clear .",) * 2)
    told = {}
    for name, reward, weights in (
        ("rouge", {"rouge_l": Rouge()}, {}),
        ("bleu", {"bleu_2": Bleu()}, {}),
        ("both", {"rouge_l": Rouge(), "bleu_2": Bleu()}, {"rouge_l": 0.5, "bleu_2": 2.0}),
    ):
        loss = Scst(ToyTokenizer(), reward=reward, weights=weights, protocol=Raw())
        loss(output, targets)
        told[name] = loss.told()["reward"]
    assert math.isclose(told["both"], 0.5 * told["rouge"] + 2 * told["bleu"])


def test_a_reward_that_cannot_be_had_is_refused_by_name() -> None:
    for options, words in (
        ({"reward": {}}, "reward"),
        ({"reward": {"rouge_l": Rouge()}, "weights": {"rogue": 1.0}}, "rogue"),
    ):
        try:
            Scst(ToyTokenizer(), protocol=Raw(), **options)
        except ConfigError as error:
            assert words in str(error)
        else:
            raise AssertionError("it was taken")
