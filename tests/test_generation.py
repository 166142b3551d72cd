"""Greedy and beam search against slow references that know no cache."""

from __future__ import annotations

import importlib.util
import itertools
import math
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from rrgbench import ConfigError, PluginError, RRGBenchError
from rrgbench.generation import Decoding, generate, reorder
from rrgbench.types import Features

_spec = importlib.util.spec_from_file_location("rrgbench_toys", Path(__file__).with_name("toys.py"))
toys = sys.modules.setdefault("rrgbench_toys", importlib.util.module_from_spec(_spec))
if not hasattr(toys, "make_model"):
    _spec.loader.exec_module(toys)

BOS, EOS = 1, 2


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(False)


def lively_model(seed: int):
    """A model whose reports differ between studies and end at different lengths."""
    model = toys.make_model(seed)
    model.decoder.head = torch.nn.Linear(toys.WIDTH, model.decoder.embed.num_embeddings)
    with torch.no_grad():
        for module in (model.decoder.head, model.decoder.read, *model.fusion.project.values()):
            module.weight *= 4
        model.decoder.head.bias[EOS] += 3
    return model.eval()


def logits_after(model, memory: Features, prefix: list[int]) -> torch.Tensor:
    """The next token's logits from a whole forward pass, for one study."""
    ids = torch.tensor([prefix])
    with torch.no_grad():
        logits = model.decoder(memory, ids, torch.ones_like(ids, dtype=torch.bool))[0, -1].clone()
    logits[[0, 1]] = -torch.inf
    return logits


def repeats(prefix: list[int], token: int, size: int) -> bool:
    words = [*prefix[1:], token]
    grams = [tuple(words[place : place + size]) for place in range(len(words) - size + 1)]
    return size > 0 and len(grams) > 1 and grams[-1] in grams[:-1]


def log_probabilities(model, memory, prefix, decoding: Decoding) -> torch.Tensor:
    logits = model.decoder(memory, torch.tensor([prefix]), torch.ones(1, len(prefix), dtype=torch.bool))[0, -1]
    scores = logits.detach().log_softmax(dim=0)
    scores[[0, 1]] = -torch.inf
    if len(prefix) - 1 < decoding.min_new_tokens:
        scores[EOS] = -torch.inf
    for token in range(len(scores)):
        if repeats(prefix, token, decoding.no_repeat_ngram_size):
            scores[token] = -torch.inf
    return scores


def naive_beam(model, memory, decoding: Decoding) -> list[int]:
    """Beam search as its definition says, one study at a time, without a cache."""
    beams, ended = [([BOS], 0.0)], []
    for length in range(1, decoding.max_new_tokens + 1):
        candidates = []
        for prefix, score in beams:
            scores = log_probabilities(model, memory, prefix, decoding)
            candidates += [([*prefix, token], score + float(value)) for token, value in enumerate(scores) if value > -math.inf]
        candidates.sort(key=lambda candidate: -candidate[1])
        beams = []
        for rank, (ids, score) in enumerate(candidates[: 2 * decoding.num_beams]):
            if ids[-1] == EOS or length == decoding.max_new_tokens:
                if rank < decoding.num_beams:
                    ended.append((score / length**decoding.length_penalty, ids))
            elif len(beams) < decoding.num_beams:
                beams.append((ids, score))
        ended = sorted(ended, key=lambda one: -one[0])[: decoding.num_beams]
        if not beams or (len(ended) == decoding.num_beams and ended[-1][0] >= beams[0][1] / length**decoding.length_penalty):
            break
    return ended[0][1]


def memories(model, data) -> list[Features]:
    with torch.no_grad():
        return [model.memory(data.inputs_batch([index])) for index in range(len(data))]


def words(ids: list[int]) -> str:
    return toys.ToyTokenizer().decode(ids)


def test_greedy_with_a_cache_is_the_argmax_of_whole_forward_passes():
    lengths = set()
    for seed in range(6):
        model, data = lively_model(seed), toys.make_set(9, seed, targets=False)
        expected = []
        for memory in memories(model, data):
            ids = [BOS]
            while len(ids) <= 15 and ids[-1] != EOS:
                ids.append(int(logits_after(model, memory, ids).argmax()))
            expected.append(words(ids))
        assert generate(model, data, toys.ToyTokenizer(), Decoding(max_new_tokens=15), batch_size=4) == expected
        lengths |= {len(report.split()) for report in expected}
    assert len(lengths) > 3, "the toys should end at different lengths, or this proves little"


@pytest.mark.parametrize("penalty", [0.0, 1.0, 2.0, -1.0])
@pytest.mark.parametrize(("beams", "ngram", "least"), [(2, 0, 0), (3, 2, 0), (4, 0, 4), (3, 1, 2)])
def test_beam_search_equals_the_naive_reference(penalty: float, beams: int, ngram: int, least: int):
    decoding = Decoding(beams, 10, least, penalty, ngram)
    for seed in range(2):
        model, data = lively_model(seed), toys.make_set(5, seed, targets=False)
        expected = [words(naive_beam(model, memory, decoding)) for memory in memories(model, data)]
        assert generate(model, data, toys.ToyTokenizer(), decoding, batch_size=3) == expected


