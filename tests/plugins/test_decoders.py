"""The transformer decoder keeps the contract, with defaults and with its options."""

from __future__ import annotations

import pytest
import torch
from rrgbench_decoders import Transformer, rrgbench_decoders

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


def made(**options: object) -> tuple[Transformer, Features]:
    torch.manual_seed(0)
    decoder = Transformer(ToyTokenizer(), **{**SMALL, **options})
    return decoder, toy_features({"text": 32})["text"]


def test_the_hook_offers_it() -> None:
    assert rrgbench_decoders() == {"transformer": Transformer}


@pytest.mark.parametrize("positions", ["learned", "sinusoidal"])
def test_cached_steps_equal_the_forward_pass_within_one_in_a_hundred_thousand(positions: str) -> None:
    decoder, memory = made(positions=positions)
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
    for one, other in zip(first, second):
        assert other["memory_keys"] is one["memory_keys"]
        assert (one["keys"].shape[2], other["keys"].shape[2]) == (1, 2)


def test_tied_words_are_one_matrix_in_the_checkpoint() -> None:
    tied, untied = made()[0], made(tie_embeddings=False)[0]
    words = ToyTokenizer().vocab_size
    assert set(untied.state_dict()) - set(tied.state_dict()) == {"write.weight", "write.bias"}
    extra = sum(p.numel() for p in untied.parameters()) - sum(p.numel() for p in tied.parameters())
    assert extra == words * 32 + words


def test_logits_start_with_a_spread_of_about_one() -> None:
    decoder, memory = made(hidden_size=32)
    ids = torch.randint(0, ToyTokenizer().vocab_size, (3, 20))
    spread = decoder.eval()(memory, ids, torch.ones_like(ids, dtype=torch.bool)).std().item()
    assert 0.5 < spread < 3.0


def test_it_learns_three_reports_by_heart() -> None:
    decoder, memory = made(dropout=0.0)
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
