"""Tokenizers ``word`` and ``auto``."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from rrgbench_tokenizers import Word, auto

import rrgbench

REPORTS = ("Heart is normal. Lungs are clear.", "The heart is big. The lungs are clear.", "Heart and lungs are fine.")


def test_encode_stands_between_begin_and_end_and_decode_takes_it_back() -> None:
    tokenizer = Word(REPORTS, threshold=1)
    ids = tokenizer.encode("The heart is fine.")
    assert ids[0] == tokenizer.bos_token_id
    assert ids[-1] == tokenizer.eos_token_id
    assert tokenizer.decode(ids) == "the heart is fine ."
    assert len({tokenizer.pad_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id, *ids[1:-1]}) == 8


def test_words_are_numbered_in_order_after_the_special_ids() -> None:
    tokenizer = Word(REPORTS, threshold=3)
    assert tokenizer.vocab_size == 3 + len((".", "<unk>", "are", "heart", "lungs"))
    assert tokenizer.decode(range(tokenizer.vocab_size)) == ". <unk> are heart lungs"
    assert Word(REPORTS[::-1], threshold=3).encode(REPORTS[0]) == tokenizer.encode(REPORTS[0])


def test_rare_words_become_the_unknown_word_and_no_text_can_write_a_special_id() -> None:
    tokenizer = Word(REPORTS, threshold=3)
    assert tokenizer.decode(tokenizer.encode("Pneumothorax <eos> <pad> heart")) == "<unk> <unk> <unk> heart ."


def test_a_long_report_is_cut_and_still_ends() -> None:
    tokenizer = Word(REPORTS, threshold=1, max_length=5)
    ids = tokenizer.encode("heart is normal lungs are clear")
    assert len(ids) == 5
    assert ids[-1] == tokenizer.eos_token_id
    assert tokenizer.decode(ids) == "heart is normal"


def test_an_id_outside_the_vocabulary_is_refused() -> None:
    tokenizer = Word(REPORTS, threshold=1)
    with pytest.raises(ValueError, match="outside the vocabulary"):
        tokenizer.decode([tokenizer.vocab_size])
    with pytest.raises(ValueError, match="outside the vocabulary"):
        tokenizer.decode([-1])


def test_a_threshold_that_leaves_no_word_is_the_users_mistake() -> None:
    with pytest.raises(rrgbench.ConfigError, match="threshold 50 over 3 train reports"):
        Word(REPORTS, threshold=50)


def test_auto_is_the_decoders_own_tokenizer() -> None:
    own = Word(REPORTS, threshold=1)
    assert auto(own) is own


def test_the_real_train_split_has_r2gens_vocabulary() -> None:
    root = Path(os.environ.get("RRGBENCH_DATA", "absent")) / "iu_xray"
    if not root.is_dir():
        pytest.skip("RRGBENCH_DATA holds no iu_xray")
    annotation = json.loads((root / "annotation.json").read_text(encoding="utf-8"))
    tokenizer = Word(tuple(item["report"] for item in annotation["train"]))
    # R2Gen: 759 words and <unk>; here also padding, begin and end.
    assert tokenizer.vocab_size == 760 + 3
    assert max(len(tokenizer.encode(item["report"])) for item in annotation["train"]) == 60