def test_a_beam_wide_enough_finds_the_likeliest_of_all_reports():
    model, data = lively_model(1), toys.make_set(3, targets=False)
    # With 15 words to choose from and at most 3 tokens, 225 beams lose nothing.
    decoding = Decoding(num_beams=225, max_new_tokens=3, length_penalty=0.0)
    found = generate(model, data, toys.ToyTokenizer(), decoding, batch_size=3)
    for memory, report in zip(memories(model, data), found, strict=True):
        scored = {}
        for length in range(3):
            for body in itertools.product(range(3, 17), repeat=length):
                ids = [BOS, *body, EOS]
                mask = torch.ones(1, len(ids), dtype=torch.bool)
                with torch.no_grad():
                    table = model.decoder(memory, torch.tensor([ids]), mask)[0].log_softmax(dim=-1)
                scored[tuple(ids)] = float(sum(table[place, token] for place, token in enumerate(ids[1:])))
        for body in itertools.product(range(3, 17), repeat=2):
            ids = [BOS, *body]
            with torch.no_grad():
                table = model.decoder(memory, torch.tensor([ids]), torch.ones(1, 3, dtype=torch.bool))[0].log_softmax(dim=-1)
            third = table[2].clone()
            third[[0, 1, 2]] = -torch.inf
            scored[(*ids, int(third.argmax()))] = float(table[0, ids[1]] + table[1, ids[2]] + third.max())
        assert report == words(list(max(scored, key=scored.__getitem__)))


@pytest.mark.parametrize("decoding", [Decoding(max_new_tokens=12), Decoding(3, 12), Decoding(3, 12, no_repeat_ngram_size=2)])
def test_the_batch_does_not_change_a_report(decoding: Decoding):
    model, data = lively_model(2), toys.make_set(13, 5, targets=False)
    alone = generate(model, data, toys.ToyTokenizer(), decoding, batch_size=1)
    assert len(set(alone)) > 3
    assert generate(model, data, toys.ToyTokenizer(), decoding, batch_size=4) == alone
    assert generate(model, data, toys.ToyTokenizer(), decoding, batch_size=13) == alone


@pytest.mark.parametrize("beams", [1, 3])
def test_no_ngram_comes_twice_and_no_report_is_too_short(beams: int):
    model, data = lively_model(3), toys.make_set(8, 1, targets=False)
    free = generate(model, data, toys.ToyTokenizer(), Decoding(beams, 20))
    assert any(repeats([BOS, *ids[:-1]], ids[-1], 2) for ids in prefixes(free)), "without the rule the toys repeat themselves"
    held = generate(model, data, toys.ToyTokenizer(), Decoding(beams, 20, 6, no_repeat_ngram_size=2))
    assert not any(repeats([BOS, *ids[:-1]], ids[-1], 2) for ids in prefixes(held))
    assert min(len(report.split()) for report in held) >= 6


def prefixes(reports: list[str]) -> list[list[int]]:
    ids = [toys.ToyTokenizer().encode(report)[1:-1] for report in reports]
    return [row[:end] for row in ids for end in range(1, len(row) + 1)]


def test_where_every_word_is_used_up_the_report_ends():
    model, data = lively_model(3), toys.make_set(2, targets=False)
    for beams in (1, 2):
        found = generate(model, data, toys.ToyTokenizer(), Decoding(beams, 20, 20, no_repeat_ngram_size=1))
        assert [len(set(report.split())) for report in found] == [14, 14]


def test_a_length_penalty_above_zero_makes_reports_longer():
    def total(penalty: float) -> int:
        found = generate(
            lively_model(0), toys.make_set(8, targets=False), toys.ToyTokenizer(), Decoding(4, 12, length_penalty=penalty)
        )
        return sum(len(report.split()) for report in found)

    assert total(-2.0) < total(3.0)


def test_finished_studies_leave_a_greedy_batch():
    model, data = lively_model(2), toys.make_set(12, 5, targets=False)
    rows = []
    step = model.decoder.step

    def watched(input_ids, memory, cache):
        rows.append(len(input_ids))
        return step(input_ids, memory, cache)

    model.decoder.step = watched
    generate(model, data, toys.ToyTokenizer(), Decoding(max_new_tokens=20), batch_size=12)
    assert rows == sorted(rows, reverse=True)
    assert rows[-1] <= rows[0] // 2


def test_one_id_for_pad_begin_and_end_works():
    tokenizer = toys.ToyTokenizer()
    tokenizer.pad_token_id = tokenizer.bos_token_id = tokenizer.eos_token_id
    decoding = Decoding(2, 15, 3, no_repeat_ngram_size=1)
    lengths = [len(report.split()) for report in generate(lively_model(0), toys.make_set(9, targets=False), tokenizer, decoding)]
    assert min(lengths) >= 3
    assert min(lengths) < 14, "the end may come although its id also began the report"


