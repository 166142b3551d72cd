"""BERT and its relatives from a folder: each keeps the contract; what would be read wrongly without a word is refused."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from rrgbench_encoders import Transformers
from rrgbench_losses.language import MaskedLanguageModelling
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from rrgbench import ConfigError, InputBatch, TargetBatch
from rrgbench.heads import Heads
from rrgbench.masking import mask_words
from rrgbench.model import Model
from rrgbench.testing import failures
from rrgbench.testing.toys import CONTEXTS, REPORTS

torch.set_num_threads(1)

SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
PLACES = 48
BERT_WORDS = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}
ROBERTA_WORDS = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>", "mask_token": "<mask>"}


def _wordpiece(folder: Path) -> int:
    """A tokenizer as BERT's, with words of the toy texts; its size."""
    from transformers import BertTokenizerFast

    letters = "abcdefghijklmnopqrstuvwxyz.,'()0123456789"
    words = [*BERT_WORDS.values(), *letters, *(f"##{letter}" for letter in letters)]
    words += sorted({word for text in (*CONTEXTS, *REPORTS) for word in re.findall("[a-z]{2,}", text.lower())})
    (folder / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
    BertTokenizerFast(str(folder / "vocab.txt"), do_lower_case=True).save_pretrained(folder)
    return len(words)


def _byte_level(folder: Path) -> int:
    """A tokenizer as RoBERTa's: bytes, merged; its size."""
    from transformers import RobertaTokenizerFast

    made = Tokenizer(models.BPE())
    made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    special = list(ROBERTA_WORDS.values())
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=special, initial_alphabet=alphabet, show_progress=False)
    made.train_from_iterator(REPORTS, trainer)
    words = RobertaTokenizerFast(tokenizer_object=made, **{**ROBERTA_WORDS, "cls_token": "<s>", "sep_token": "</s>"})
    words.save_pretrained(folder)
    return len(words)


def _unigram(folder: Path) -> int:
    """A tokenizer as DeBERTa's second version: SentencePiece's pieces, with BERT's special tokens; its size."""
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.Unigram())
    made.normalizer, made.pre_tokenizer, made.decoder = normalizers.NFKC(), pre_tokenizers.Metaspace(), decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=200, special_tokens=list(BERT_WORDS.values()), unk_token="[UNK]", show_progress=False
    )
    made.train_from_iterator([*REPORTS, *CONTEXTS], trainer)
    words = PreTrainedTokenizerFast(tokenizer_object=made, **BERT_WORDS)
    words.save_pretrained(folder)
    return len(words)


