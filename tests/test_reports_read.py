"""What reads reports in training: a report encoder, pairs, nodes, masked words, the decoder alone, and reports drawn from it."""

from __future__ import annotations

import dataclasses
import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

from rrgbench.errors import ConfigError
from rrgbench.generation import Decoding, generate
from rrgbench.heads import Heads
from rrgbench.masking import mask_words
from rrgbench.model import Model
from rrgbench.sampling import sample
from rrgbench.types import Features, Sampling

_spec = importlib.util.spec_from_file_location("toys", Path(__file__).with_name("toys.py"))
assert _spec is not None and _spec.loader is not None
toys = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(toys)

torch.set_num_threads(1)
EVERYONE = list(range(11))
NODES = 5


def _set(**more: object) -> object:
    random = np.random.default_rng(0)
    nodes = {"active_nodes": random.random((11, NODES)) < 0.4, "report_nodes": random.random((11, NODES)) < 0.4}
    return toys.make_set(report_encoder_tokenizer=toys.ToyTokenizer(), **nodes, **more)


def _model(own: bool = True, **heads: object) -> Model:
    torch.manual_seed(0)
    encoders = {"image": toys.ToyImageEncoder(), "text": toys.ToyTextEncoder(), "knowledge": toys.ToyKnowledgeEncoder(NODES)}
    dims = dict.fromkeys((*encoders, "report") if own else encoders, toys.WIDTH)
    reader = toys.ToyTextEncoder() if own else None
    return Model(encoders, heads=Heads(dims, **heads), report_encoder=reader)


def _output(model: Model) -> object:
    data = _set()
    return model(data.inputs_batch(EVERYONE), data.targets_batch(EVERYONE))


def test_pairs_nodes_and_entities_are_told_apart_for_every_study() -> None:
    output = _output(_model(matching_dim=6, node_dim=6, entity_dim=6).eval())
    assert output.matching_logits.shape == (11, 11)
    assert output.node_logits.shape == output.entity_logits.shape == (11, NODES)


def test_a_pair_is_judged_by_its_own_film_and_report() -> None:
    model, data = _model(matching_dim=6).eval(), _set()
    batch, targets = data.inputs_batch(EVERYONE), data.targets_batch(EVERYONE)
    whole = model(batch, targets).matching_logits
    few = [3, 7, 1]
    part = model(data.inputs_batch(few), data.targets_batch(few)).matching_logits
    assert torch.allclose(part, whole[few][:, few], atol=1e-5), "neither padding nor company counts"


@pytest.mark.parametrize(("own", "reader"), [(True, "report"), (False, "text")])
def test_reports_are_read_by_their_own_encoder_or_by_that_of_text(own: bool, reader: str) -> None:
    model = _model(own, embedding_dim=4)
    _output(model).report_embedding.sum().backward()
    learns = {name for name, part in model.parameters_by_module().items() if any(p.grad is not None for p in part.values())}
    assert learns == {reader, "heads"}
    assert ("report" in model.modules_by_name()) == own


def test_nodes_and_entities_teach_the_knowledge_encoder_whatever_is_active() -> None:
    model, data = _model(node_dim=6, entity_dim=6), _set()
    batch = data.inputs_batch(EVERYONE)
    nothing = dataclasses.replace(batch, active_nodes=torch.zeros_like(batch.active_nodes))
    targets = data.targets_batch(EVERYONE)
    model.eval()
    for name in ("node_logits", "entity_logits"):
        first, second = (getattr(model(each, targets), name) for each in (batch, nothing))
        assert torch.equal(first, second)
    model(nothing, targets).node_logits.sum().backward()
    assert model.encoders["knowledge"].nodes.grad.abs().sum(dim=1).gt(0).all()


def test_masked_words_are_real_words_and_mostly_become_the_mask() -> None:
    torch.manual_seed(0)
    tokenizer = toys.ToyTokenizer()
    tokenizer.mask_token_id = 3
    ids = torch.randint(4, tokenizer.vocab_size, (400, 12))
    ids[:, 0], ids[:, 9], ids[:, 10:] = 1, 2, 0
    mask = torch.arange(12).expand(400, 12) < 10
    masked, chosen = mask_words(ids, mask, tokenizer)
    assert not chosen[:, [0, 9, 10, 11]].any()
    assert 0.12 < chosen[:, 1:9].float().mean() < 0.18
    assert torch.equal(masked[~chosen], ids[~chosen])
    assert 0.75 < (masked[chosen] == 3).float().mean() < 0.85
    assert 0.06 < (masked[chosen] == ids[chosen]).float().mean() < 0.18


