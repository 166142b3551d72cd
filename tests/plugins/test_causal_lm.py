"""Decoder ``causal_lm`` on tiny models of four architectures, with weights made on the spot."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from rrgbench_decoders import CausalLM
from rrgbench_tokenizers import Pretrained, causal
from torch import Tensor, nn

from rrgbench import ConfigError, Features
from rrgbench.generation import Decoding, _greedy, _Rules, reorder
from rrgbench.sampling import sample
from rrgbench.testing import DecoderContract, ToyTokenizer, failures, toy_features
from rrgbench.testing.toys import REPORTS
from rrgbench.types import Sampling

torch.set_num_threads(1)

SMALL = {"layers": 2, "hidden_size": 32, "heads": 4, "positions": 64}
WORDS = ToyTokenizer()


class TestPrefix(DecoderContract):
    component = CausalLM
    options = SMALL


class TestPrefixOfAnotherWidth(DecoderContract):
    component = CausalLM
    options = {**SMALL, "memory_size": 24}


class TestCrossAttention(DecoderContract):
    component = CausalLM
    options = {**SMALL, "memory": "cross_attention", "memory_size": 24}


def tiny(kind: str, vocabulary: int = WORDS.vocab_size) -> nn.Module:
    """A causal model of an architecture, with fresh weights that are large enough to tell words apart."""
    import transformers as hf

    shared = {"vocab_size": vocabulary, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    shared |= {"intermediate_size": 48, "max_position_embeddings": 64, "initializer_range": 0.1}
    opt = {"vocab_size": vocabulary, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "ffn_dim": 48}
    small = {"vocab_size": vocabulary, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64, "initializer_range": 0.1}
    made: Mapping[str, Callable[[], nn.Module]] = {
        "gpt2": lambda: hf.GPT2LMHeadModel(hf.GPT2Config(**small)),
        "opt": lambda: hf.OPTForCausalLM(
            hf.OPTConfig(**opt, word_embed_proj_dim=16, max_position_embeddings=64, init_std=0.1, pad_token_id=0)
        ),
        "gpt_neox": lambda: hf.GPTNeoXForCausalLM(hf.GPTNeoXConfig(**shared)),
        "llama": lambda: hf.LlamaForCausalLM(hf.LlamaConfig(**shared, num_key_value_heads=2)),
    }
    torch.manual_seed(0)
    return made[kind]()


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    found = {}
    for kind in ("gpt2", "opt", "gpt_neox", "llama"):
        found[kind] = tmp_path_factory.mktemp(kind)
        tiny(kind).save_pretrained(found[kind])
    return found


@pytest.mark.heavy
@pytest.mark.parametrize("memory", ["prefix", "cross_attention"])
@pytest.mark.parametrize("kind", ["gpt2", "opt", "gpt_neox", "llama"])
def test_every_architecture_keeps_the_contract(kind: str, memory: str, folders: Mapping[str, Path]) -> None:
    assert failures("decoders", CausalLM, {"checkpoint": folders[kind], "memory": memory}) == {}


def decoder_of(folder: Path, **options: Any) -> CausalLM:
    torch.manual_seed(0)
    return CausalLM(WORDS, checkpoint=folder, **options).eval()


@pytest.mark.parametrize("kind", ["gpt2", "opt", "gpt_neox", "llama"])
@torch.no_grad()
def test_what_a_prefix_tells_is_what_the_model_itself_makes_of_it(kind: str, folders: Mapping[str, Path]) -> None:
    """Study by study, without padding, against the model called by hand."""
    decoder, memory = decoder_of(folders[kind]), toy_features({"text": 32})["text"]
    ids = torch.randint(3, WORDS.vocab_size, (3, 6))
    logits = decoder(memory, ids, torch.ones_like(ids, dtype=torch.bool))
    for study in range(3):
        told = decoder.project(decoder.memory_norm(memory.hidden_states[study][memory.mask[study]]))
        tokens = torch.cat([decoder.start[0], told, decoder.lm.get_input_embeddings()(ids[study])])[None]
        expected = decoder.lm(inputs_embeds=tokens).logits[0, -6:]
        assert torch.allclose(logits[study], expected, atol=1e-4)


@pytest.mark.parametrize("memory", ["prefix", "cross_attention"])
def test_loaded_weights_are_those_of_the_folder(memory: str, folders: Mapping[str, Path]) -> None:
    given, decoder = tiny("llama").state_dict(), decoder_of(folders["llama"], memory=memory)
    held = {name.replace(".block.", "."): value for name, value in decoder.lm.state_dict().items() if ".cross." not in name}
    assert held.keys() == given.keys()
    assert all(torch.equal(held[name], given[name]) for name in given)


def test_cross_attention_follows_every_second_block(folders: Mapping[str, Path]) -> None:
    decoder = decoder_of(folders["gpt2"], memory="cross_attention", every=2)
    assert [hasattr(block, "cross") for block in decoder.lm.transformer.h] == [False, True]
    with pytest.raises(ConfigError, match=r"option `every`.*got 3; expected at most 2"):
        decoder_of(folders["gpt2"], memory="cross_attention", every=3)


def test_more_words_than_the_model_knows_get_embeddings_and_fewer_get_fewer_logits(tmp_path: Path) -> None:
    for vocabulary in (WORDS.vocab_size - 5, WORDS.vocab_size + 5):
        folder = tmp_path / str(vocabulary)
        tiny("gpt2", vocabulary).save_pretrained(folder)
        assert failures("decoders", CausalLM, {"checkpoint": folder}) == {}


@pytest.mark.parametrize("memory", ["prefix", "cross_attention"])
def test_checkpointed_gradients_are_the_same(memory: str, folders: Mapping[str, Path]) -> None:
    found = []
    for checkpointing in (False, True):
        decoder = decoder_of(folders["gpt2"], memory=memory, gradient_checkpointing=checkpointing).train()
        held = toy_features({"text": 32})["text"]
        ids = torch.randint(3, WORDS.vocab_size, (3, 6), generator=torch.Generator().manual_seed(1))
        torch.manual_seed(2)  # dropout
        decoder(held, ids, torch.ones_like(ids, dtype=torch.bool)).logsumexp(2).sum().backward()
        found.append({name: value.grad for name, value in decoder.named_parameters()})
    assert all(torch.allclose(one, found[1][name], atol=1e-5) for name, one in found[0].items())


def test_too_many_places_are_an_error_that_says_what_to_do(folders: Mapping[str, Path]) -> None:
    ids = torch.ones(3, 59, dtype=torch.int64)
    decoder, memory = decoder_of(folders["gpt2"]), toy_features({"text": 32})["text"]
    with pytest.raises(ConfigError, match=r"got 6 places before the report and 59 words; expected 64 in all.*cross_attention"):
        decoder(memory, ids, torch.ones_like(ids, dtype=torch.bool))


@pytest.mark.parametrize(("memory", "own"), [("prefix", "start"), ("cross_attention", "cross")])
@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_low_rank_changes_and_what_was_not_loaded_are_trained(
    kind: str, memory: str, own: str, folders: Mapping[str, Path]
) -> None:
    pytest.importorskip("peft")
    from rrgbench_adapters import Lora

    decoder, held = decoder_of(folders[kind], memory=memory), toy_features({"text": 32})["text"]
    ids = torch.randint(3, WORDS.vocab_size, (3, 6))
    mask = torch.ones_like(ids, dtype=torch.bool)
    with torch.no_grad():
        before = decoder(held, ids, mask)
        adapted = Lora(decoder, rank=2, whole=["memory_norm", "project", own])().eval()
        assert torch.allclose(before, adapted(held, ids, mask), atol=1e-6)
        assert torch.allclose(adapted.step(ids[:, :1], held, None)[0], before[:, 0], atol=1e-4)
    adapted(held, ids, mask).logsumexp(2).sum().backward()
    trained = {name: value for name, value in adapted.named_parameters() if value.requires_grad}
    assert all(value.grad is not None for value in trained.values())
    assert all(any(part in name for part in ("lora_", "memory_norm", "project", own)) for name in trained)
    assert any(own in name for name in trained)


def test_a_prefix_longer_than_a_window_is_refused(tmp_path: Path) -> None:
    import transformers as hf

    shared = {"vocab_size": WORDS.vocab_size, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    mistral = hf.MistralConfig(**shared, num_key_value_heads=2, intermediate_size=48, sliding_window=12, initializer_range=0.2)
    hf.MistralForCausalLM(mistral).save_pretrained(tmp_path)
    ids = torch.randint(4, WORDS.vocab_size, (2, 6))
    real = torch.ones_like(ids, dtype=torch.bool)
    mask = torch.tensor([[True] * 3 + [False] * 4, [True] * 7])
    decoder = decoder_of(tmp_path)
    memory = Features(torch.randn(2, 7, 32), mask)
    with pytest.raises(ConfigError, match="than the model reads; got 8 places before the report and 6 words; expected 12 in all"):
        decoder(memory, ids, real)
    with torch.no_grad():
        both = decoder(memory, ids[:, :4], real[:, :4])
        one = decoder(Features(memory.hidden_states[:1, :3], mask[:1, :3]), ids[:1, :4], real[:1, :4])
    assert torch.allclose(both[:1], one, atol=1e-5), "what is written does not hang on the padding of a batch"
    crossed = decoder_of(tmp_path, memory="cross_attention")
    assert crossed(memory, ids.repeat(1, 3), real.repeat(1, 3)).shape[1] == 18


# What cannot be loaded.


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    tiny("gpt2").config.save_pretrained(tmp_path)
    torch.save(tiny("gpt2").state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(ConfigError, match=r"option `checkpoint` cannot be loaded.*model\.safetensors"):
        CausalLM(WORDS, checkpoint=tmp_path)


def test_weights_that_are_not_the_whole_model_are_refused(tmp_path: Path) -> None:
    tiny("llama").model.save_pretrained(tmp_path)  # without the layer that writes words
    with pytest.raises(ConfigError, match=r"not the whole model; got \S+ without lm_head\.weight"):
        CausalLM(WORDS, checkpoint=tmp_path)
    tiny("gpt2").transformer.save_pretrained(tmp_path / "tied")  # which writes by the words that it reads
    assert decoder_of(tmp_path / "tied")


def test_an_adapter_whose_base_lies_elsewhere_is_refused(folders: Mapping[str, Path], tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(folders["gpt2"])
    peft.get_peft_model(base, peft.LoraConfig(target_modules=["c_attn"], fan_in_fan_out=True)).save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match=r"an adapter beside weights that lie elsewhere; expected a whole model"):
        CausalLM(WORDS, checkpoint=tmp_path)


def test_code_of_a_folder_is_never_run(tmp_path: Path) -> None:
    tiny("gpt2").save_pretrained(tmp_path)
    flag = tmp_path / "ran"
    (tmp_path / "evil.py").write_text(f"open({str(flag)!r}, 'w')\nclass C: pass\n", encoding="utf-8")
    (tmp_path / "config.json").write_text(
        '{"model_type": "evil", "auto_map": {"AutoConfig": "evil.C", "AutoModelForCausalLM": "evil.C"}}', encoding="utf-8"
    )
    with pytest.raises(ConfigError, match="cannot be loaded"):
        CausalLM(WORDS, checkpoint=tmp_path)
    assert not flag.exists()


def test_a_model_that_looks_ahead_is_refused(tmp_path: Path) -> None:
    from transformers import BertConfig, BertLMHeadModel

    BertLMHeadModel(
        BertConfig(vocab_size=40, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
    ).save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match=r"a BertLMHeadModel; expected a causal model"):
        CausalLM(WORDS, checkpoint=tmp_path)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"model": "gpt2", "checkpoint": Path()}, "got both"),
        ({"model": "./weights"}, "a name on the hub, not a folder"),
        ({"checkpoint": Path("nowhere")}, "option `checkpoint` cannot be loaded"),
        ({"heads": 5}, "5 heads for a width of 256"),
    ],
)
def test_mistakes_are_told(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        CausalLM(WORDS, **options)


# Tokenizers.


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as GPT-2's: weights, and a tokenizer with one special token and no padding."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.BPE())
    made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet, end = pre_tokenizers.ByteLevel.alphabet(), "<|endoftext|>"
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=[end], initial_alphabet=alphabet, show_progress=False)
    made.train_from_iterator(REPORTS, trainer)
    folder = tmp_path_factory.mktemp("gpt2")
    PreTrainedTokenizerFast(tokenizer_object=made, bos_token=end, eos_token=end, unk_token=end).save_pretrained(folder)
    tiny("gpt2", 300).save_pretrained(folder)
    return folder


def test_the_tokenizer_of_a_model_without_padding_pads_with_its_end(gpt2: Path) -> None:
    tokenizer = causal(REPORTS, checkpoint=gpt2, max_length=40)
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id) == (0, 0, 0)
    assert tokenizer.decode(tokenizer.encode(REPORTS[0])) == REPORTS[0]
    with pytest.raises(ConfigError, match="lacks a token for `pad`"):
        Pretrained(checkpoint=gpt2)


def test_a_pretrained_model_with_its_own_tokenizer_keeps_the_contracts(gpt2: Path) -> None:
    tokenizer = causal(REPORTS, checkpoint=gpt2, max_length=40)
    assert failures("decoders", CausalLM, {"checkpoint": gpt2}, tokenizer=tokenizer) == {}
    assert failures("tokenizers", causal, {"checkpoint": gpt2, "max_length": 80}) == {}
    assert failures("tokenizers", causal, {"max_length": 80}) == {}


def test_words_are_read_where_no_model_is_named() -> None:
    assert type(causal(REPORTS)).__name__ == "Word"


# Generation.


def written_by_hand(decoder: CausalLM, memory: Features, tokens: int) -> Tensor:
    """Greedy ids (B, tokens) by the model's own ``generate`` from the same prefix."""
    front, real, _ = decoder._front(memory)
    begin = decoder.lm.get_input_embeddings()(torch.full((len(real), 1), WORDS.bos_token_id))
    found: Tensor = decoder.lm.generate(
        inputs_embeds=torch.cat([front, begin], dim=1),
        attention_mask=torch.cat([real, torch.ones(len(real), 1, dtype=torch.bool)], dim=1).long(),
        max_new_tokens=tokens,
        min_new_tokens=tokens,
        do_sample=False,
        suppress_tokens=[WORDS.bos_token_id, WORDS.pad_token_id],
        eos_token_id=WORDS.eos_token_id,
        pad_token_id=WORDS.pad_token_id,
    )
    return found


