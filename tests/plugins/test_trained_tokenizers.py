"""Tokenizers ``bpe`` and ``wordpiece``: odd texts come back as they say, and every run makes the same vocabulary."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import subprocess
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rrgbench_tokenizers import BPE, Word, WordPiece
from rrgbench_tokenizers.bpe import count_parts
from tokenizers import pre_tokenizers

import rrgbench
from rrgbench.testing import TokenizerContract
from rrgbench.text import clean_r2gen_iu, whole_characters

REPORTS = (
    "The heart is normal in size. The lungs are clear.",
    "No pneumothorax/effusion. A 2.5 cm nodule (left-sided), XXXX.",
    "The heart is large. There is a small effusion on the left side.",
    "Lungs: clear; no acute disease. # is in the alphabet, <unk> too.",
) * 3
SPECIAL = 3
TRAINED = pytest.mark.parametrize("made", [BPE, WordPiece])

ODD = (
    *(
        "",
        " ",
        "\n",
        "\r\n",
        "\r",
        "\t",
        "\x0b",
        "\x0c",
        "\x1c",
        "\x85",
        "\u2028",
        "\u2029",
        "\u00a0",
        "\u3000",
        "\u200b",
        "\x00",
        "\x7f",
    ),
    *(
        "e\u0301",
        "\u00e9",
        "\u0130",
        "\u1e9e",
        "\ufb01",
        "\u0327\u0301",
        "\u05e9\u05dc\u05d5\u05dd",
        "\u202e",
        "\U0001f600",
        "\U0001f468\u200d\u2695\ufe0f",
    ),
    *(
        "<unk>",
        "<pad>",
        "<bos>",
        "<eos>",
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "<|endoftext|>",
        "##",
        "##.",
        "###",
        "\u0120",
        "\ufffd",
    ),
    *("\ud800", "\udcff", "\ude00\ud83d", "a" * 101, "normal" * 40, "the", "heart", "clear.", "2.5", "-", "(", "CM", "!!", "   "),
)
TEXTS = st.one_of(st.text(), st.lists(st.one_of(st.sampled_from(ODD), st.text(max_size=4)), max_size=12).map("".join))


class TestBPE(TokenizerContract):
    component = BPE


class TestBPEInLowerCase(TokenizerContract):
    component = BPE
    options = {"lowercase": True, "vocab_size": 260, "max_length": 70}


class TestWordPiece(TokenizerContract):
    component = WordPiece


class TestWordPieceWithCase(TokenizerContract):
    component = WordPiece
    options = {"lowercase": False, "min_frequency": 30}


@pytest.fixture(scope="module")
def bpe() -> BPE:
    return BPE(REPORTS, max_length=100_000)


@pytest.fixture(scope="module")
def wordpiece() -> WordPiece:
    return WordPiece(REPORTS, max_length=100_000)


def normal_wordpiece(text: str) -> str:
    """What the class says that comes back."""
    known = {c for report in REPORTS for c in unicodedata.normalize("NFC", report.lower())}
    words = unicodedata.normalize("NFC", whole_characters(text).lower()).split()
    shown = ("<unk>" if len(word) > 100 else "".join(c if c in known else "\ufffd" for c in word) for word in words)
    return " ".join(shown)


def check_framing(tokenizer: Any, text: str) -> None:
    ids = tokenizer.encode(text)
    special = {tokenizer.pad_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id}
    assert (ids[0], ids[-1]) == (tokenizer.bos_token_id, tokenizer.eos_token_id)
    assert not special & set(ids[1:-1])
    assert 2 <= len(ids) <= tokenizer.max_length
    assert tokenizer.decode([tokenizer.pad_token_id, *ids, tokenizer.pad_token_id]) == tokenizer.decode(ids[1:-1])


@settings(deadline=None, max_examples=200)
@given(TEXTS)
def test_bpe_gives_every_text_back_as_it_was(bpe: BPE, text: str) -> None:
    check_framing(bpe, text)
    assert bpe.decode(bpe.encode(text)) == whole_characters(text)


@settings(deadline=None, max_examples=200)
@given(TEXTS)
def test_wordpiece_gives_words_back_in_lower_case_with_foreign_characters_marked(wordpiece: WordPiece, text: str) -> None:
    check_framing(wordpiece, text)
    assert wordpiece.decode(wordpiece.encode(text)) == normal_wordpiece(text)


@settings(deadline=None, max_examples=200)
@given(TEXTS)
def test_word_gives_cleaned_words_back_with_rare_ones_marked(text: str) -> None:
    tokenizer = Word(REPORTS, threshold=3, max_length=100_000)
    check_framing(tokenizer, text)
    known = {word for report in REPORTS for word in clean_r2gen_iu(report).split()}
    cleaned = clean_r2gen_iu(text).split()
    assert tokenizer.decode(tokenizer.encode(text)) == " ".join(word if word in known else "<unk>" for word in cleaned)


@functools.cache
def _of_length(made: Callable[..., Any], length: int) -> Any:
    return made(REPORTS, max_length=length)


@settings(deadline=None, max_examples=100)
@given(TEXTS, st.integers(3, 12))
def test_a_cut_text_is_the_beginning_of_the_whole(text: str, length: int) -> None:
    for made in (BPE, WordPiece):
        tokenizer, whole = _of_length(made, length), _of_length(made, 100_000)
        check_framing(tokenizer, text)
        assert whole.decode(whole.encode(text)).startswith(tokenizer.decode(tokenizer.encode(text)))


@settings(deadline=None, max_examples=200)
@given(st.lists(TEXTS, max_size=3))
def test_parts_are_counted_as_the_library_cuts_whole_texts(texts: list[str]) -> None:
    parts = pre_tokenizers.ByteLevel(add_prefix_space=False)
    texts = [whole_characters(text) for text in texts]
    assert count_parts(texts, parts) == Counter(tuple(part) for text in texts for part, _ in parts.pre_tokenize_str(text))


def test_bpe_cuts_between_two_characters() -> None:
    for length in range(3, 12):
        tokenizer = BPE(REPORTS, max_length=length)
        assert tokenizer.decode(tokenizer.encode("\U0001f600\U0001f600")) == "\U0001f600" * ((length - 2) // 4)


def test_bpe_marks_bytes_that_are_no_text() -> None:
    tokenizer = BPE(REPORTS)
    (half, *_) = tokenizer.encode("\u00e9")[1:-1]
    assert tokenizer.decode([half]) == "\ufffd"


def test_lower_case_is_an_option_of_both() -> None:
    assert BPE(REPORTS, lowercase=True).decode(BPE(REPORTS, lowercase=True).encode("THE Heart\n")) == "the heart\n"
    cased = WordPiece(REPORTS, lowercase=False)
    assert cased.decode(cased.encode("The  heart. the")) == "The heart. the"


def test_wordpiece_keeps_spaces_about_punctuation_and_pieces_do_not_cross_it() -> None:
    tokenizer = WordPiece(REPORTS)
    text = "a 2.5 cm nodule (left-sided), xxxx. pneumothorax / effusion"
    assert tokenizer.decode(tokenizer.encode(text)) == text
    mixed = [name for name in tokenizer._names[4:] if len(name.strip()) > 1 and not name.strip().isalnum()]
    assert mixed == []


def test_no_text_names_a_piece_that_is_not_its_own() -> None:
    tokenizer = WordPiece(REPORTS)
    unknown = tokenizer.encode("a" * 101)[1]
    for text in ("<unk>", "##.", "# #", "###unk", "##heart"):
        ids = tokenizer.encode(text)
        assert unknown not in ids
        assert tokenizer.decode(ids) == text
    assert tokenizer.decode([unknown]) == "<unk>"


@pytest.mark.parametrize(("made", "size"), [(BPE, 280), (WordPiece, 110)])
def test_frequent_words_are_one_piece_and_the_size_is_kept(made: Callable[..., Any], size: int) -> None:
    large, small = made(REPORTS), made(REPORTS, vocab_size=size, min_frequency=1)
    assert small.vocab_size == size
    assert len(large.encode(" the heart")) == 4
    assert len(small.encode(REPORTS[1])) > len(made(REPORTS, vocab_size=1000, min_frequency=1).encode(REPORTS[1]))


@TRAINED
def test_an_id_outside_the_vocabulary_is_refused(made: Callable[..., Any]) -> None:
    tokenizer = made(REPORTS)
    for stray in (-1, tokenizer.vocab_size):
        with pytest.raises(ValueError, match="outside the vocabulary"):
            tokenizer.decode([stray])


@TRAINED
def test_reports_without_a_word_are_the_users_mistake(made: Callable[..., Any]) -> None:
    with pytest.raises(rrgbench.ConfigError, match="no train report holds a word; got 2 train reports") as caught:
        made(("", " \n"))
    assert "\n" not in str(caught.value)


def test_a_vocabulary_too_small_for_the_characters_is_the_users_mistake() -> None:
    with pytest.raises(
        rrgbench.ConfigError, match=r"wordpiece: option vocab_size; got 20; expected at least \d+, for the \d+ char"
    ):
        WordPiece(REPORTS, vocab_size=20)


def test_half_a_character_in_train_is_learnt_as_the_replacement_character() -> None:
    for made in (BPE, WordPiece):
        tokenizer = made((*REPORTS, "a \udcff b"))
        assert tokenizer.decode(tokenizer.encode("a \udcff b")) == "a \ufffd b"


def test_a_hostile_text_takes_no_time() -> None:
    import time

    tokenizers = (BPE(REPORTS), WordPiece(REPORTS))
    for tokenizer in tokenizers:
        began = time.process_time()
        for text in ("a" * 300_000, "a " * 150_000, "." * 300_000, "\U0001f600" * 50_000):
            assert len(tokenizer.encode(text)) <= tokenizer.max_length
        assert time.process_time() - began < 5


_FINGERPRINT = """
import hashlib, json, sys
from rrgbench_tokenizers import BPE, WordPiece
reports = tuple(json.load(sys.stdin))
for made in (BPE, WordPiece):
    tokenizer = made(reports, vocab_size=400)
    ids = [tokenizer.encode(report) for report in reports]
    names = [tokenizer.decode([index]) for index in range(tokenizer.vocab_size)]
    print(hashlib.sha256(json.dumps([names, ids]).encode()).hexdigest())