def test_a_decoder_may_bring_its_own_search():
    model = lively_model(0)
    model.decoder.generate = lambda memory, decoding: torch.tensor([[1, 4, 5, 2, 9, 0]] * len(memory.mask))
    found = generate(model, toys.make_set(3, targets=False), toys.ToyTokenizer(), Decoding(max_new_tokens=20), batch_size=2)
    assert found == ["the heart"] * 3
    model.decoder.generate = lambda memory, decoding: [[4]]
    with pytest.raises(PluginError, match="1 sequences; expected 3"):
        generate(model, toys.make_set(3, targets=False), toys.ToyTokenizer(), Decoding(max_new_tokens=20))


def test_mistakes_are_told_in_a_line():
    data, tokenizer = toys.make_set(3, targets=False), toys.ToyTokenizer()
    for wrong in ({"num_beams": 0}, {"max_new_tokens": 0}, {"min_new_tokens": 61}, {"length_penalty": math.nan}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            Decoding(**wrong)
    with pytest.raises(ConfigError, match="got 25; expected at most the tokenizer's 24"):
        generate(lively_model(0), data, tokenizer, Decoding(max_new_tokens=25))
    model = lively_model(0)
    with torch.no_grad():
        model.decoder.head.weight[5] = math.nan
    for beams in (1, 2):
        with pytest.raises(RRGBenchError, match="NaN"):
            generate(model, data, tokenizer, Decoding(beams, 10))
    model = toys.make_model(decoder=toys.ToyDecoder(vocabulary=9))
    with pytest.raises(PluginError, match="step of decoder ToyDecoder"):
        generate(model, data, tokenizer, Decoding(max_new_tokens=10))


def test_a_cache_is_reordered_wherever_its_tensors_lie():
    rows = torch.tensor([2, 0])
    cache = {"a": [torch.arange(3), (torch.arange(6).reshape(3, 2), None)], "length": 3}
    found = reorder(cache, rows)
    assert found["a"][0].tolist() == [2, 0]
    assert found["a"][1][0].tolist() == [[4, 5], [0, 1]]
    assert found["a"][1][1] is None and found["length"] == 3
    with pytest.raises(PluginError, match="cache"):
        reorder({"a": object()}, rows)


def test_generation_never_asks_for_targets_and_tells_its_progress():
    told = []
    data = toys.make_set(5, targets=False)
    generate(
        lively_model(0),
        data,
        toys.ToyTokenizer(),
        Decoding(max_new_tokens=4),
        batch_size=2,
        on_progress=lambda *what: told.append(what),
    )
    assert told == [(2, 5, "reports"), (4, 5, "reports"), (5, 5, "reports")]
    assert replace(Decoding(), num_beams=2).num_beams == 2


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("beams", "penalty", "ngram", "least"), [(1, 1.0, 0, 0), (3, 1.0, 0, 0), (4, 2.0, 2, 5), (3, 0.0, 3, 0), (2, -1.0, 0, 3)]
)
def test_search_equals_transformers_for_the_same_weights(beams: int, penalty: float, ngram: int, least: int):
    transformers = pytest.importorskip("transformers")

    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=17, n_positions=40, n_embd=32, n_layer=2, n_head=2, bos_token_id=1, eos_token_id=2, pad_token_id=0
    )
    gpt = transformers.GPT2LMHeadModel(config).eval()
    with torch.no_grad():
        for parameter in gpt.parameters():
            if parameter.dim() > 1:
                parameter *= 12

    class Prefixed(torch.nn.Module):
        """The memory is read as a prefix of the words, with the whole past run again at every step."""

        hidden_size = 32

        def step(self, input_ids, memory, cache):
            past = input_ids if cache is None else torch.cat([cache, input_ids], dim=1)
            embedded = torch.cat([memory.hidden_states[:, :4], gpt.transformer.wte(past)], dim=1)
            return gpt(inputs_embeds=embedded).logits[:, -1], past

    torch.manual_seed(1)
    model = toys.Model({"image": toys.ToyImageEncoder()}, toys.ToyFusion(("image",), 32), Prefixed()).eval()
    with torch.no_grad():
        model.fusion.project["image"].weight *= 4
    data = toys.make_set(8, targets=False)
    decoding = Decoding(beams, 20, least, penalty, ngram)
    found = generate(model, data, toys.ToyTokenizer(), decoding, batch_size=8)
    with torch.no_grad():
        memory = model.memory(data.inputs_batch(range(8))).hidden_states[:, :4]
        prompt = torch.cat([memory, gpt.transformer.wte(torch.full((8, 1), BOS))], dim=1)
        theirs = gpt.generate(
            inputs_embeds=prompt, num_beams=beams, max_new_tokens=20, min_new_tokens=least or None, length_penalty=penalty,
            no_repeat_ngram_size=ngram, early_stopping=False, do_sample=False, suppress_tokens=[0, 1],
        )  # fmt: skip
    assert len(set(found)) > 3
    assert found == [words([token for token in row if token > 2]) for row in theirs.tolist()]
