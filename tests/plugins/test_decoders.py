"""The decoders that are trained from scratch keep the contract, with defaults and with their options."""

from __future__ import annotations

import pytest
import torch
from rrgbench_decoders import CausalLM, RelationalMemoryDecoder, Transformer, rrgbench_decoders
from rrgbench_decoders.relational_memory import ConditionalNorm, RelationalMemory
from torch import nn

from rrgbench import ConfigError, Features
from rrgbench.testing import DecoderContract, ToyTokenizer, toy_features

torch.set_num_threads(1)

SMALL = {"layers": 2, "hidden_size": 32, "heads": 4}


class TestTransformer(DecoderContract):
    component = Transformer
    options = SMALL


class TestTransformerWithSinusoidalPositionsAndUntiedWords(DecoderContract):
    component = Transformer
    options = {**SMALL, "positions": "sinusoidal", "tie_embeddings": False, "feed_forward": 48}


class TestRelationalMemory(DecoderContract):
    component = RelationalMemoryDecoder
    options = SMALL


class TestRelationalMemoryWithSlotsOfAnotherWidth(DecoderContract):
    component = RelationalMemoryDecoder
    options = {**SMALL, "slots": 2, "slot_size": 24, "slot_heads": 3, "positions": "sinusoidal", "tie_embeddings": False}


def made(component: type = Transformer, **options: object) -> tuple[nn.Module, Features]:
    torch.manual_seed(0)
    decoder = component(ToyTokenizer(), **{**SMALL, **options})
    return decoder, toy_features({"text": 32})["text"]


def test_the_hook_offers_them() -> None:
    assert rrgbench_decoders() == {
        "transformer": Transformer,
        "relational_memory": RelationalMemoryDecoder,
        "causal_lm": CausalLM,
    }


BOTH = pytest.mark.parametrize("component", [Transformer, RelationalMemoryDecoder])


@BOTH
@pytest.mark.parametrize("positions", ["learned", "sinusoidal"])
def test_cached_steps_equal_the_forward_pass_within_one_in_a_hundred_thousand(component: type, positions: str) -> None:
    decoder, memory = made(component, positions=positions)
    ids = torch.randint(0, ToyTokenizer().vocab_size, (3, 20))
    with torch.inference_mode():
        whole = decoder.eval()(memory, ids, torch.ones_like(ids, dtype=torch.bool))
        cache = None
        for place in range(20):
            logits, cache = decoder.step(ids[:, place : place + 1], memory, cache)
            assert (whole[:, place] - logits).abs().max() < 1e-5


def test_the_memory_is_projected_once_for_all_steps() -> None:
    decoder, memory = made()
    with torch.inference_mode():
        ids = torch.ones(3, 1, dtype=torch.int64)
        _, first = decoder.step(ids, memory, None)
        _, second = decoder.step(ids, memory, first)
    assert second["memory"] is first["memory"]
    assert [keys.shape[2] for cache in (first, second) for keys, _ in cache["tokens"]] == [1, 1, 2, 2]


def test_tied_words_are_one_matrix_in_the_checkpoint() -> None:
    tied, untied = made()[0], made(tie_embeddings=False)[0]
    words = ToyTokenizer().vocab_size
    assert set(untied.state_dict()) - set(tied.state_dict()) == {"words.write.weight", "words.write.bias"}
    extra = sum(p.numel() for p in untied.parameters()) - sum(p.numel() for p in tied.parameters())
    assert extra == words * 32 + words


def test_logits_start_with_a_spread_of_about_one() -> None:
    decoder, memory = made(hidden_size=32)
    ids = torch.randint(0, ToyTokenizer().vocab_size, (3, 20))
    spread = decoder.eval()(memory, ids, torch.ones_like(ids, dtype=torch.bool)).std().item()
    assert 0.5 < spread < 3.0


