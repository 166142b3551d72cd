"""Tokenizer ``pretrained``: any fast tokenizer of transformers, from a folder that the test makes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rrgbench_tokenizers import Pretrained
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from rrgbench import ConfigError
from rrgbench.testing import failures
from rrgbench.testing.toys import REPORTS
from rrgbench.text import whole_characters


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As ClinicalBERT's: class, separator and padding, no bos and eos."""
    from transformers import BertTokenizerFast

    folder = tmp_path_factory.mktemp("bert")
    letters = "abcdefghijklmnopqrstuvwxyz.,[]<>|#"
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{c}" for c in letters)]
    words += ["heart", "lungs", "normal", "clear", "do", "not"]
    (folder / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
    BertTokenizerFast(str(folder / "vocab.txt"), do_lower_case=True).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def gpt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As GPT-2's: one special token, no padding."""
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.BPE())
    made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(
        REPORTS,
        trainers.BpeTrainer(vocab_size=300, special_tokens=["<|endoftext|>"], initial_alphabet=alphabet, show_progress=False),
    )
    folder = tmp_path_factory.mktemp("gpt")
    end = "<|endoftext|>"
    PreTrainedTokenizerFast(tokenizer_object=made, bos_token=end, eos_token=end, unk_token=end).save_pretrained(folder)
    return folder


def test_both_keep_the_contract(bert: Path, gpt: Path) -> None:
    assert failures("tokenizers", Pretrained, {"checkpoint": bert, "max_length": 80}) == {}
    assert failures("tokenizers", Pretrained, {"checkpoint": gpt, "pad": "<|endoftext|>", "max_length": 80}) == {}


def test_bert_reads_between_its_class_and_separator_tokens(bert: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = Pretrained(checkpoint=bert)
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id) == (2, 3, 0)
    theirs = AutoTokenizer.from_pretrained(bert)
    for report in REPORTS:
        assert tokenizer.encode(report) == theirs(report)["input_ids"]
        assert tokenizer.decode(tokenizer.encode(report)) == theirs.decode(theirs(report)["input_ids"], skip_special_tokens=True)
    assert tokenizer.vocab_size == len(theirs)


def test_words_are_not_rewritten_and_unknown_ones_stay_marked(bert: Path) -> None:
    tokenizer = Pretrained(checkpoint=bert)
    assert tokenizer.decode(tokenizer.encode("Heart, do not . \u5fc3")) == "heart, do not. [UNK]"


def test_special_tokens_in_a_report_are_its_characters(bert: Path, gpt: Path) -> None:
    tokenizer = Pretrained(checkpoint=bert)
    ids = tokenizer.encode("heart [SEP] [PAD] [CLS] lungs")
    assert not {0, 2, 3} & set(ids[1:-1])
    assert tokenizer.decode(ids) == "heart [ sep ] [ pad ] [ cls ] lungs"
    tokenizer = Pretrained(checkpoint=gpt, pad="<|endoftext|>")
    assert tokenizer.decode(tokenizer.encode("a<|endoftext|>b")) == "a<|endoftext|>b"
    assert tokenizer.encode("a<|endoftext|>b").count(tokenizer.eos_token_id) == 2


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.one_of(
        st.text(), st.lists(st.sampled_from(["<|endoftext|>", "\ud800", "\x00", "\u2028", "e\u0301", " a", "\r\n"])).map("".join)
    )
)
def test_a_byte_level_tokenizer_gives_every_text_back(gpt: Path, text: str) -> None:
    tokenizer = _kept(gpt)
    ids = tokenizer.encode(text)
    assert ids.count(tokenizer.eos_token_id) == 2  # begin and end
    assert tokenizer.decode(ids) == whole_characters(text)


_KEPT: dict[Path, Pretrained] = {}


def _kept(folder: Path) -> Pretrained:
    if folder not in _KEPT:
        _KEPT[folder] = Pretrained(checkpoint=folder, pad="<|endoftext|>", max_length=100_000)
    return _KEPT[folder]