"""


def test_every_process_and_every_number_of_threads_makes_the_same_vocabulary() -> None:
    texts = json.dumps(REPORTS)
    found = set()
    for threads, parallel, seed in ((1, "false", "0"), (2, "true", "1"), (4, "true", "2")):
        environment = {
            **os.environ,
            "RAYON_NUM_THREADS": str(threads),
            "TOKENIZERS_PARALLELISM": parallel,
            "PYTHONHASHSEED": seed,
        }
        done = subprocess.run(
            [sys.executable, "-c", _FINGERPRINT], input=texts, capture_output=True, text=True, check=True, env=environment
        )
        found.add(done.stdout)
    assert len(found) == 1
    # Written down once: another version of Python or of the library must not change it unseen.
    assert hashlib.sha256(found.pop().encode()).hexdigest()[:16] == "109201a03f774ba1"


def test_the_real_train_split_comes_back_whole() -> None:
    root = Path(os.environ.get("RRGBENCH_DATA", "absent")) / "iu_xray"
    if not root.is_dir():
        pytest.skip("RRGBENCH_DATA holds no iu_xray")
    annotation = json.loads((root / "annotation.json").read_text(encoding="utf-8"))
    train, test = (tuple(item["report"] for item in annotation[split]) for split in ("train", "test"))
    bpe, pieces = BPE(train, max_length=400), WordPiece(train, max_length=400)
    assert all(bpe.decode(bpe.encode(report)) == report for report in (*train, *test))
    back = [(pieces.decode(pieces.encode(report)), " ".join(report.lower().split())) for report in (*train, *test)]
    assert all(found == expected for found, expected in back[: len(train)])
    assert sum(found != expected for found, expected in back) == 0