@BOTH
def test_it_learns_three_reports_by_heart(component: type) -> None:
    decoder, memory = made(component, dropout=0.0)
    ids = torch.randint(3, ToyTokenizer().vocab_size, (3, 10))
    mask = torch.ones_like(ids, dtype=torch.bool)
    optimizer = torch.optim.AdamW(decoder.parameters(), 3e-3)
    for _ in range(60):
        loss = torch.nn.functional.cross_entropy(decoder(memory, ids, mask)[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert torch.equal(decoder.eval()(memory, ids, mask)[:, :-1].argmax(-1), ids[:, 1:])


def test_a_report_beyond_the_learned_positions_is_an_error_that_says_what_to_do() -> None:
    decoder, memory = made()
    ids = torch.ones(3, 21, dtype=torch.int64)
    with pytest.raises(ConfigError, match=r"got 21 tokens; expected at most 20.*max_new_tokens"):
        decoder(memory, ids, torch.ones_like(ids, dtype=torch.bool))


def test_sinusoidal_positions_have_no_end() -> None:
    decoder, memory = made(positions="sinusoidal")
    ids = torch.ones(3, 40, dtype=torch.int64)
    assert decoder(memory, ids, torch.ones_like(ids, dtype=torch.bool)).shape[:2] == (3, 40)


def test_an_odd_width_with_sinusoidal_positions_is_an_error() -> None:
    with pytest.raises(ConfigError, match="sinusoidal positions need an even width"):
        Transformer(ToyTokenizer(), hidden_size=33, heads=3, positions="sinusoidal")


def r2gens_slots(relational: RelationalMemory, words: torch.Tensor) -> torch.Tensor:
    """The slots after the last word (B, slots, width), written down from R2Gen's ``RelationalMemory.forward_step``."""
    slots = torch.eye(relational.begin.shape[0], words.shape[2]).expand(len(words), -1, -1)
    for word in words.unbind(1):
        both = torch.cat([slots, word.unsqueeze(1)], dim=1)
        thought = slots + relational.attention(slots, both)
        thought = thought + relational.think(thought)
        gates = relational.gates_of_word(word.unsqueeze(1)) + relational.gates_of_slots(torch.tanh(slots))
        admit, keep = torch.split(gates, gates.shape[2] // 2, dim=2)
        slots = torch.sigmoid(admit) * torch.tanh(thought) + torch.sigmoid(keep) * slots
    return slots


def test_the_slots_are_those_of_r2gen() -> None:
    torch.manual_seed(0)
    relational, words = RelationalMemory(32, 3, 32, 4), torch.randn(2, 7, 32)
    with torch.inference_mode():
        assert torch.allclose(relational(words, None)[:, -1], r2gens_slots(relational, words), atol=1e-6)


def test_slots_go_on_from_where_they_were() -> None:
    torch.manual_seed(0)
    relational, words = RelationalMemory(32, 3, 24, 4), torch.randn(2, 7, 32)
    with torch.inference_mode():
        whole = relational(words, None)
        assert torch.allclose(whole[:, 4:], relational(words[:, 4:], whole[:, 3]), atol=1e-6)


def test_a_conditional_norm_that_is_told_nothing_is_a_layer_norm() -> None:
    norm, hidden = ConditionalNorm(16, 8), torch.randn(2, 3, 16)
    for last in (norm.more_scale[2], norm.more_shift[2]):
        torch.nn.init.zeros_(last.weight)
        torch.nn.init.zeros_(last.bias)
    expected = torch.nn.functional.layer_norm(hidden, (16,), eps=1e-6)
    assert torch.allclose(norm(hidden, torch.randn(2, 3, 8)), expected)


def test_what_was_written_steers_the_norms() -> None:
    decoder, memory = made(RelationalMemoryDecoder)
    ids = torch.randint(3, ToyTokenizer().vocab_size, (3, 8))
    with torch.inference_mode():
        _, cache = decoder.eval()._read(ids, memory, None)
        logits, _ = decoder.step(ids[:, -1:], memory, cache)
        forgot, _ = decoder.step(ids[:, -1:], memory, {**cache, "slots": torch.zeros_like(cache["slots"])})
    assert not torch.allclose(logits, forgot, atol=1e-3)