def test_padding_and_truncation_of_the_file_do_not_count(bert: Path, tmp_path: Path) -> None:
    folder = tmp_path / "padded"
    shutil.copytree(bert, folder)
    inner = Tokenizer.from_file(str(folder / "tokenizer.json"))
    inner.enable_padding(length=50)
    inner.enable_truncation(4)
    inner.save(str(folder / "tokenizer.json"))
    assert Pretrained(checkpoint=folder).encode(REPORTS[0]) == Pretrained(checkpoint=bert).encode(REPORTS[0])


def test_a_missing_token_is_named_and_an_option_gives_another(bert: Path, gpt: Path) -> None:
    with pytest.raises(ConfigError, match=r"lacks a token for `pad`.*option `pad`, such as '<\|endoftext\|>'"):
        Pretrained(checkpoint=gpt)
    with pytest.raises(ConfigError, match=r"option `eos`; got '<none>'; expected a token of .*such as"):
        Pretrained(checkpoint=bert, eos="<none>")
    assert Pretrained(checkpoint=bert, eos="[MASK]").eos_token_id == 4


def test_one_of_model_and_checkpoint(bert: Path) -> None:
    with pytest.raises(ConfigError, match="got neither; expected one of them"):
        Pretrained()
    with pytest.raises(ConfigError, match="got both; expected one of them"):
        Pretrained(model="a/b", checkpoint=bert)


def test_an_id_outside_the_vocabulary_is_refused(bert: Path) -> None:
    tokenizer = Pretrained(checkpoint=bert)
    with pytest.raises(ValueError, match="outside the vocabulary"):
        tokenizer.decode([tokenizer.vocab_size])


def _damage(name: str, change: Callable[[str], str]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        (folder / name).write_text(change((folder / name).read_text(encoding="utf-8")), encoding="utf-8")

    return damage


def _remote(folder: Path) -> None:
    """A tokenizer that wants to run code of its folder."""
    config = json.loads((folder / "tokenizer_config.json").read_text())
    config |= {"tokenizer_class": "Mine", "auto_map": {"AutoTokenizer": ["code.Mine", "code.Mine"]}}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    marker = folder / "ran"
    (folder / "code.py").write_text(f"open({str(marker)!r}, 'w')\nclass Mine: pass\n")


DAMAGES: dict[str, Callable[[Path], None]] = {
    "cut short": _damage("tokenizer.json", lambda text: text[: len(text) // 2]),
    "no JSON": _damage("tokenizer.json", lambda text: "\x00\x01"),
    "a list": _damage("tokenizer.json", lambda text: "[]"),
    "a vocabulary of text": _damage("tokenizer.json", lambda text: text.replace('"heart":', '"heart": "x", "h":', 1)),
    "an unknown model": _damage("tokenizer.json", lambda text: text.replace('"WordPiece"', '"Magic"')),
    "a configuration that is no JSON": _damage("tokenizer_config.json", lambda text: "{"),
    "a configuration that is a number": _damage("tokenizer_config.json", lambda text: "7"),
    "code of its own": _remote,
    "nothing": lambda folder: [path.unlink() for path in folder.iterdir()] and None,
}


@pytest.mark.parametrize("name", sorted(DAMAGES))
def test_a_damaged_folder_is_one_line_and_no_code_of_it_runs(bert: Path, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(bert, folder)
    DAMAGES[name](folder)
    with pytest.raises(ConfigError, match="option `checkpoint`") as caught:
        Pretrained(checkpoint=folder)
    assert "\n" not in str(caught.value)
    assert not (folder / "ran").exists()


def test_a_name_that_cannot_be_reached_is_one_line(bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants
    import transformers.utils.hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    for name in ("_is_offline_mode", "_hf_hub_offline"):
        if hasattr(transformers.utils.hub, name):
            monkeypatch.setattr(transformers.utils.hub, name, True)
    for options in (
        {"model": "nobody/no-such-model"},
        {"model": "a b"},
        {"model": str(bert)},
        {"model": "./x"},
        {"checkpoint": tmp_path / "no"},
    ):
        with pytest.raises(ConfigError, match=f"option `{next(iter(options))}`") as caught:
            Pretrained(**options)
        assert "\n" not in str(caught.value)