def _config(kind: str, size: int) -> Any:
    import transformers

    places: dict[str, Any] = {"vocab_size": size, "max_position_embeddings": PLACES}
    if kind == "distilbert":
        return transformers.DistilBertConfig(**places, dim=16, n_layers=2, n_heads=2, hidden_dim=32)
    if kind == "roberta":
        return transformers.RobertaConfig(**{**places, "max_position_embeddings": PLACES + 2}, **SIZES, pad_token_id=1)
    if kind == "electra":
        return transformers.ElectraConfig(**places, **SIZES, embedding_size=8)
    if kind == "deberta-v2":
        relative = {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_buckets": 8}
        return transformers.DebertaV2Config(**places, **SIZES, **relative, position_biased_input=False)
    if kind == "modernbert":
        special = {"pad_token_id": 0, "cls_token_id": 2, "sep_token_id": 3, "bos_token_id": 2, "eos_token_id": 3}
        return transformers.ModernBertConfig(**places, **SIZES, **special, reference_compile=False)
    return transformers.BertConfig(**places, **SIZES)


KINDS: dict[str, Callable[[Path], int]] = {
    "bert": _wordpiece,
    "roberta": _byte_level,
    "distilbert": _wordpiece,
    "electra": _wordpiece,
    "deberta-v2": _unigram,
    "modernbert": _wordpiece,
}


def _make(folder: Path, kind: str, head: str = "AutoModel") -> Path:
    import transformers

    folder.mkdir(exist_ok=True)
    size = KINDS[kind](folder)
    torch.manual_seed(0)
    getattr(transformers, head).from_config(_config(kind, size)).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A tiny model of each kind, as ``save_pretrained`` leaves it."""
    return {kind: _make(tmp_path_factory.mktemp(kind), kind) for kind in KINDS}


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_relative_of_bert_keeps_the_contract(folders: dict[str, Path], kind: str) -> None:
    assert failures("text_encoders", Transformers, {"checkpoint": folders[kind], "max_length": PLACES}) == {}


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_context_is_read_as_transformers_reads_it(folders: dict[str, Path], kind: str) -> None:
    from transformers import AutoModel

    encoder = Transformers((), (), checkpoint=folders[kind], max_length=PLACES).eval()
    ids = torch.tensor([encoder.tokenizer.encode("chest pain and cough, since three days")])
    assert ids.shape[1] > 8
    with torch.no_grad():
        expected = AutoModel.from_pretrained(folders[kind]).eval()(ids).last_hidden_state
        found = encoder(ids, torch.ones_like(ids, dtype=torch.bool))
    assert found.shape[-1] == encoder.num_features == 16 and torch.allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("kind", list(KINDS))
def test_long_contexts_are_cut_and_empty_ones_have_a_token(folders: dict[str, Path], kind: str) -> None:
    encoder = Transformers((), (), checkpoint=folders[kind], max_length=PLACES).eval()
    tokenizer = encoder.tokenizer
    long, empty = tokenizer.encode("chest pain " * 400), tokenizer.encode("")
    assert len(long) == PLACES and long[-1] == tokenizer.eos_token_id
    assert empty == [tokenizer.bos_token_id, tokenizer.eos_token_id]
    ids = torch.full((2, PLACES), tokenizer.pad_token_id)
    ids[0], ids[1, :2] = torch.tensor(long), torch.tensor(empty)
    with torch.no_grad():
        found = encoder(ids, ids.ne(tokenizer.pad_token_id) | (torch.arange(PLACES) < 2))
    assert bool(torch.isfinite(found).all())


def test_more_places_than_a_roberta_reads_are_refused(folders: dict[str, Path]) -> None:
    with pytest.raises(ConfigError, match=f"got {PLACES + 1}; expected at most {PLACES} for"):
        Transformers((), (), checkpoint=folders["roberta"], max_length=PLACES + 1)


@pytest.mark.parametrize("kind", ["bert", "roberta", "deberta-v2"])
def test_special_tokens_in_a_context_are_its_characters(folders: dict[str, Path], kind: str) -> None:
    tokenizer: Any = Transformers((), (), checkpoint=folders[kind], max_length=PLACES).tokenizer
    special = {tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id, tokenizer.mask_token_id}
    assert not special & set(tokenizer.encode("a [SEP] [MASK] [PAD] </s> <mask> <pad> b")[1:-1])


@pytest.mark.parametrize(("kind", "head"), [("bert", "AutoModelForMaskedLM"), ("roberta", "AutoModelForSequenceClassification")])
def test_heads_of_other_tasks_are_left_in_the_file(tmp_path: Path, kind: str, head: str) -> None:
    encoder = Transformers((), (), checkpoint=_make(tmp_path / kind, kind, head), max_length=PLACES)
    held = safetensors.torch.load_file(tmp_path / kind / "model.safetensors")
    assert any(not name.startswith(f"{kind}.") for name in held)
    for name, tensor in encoder.model.state_dict().items():
        assert torch.equal(tensor, held[f"{kind}.{name}"])


def test_an_adapter_whose_base_lies_elsewhere_is_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    from transformers import AutoModel

    shutil.copytree(folders["bert"], tmp_path / "words", ignore=shutil.ignore_patterns("*.safetensors"))
    base = AutoModel.from_pretrained(folders["bert"])
    peft.get_peft_model(base, peft.LoraConfig(target_modules=["query"])).save_pretrained(tmp_path / "words")
    with pytest.raises(ConfigError, match="an adapter beside weights that lie elsewhere; expected a whole model"):
        Transformers((), (), checkpoint=tmp_path / "words", max_length=PLACES)


def test_weights_that_are_not_the_whole_model_are_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "partial"
    shutil.copytree(folders["bert"], folder)
    held = safetensors.torch.load_file(folder / "model.safetensors")
    kept = {name: tensor for name, tensor in held.items() if "layer.1" not in name}
    safetensors.torch.save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(
        ConfigError, match=r"not the whole model; got \S+partial without encoder\.layer\.1.* and 14 more"
    ) as caught:
        Transformers((), (), checkpoint=folder, max_length=PLACES)
    assert "\n" not in str(caught.value)


def test_a_tokenizer_of_another_model_is_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    shutil.copytree(folders["bert"], folder)
    _byte_level(folder)
    with pytest.raises(ConfigError, match="do not belong together; got 333 ids and 116"):
        Transformers((), (), checkpoint=folder, max_length=PLACES)


def test_the_page_converts_a_repository_that_holds_only_a_pickle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[2] / "docs" / "encoders.md").read_text(encoding="utf-8")
    block = re.search(r"```python\n(from transformers.*?)```", page, re.DOTALL)
    assert block is not None
    published = _make(tmp_path / "published", "bert")
    held = safetensors.torch.load_file(published / "model.safetensors")
    torch.save(held, published / "pytorch_model.bin")
    (published / "model.safetensors").unlink()
    (published / "tokenizer_config.json").unlink()
    (published / "tokenizer.json").unlink()
    (published / "special_tokens_map.json").unlink()
    with pytest.raises(ConfigError, match=r"pytorch_model\.bin\) are converted once"):
        Transformers((), (), checkpoint=published, max_length=PLACES)
    monkeypatch.chdir(tmp_path)
    exec(re.sub(r'name, folder = ".*"', f"name, folder = {str(published)!r}, 'converted'", block[1]), {})
    encoder = Transformers((), (), checkpoint=Path("converted"), max_length=PLACES)
    assert all(torch.equal(tensor, held[name]) for name, tensor in encoder.model.state_dict().items())
    assert encoder.tokenizer.encode("Chest")[1] == 1, "a cased vocabulary keeps capitals: the tiny one has none"


@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_words_are_masked_by_the_models_own_mask(folders: dict[str, Path], kind: str) -> None:
    tokenizer: Any = Transformers((), (), checkpoint=folders[kind], max_length=PLACES).tokenizer
    assert tokenizer.mask_token_id == {"bert": 4, "roberta": 4}[kind]
    ids = torch.tensor([tokenizer.encode("chest pain and cough " * 3)] * 50)
    torch.manual_seed(0)
    masked, chosen = mask_words(ids, torch.ones_like(ids, dtype=torch.bool), tokenizer)
    assert 0.7 < (masked[chosen] == tokenizer.mask_token_id).float().mean() < 0.9
    assert not chosen[:, [0, -1]].any()


@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_masked_language_modelling_learns_to_guess(folders: dict[str, Path], kind: str) -> None:
    torch.manual_seed(0)
    encoder = Transformers((), (), checkpoint=folders[kind], max_length=PLACES)
    tokenizer = encoder.tokenizer
    model = Model({"text": encoder}, None, None, Heads({"text": 16}, words=tokenizer.vocab_size), None)
    model.needs = frozenset({"masked_logits"})
    ids = torch.tensor([tokenizer.encode("cough and chest pain")] * 16)
    batch = InputBatch(tuple(map(str, range(16))), context_ids=ids, context_mask=torch.ones_like(ids, dtype=torch.bool))
    loss, optimiser = MaskedLanguageModelling(), torch.optim.Adam(model.parameters(), 3e-3)
    values = []
    for _ in range(60):
        value = loss(model(batch, TargetBatch(batch.study_ids)), TargetBatch(batch.study_ids))
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
        values.append(value.item())
    assert sum(values[-10:]) < 0.7 * sum(values[:10])


@pytest.mark.heavy
def test_masked_words_end_to_end(folders: dict[str, Path], tmp_path: Path, shell: Any, write_experiment: Any) -> None:
    cells = [{"name": "transformers", "checkpoint": str(folders[kind]), "max_length": PLACES} for kind in ("bert", "roberta")]
    stages = {
        "words": {"losses": {"masked_language_modelling": 1.0}, "epochs": 3, "batch_size": 8, "lr": 3e-3},
        "fusion": {"epochs": 1, "batch_size": 8},
    }
    changes = {"axes": {"encoders.text": cells}, "base.stages": stages, "name": "words"}
    ran = shell("run", write_experiment(tmp_path, changes), "--store", tmp_path / "store", "--json")
    assert ran.code == 0, ran.err
    assert len([row for row in ran.json["rows"] if row["kind"] == "cell"]) == 2
    logs = [json.loads(path.read_text())["epochs"] for path in (tmp_path / "store" / "steps").glob("*/*/log.json")]
    losses = [[epoch["loss.masked_language_modelling"] for epoch in log] for log in logs if len(log) == 3]
    assert len(losses) == 2 and all(last < first for first, *_, last in losses)


def test_a_tokenizer_without_a_mask_is_refused_by_whoever_masks(tmp_path: Path) -> None:
    """As GPT-2's, with its end for padding."""
    from transformers import GPT2Config, GPT2Model, PreTrainedTokenizerFast

    made = Tokenizer(models.BPE())
    made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    end = "<|endoftext|>"
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(REPORTS, trainers.BpeTrainer(special_tokens=[end], initial_alphabet=alphabet, show_progress=False))
    words = PreTrainedTokenizerFast(tokenizer_object=made, bos_token=end, eos_token=end, unk_token=end, pad_token=end)
    words.save_pretrained(tmp_path)
    GPT2Model(GPT2Config(vocab_size=len(words), n_positions=32, n_embd=16, n_layer=1, n_head=2)).save_pretrained(tmp_path)
    tokenizer: Any = Transformers((), (), checkpoint=tmp_path, max_length=32).tokenizer
    assert tokenizer.mask_token_id is None
    ids = torch.tensor([tokenizer.encode("chest pain")])
    with pytest.raises(ConfigError, match=r"PretrainedTokenizer has no token for it; expected mask_token_id"):
        mask_words(ids, torch.ones_like(ids, dtype=torch.bool), tokenizer)
    assert json.loads((tmp_path / "config.json").read_text())["model_type"] == "gpt2"
