"""Cues ``prompt`` and ``bias``: what they tell, and what decoders make of it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from rrgbench_decoders import Bias, CausalLM, Prompt, RelationalMemoryDecoder, Transformer, rrgbench_cues
from rrgbench_tokenizers import BPE, Word, WordPiece
from torch import Tensor

from rrgbench import Features, KnowledgeGraph, Node
from rrgbench.generation import Decoding, _beam, _greedy, _Rules, _select
from rrgbench.testing import CuesContract, ToyTokenizer, toy_features, toy_graph
from rrgbench.testing.toys import REPORTS

torch.set_num_threads(1)

WORDS = ToyTokenizer()
SMALL = {"layers": 1, "hidden_size": 32, "heads": 4}
DECODERS = pytest.mark.parametrize(
    ("component", "options"),
    [
        (Transformer, SMALL),
        (RelationalMemoryDecoder, SMALL),
        (CausalLM, {**SMALL, "positions": 64}),
        (CausalLM, {**SMALL, "positions": 64, "memory": "cross_attention"}),
    ],
    ids=["transformer", "relational_memory", "prefix", "cross_attention"],
)


class TestPrompt(CuesContract):
    component = Prompt


class TestShortPrompt(CuesContract):
    component = Prompt
    options = {"separator": " ", "max_tokens": 3}


class TestBias(CuesContract):
    component = Bias


class TestLearnedBias(CuesContract):
    component = Bias
    options = {"learned": True, "strength": 2.0}


def graph_of(*names: str) -> KnowledgeGraph:
    none = torch.zeros(2, 0, dtype=torch.int64)
    return KnowledgeGraph(tuple(Node(name, "observation") for name in names), none, none[0])


def active(*rows: str) -> Tensor:
    return torch.tensor([[mark == "x" for mark in row] for row in rows])


def test_the_hook_offers_them() -> None:
    assert rrgbench_cues() == {"prompt": Prompt, "bias": Bias}


def test_a_prompt_is_the_names_of_active_nodes() -> None:
    cue = Prompt(WORDS, toy_graph())(active("x.x", "...", ".x."))
    assert [WORDS.decode(ids[mask].tolist()) for ids, mask in zip(cue.prompt_ids, cue.prompt_mask)] == [
        "heart . effusion",
        "",
        "lung",
    ]
    assert cue.logit_bias is None


def test_a_prompt_of_some_kinds_of_nodes_and_of_some_length() -> None:
    everything = active("xxx")
    seen = Prompt(WORDS, toy_graph(), kinds="observation")(everything)
    assert WORDS.decode(seen.prompt_ids[0].tolist()) == "effusion"
    short = Prompt(WORDS, toy_graph(), separator=" ", max_tokens=2)(everything)
    assert WORDS.decode(short.prompt_ids[0].tolist()) == "heart lung"


def test_nobody_has_a_prompt_where_no_node_is_active() -> None:
    assert Prompt(WORDS, toy_graph())(active("...", "...")).prompt_ids.shape == (2, 0)


def test_a_name_of_unknown_words_is_left_out_and_an_unknown_word_is_never_likelier() -> None:
    graph = graph_of("heart", "zebra", "large zebra")
    cue = Prompt(WORDS, graph)(active("xx."))
    assert WORDS.decode(cue.prompt_ids[0].tolist()) == "heart"
    bias = Bias(WORDS, graph)(active("xxx")).logit_bias
    assert bias is not None
    likelier = {WORDS.decode([one]) for one in bias[0].nonzero().flatten().tolist()}
    assert likelier == {"heart", "large"}
    words = Word(REPORTS, threshold=2)
    assert Bias(words, graph_of("effusion", "zebra"))(active(".x")).logit_bias.count_nonzero() == 0  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "tokenizer", [Word(REPORTS, threshold=1), WordPiece(REPORTS, vocab_size=120), BPE(REPORTS, vocab_size=300)]
)
def test_a_bias_is_of_the_tokens_that_spell_a_name_wherever_it_stands(tokenizer: Any) -> None:
    bias = Bias(tokenizer, graph_of("effusion", "nodule"), strength=3.0)(active("x.", "..")).logit_bias
    assert bias is not None and bias[1].count_nonzero() == 0
    assert set(bias[0].unique().tolist()) == {0.0, 3.0}
    likelier = set(bias[0].nonzero().flatten().tolist())
    for report in ("effusion .", "there is a large effusion on the right side ."):
        spelt = [one for one in tokenizer.encode(report) if one in likelier]
        assert "effusion" in tokenizer.decode(spelt).replace(" ", "")
    assert not likelier & {tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id}


@DECODERS
def test_a_bias_is_what_is_added_to_every_word_of_the_report(component: Any, options: dict[str, Any]) -> None:
    memory, ids = told(), torch.randint(3, WORDS.vocab_size, (3, 6))
    mask = torch.ones_like(ids, dtype=torch.bool)
    with torch.no_grad():
        plain, biased = (
            made(component, options, cue and Bias(WORDS, toy_graph(), strength=strength))(memory, ids, mask)
            for cue, strength in ((True, 0.0), (True, 2.5))
        )
    expected = Bias(WORDS, toy_graph(), strength=2.5)(memory.active_nodes).logit_bias
    assert torch.allclose(biased - plain, expected[:, None].expand_as(plain), atol=1e-5)  # type: ignore[index]


def told() -> Features:
    features = toy_features({"text": 32})["text"]
    return Features(features.hidden_states, features.mask, active_nodes=active("x.x", "...", ".x."))


def made(component: Any, options: dict[str, Any], cues: Any) -> Any:
    torch.manual_seed(0)
    return component(WORDS, **options, cues=cues).eval()


@DECODERS
@pytest.mark.parametrize("cues", [Prompt, Bias])
@pytest.mark.parametrize("search", [_greedy, _beam])
@torch.no_grad()
def test_a_study_writes_with_others_what_it_writes_alone(component: Any, options: dict[str, Any], cues: Any, search: Any) -> None:
    """Through a search that drops studies that are over, and repeats and reorders beams."""
    decoder, memory = made(component, options, cues(WORDS, toy_graph())), told()
    decoding = Decoding(max_new_tokens=12, num_beams=1 if search is _greedy else 3)
    together = search(decoder, memory, _Rules(WORDS, decoding), decoding)
    for study in range(3):
        (alone,) = search(decoder, _select(memory, torch.tensor([study])), _Rules(WORDS, decoding), decoding)
        first = _Rules(WORDS, decoding).words
        assert first(alone) == first(together[study])


def test_a_strong_bias_decides_what_is_written() -> None:
    decoder = made(Transformer, SMALL, Bias(WORDS, toy_graph(), strength=100.0))
    decoding = Decoding(max_new_tokens=4)
    found = _greedy(decoder, told(), _Rules(WORDS, decoding), decoding)
    assert {WORDS.decode([one]) for one in found[0][1:]} <= {"heart", "effusion"}
    assert {WORDS.decode([one]) for one in found[2][1:]} == {"lung"}


@DECODERS
def test_a_decoder_learns_to_write_what_its_prompt_says(component: Any, options: dict[str, Any]) -> None:
    """Films say nothing here: the prompt alone tells the studies apart."""
    decoder = made(component, {**options, "dropout": 0.0}, Prompt(WORDS, toy_graph())).train()
    features = toy_features({"text": 32})["text"]
    same = features.hidden_states[:1].expand(3, -1, -1)
    memory = Features(same, torch.ones_like(features.mask), active_nodes=active("x.x", "...", ".x."))
    ids = torch.randint(3, WORDS.vocab_size, (3, 8), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids, dtype=torch.bool)
    optimizer = torch.optim.AdamW(decoder.parameters(), 5e-3)
    for _ in range(150):
        loss = torch.nn.functional.cross_entropy(decoder(memory, ids, mask)[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert torch.equal(decoder.eval()(memory, ids, mask)[:, :-1].argmax(-1), ids[:, 1:])