@pytest.mark.parametrize("kind", ["gpt2", "opt", "gpt_neox", "llama"])
@torch.no_grad()
def test_greedy_reports_are_those_of_transformers_generate(kind: str, folders: Mapping[str, Path]) -> None:
    decoder, memory = decoder_of(folders[kind]), toy_features({"text": 32})["text"]
    decoding = Decoding(max_new_tokens=16, min_new_tokens=16)
    found = _greedy(decoder, memory, _Rules(WORDS, decoding), decoding)
    assert [row[1:] for row in found] == written_by_hand(decoder, memory, 16).tolist()


def test_a_report_is_drawn_and_made_likelier(folders: Mapping[str, Path]) -> None:
    decoder, memory = decoder_of(folders["llama"]), toy_features({"text": 32})["text"]
    sampling = Sampling(WORDS.bos_token_id, WORDS.eos_token_id, WORDS.pad_token_id, WORDS.vocab_size, 8)
    drawn = sample(decoder, memory, sampling)
    drawn.log_probs.sum().backward()
    assert decoder.start.grad is not None and bool(decoder.start.grad.ne(0).any())


@torch.no_grad()
def test_the_cache_is_tensors_that_beams_can_reorder(folders: Mapping[str, Path]) -> None:
    decoder, memory = decoder_of(folders["gpt2"]), toy_features({"text": 32})["text"]
    _, cache = decoder.step(torch.ones(3, 1, dtype=torch.int64), memory, None)
    swapped = reorder(cache, torch.tensor([2, 0]))
    assert torch.equal(swapped["tokens"][1][0], cache["tokens"][1][0][[2, 0]])
    assert torch.equal(swapped["front"], cache["front"][[2, 0]])