def test_a_tokenizer_without_a_mask_is_refused() -> None:
    with pytest.raises(ConfigError, match="mask_token_id"):
        mask_words(torch.ones(1, 3, dtype=torch.int64), torch.ones(1, 3, dtype=torch.bool), toys.ToyTokenizer())


@pytest.mark.parametrize("own", [True, False])
def test_masked_words_are_of_contexts_and_of_reports_where_the_text_encoder_reads_them(own: bool) -> None:
    model = _model(own, words=toys.ToyTokenizer().vocab_size)
    model.encoders["text"].tokenizer.unk_token_id = 3
    torch.manual_seed(1)
    drawn = [len(_output(model).masked_ids) for _ in range(8)]
    data = _set()
    words = data.inputs_batch(EVERYONE).context_mask.sum() - 22
    both = words + data.targets_batch(EVERYONE).report_mask.sum() - 22
    expected = 8 * 0.15 * float(words if own else both)
    assert 0.5 * expected < sum(drawn) < 1.6 * expected


def test_the_decoder_alone_reads_no_study() -> None:
    torch.manual_seed(0)
    model, data = Model({}, decoder=toys.ToyDecoder()).eval(), toys.make_set()
    output = model(data.inputs_batch(EVERYONE), data.targets_batch(EVERYONE))
    assert output.logits is None and output.lm_logits.shape[:2] == data.targets_batch(EVERYONE).input_ids.shape
    assert set(model.modules_by_name()) == {"decoder"}


def test_what_no_loss_reads_is_not_made() -> None:
    model, data = toys.make_model().eval(), toys.make_set()
    model.needs = frozenset({"features.image"})
    output = model(data.inputs_batch(EVERYONE), data.targets_batch(EVERYONE))
    assert output.logits is None and output.lm_logits is None and set(output.features) == {"image", "text"}


SAMPLING = Sampling(bos_token_id=1, eos_token_id=2, pad_token_id=0, vocab_size=17, max_new_tokens=9)


def _memory(model: Model) -> Features:
    return model.memory(toys.make_set().inputs_batch(EVERYONE))


def test_drawn_reports_are_as_likely_as_the_decoder_says_step_by_step() -> None:
    model = toys.make_model().eval()
    memory = _memory(model)
    for temperature in (1.0, 0.5):
        torch.manual_seed(2)
        drawn = sample(model.decoder, memory, dataclasses.replace(SAMPLING, temperature=temperature))
        cache = None
        for place in range(drawn.ids.shape[1] - 1):
            logits, cache = model.decoder.step(drawn.ids[:, place : place + 1], memory, cache)
            logits[:, [0, 1]] = -torch.inf
            chances = (logits / temperature).log_softmax(dim=1).gather(1, drawn.ids[:, place + 1 : place + 2])[:, 0]
            real = drawn.mask[:, place + 1]
            assert torch.allclose(drawn.log_probs[:, place][real], chances[real], atol=1e-4)
            assert (drawn.log_probs[:, place][~real] == 0).all()


def test_greedy_reports_are_those_of_generation_and_draws_differ_from_them() -> None:
    model, data = toys.make_model().eval(), toys.make_set(targets=False)
    torch.manual_seed(2)
    drawn = sample(model.decoder, _memory(model), SAMPLING)
    tokenizer = toys.ToyTokenizer()
    texts = [tokenizer.decode(row[: row.index(2)] if 2 in row else row) for row in drawn.greedy_ids.tolist()]
    assert texts == generate(model, data, tokenizer, Decoding(max_new_tokens=9))
    assert drawn.ids.tolist() != drawn.greedy_ids.tolist()
    ends = (drawn.ids == 2).cumsum(dim=1)
    assert (drawn.ids[~drawn.mask] == 0).all() and (ends.max(dim=1).values <= 1).all(), "nothing stands behind an end"


def test_drawing_happens_in_evaluation_mode_and_every_module_is_given_back_as_it_was() -> None:
    model, data = toys.make_model().train(), toys.make_set()
    model.encoders["image"].eval()
    before = [module.training for module in model.modules()]
    batch, targets = data.inputs_batch(EVERYONE), data.targets_batch(EVERYONE)
    results = []
    for _ in range(2):
        torch.manual_seed(3)
        results.append(model(batch, targets, sampling=SAMPLING).samples)
    assert torch.equal(results[0].log_probs, results[1].log_probs)
    assert [module.training for module in model.modules()] == before
    (-results[0].log_probs.sum()).backward()
    assert all(p.grad is not None for p in model.decoder.parameters()) and model.fusion.project["text"].weight.grad is not None
