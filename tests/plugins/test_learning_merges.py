"""Learning the merges of byte-pair encoding, beside the trainers of the ``tokenizers`` library."""

from __future__ import annotations

import json
import random
from collections import Counter

import pytest
from rrgbench_tokenizers.learning import learn_merges
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

SENTENCES = (
    "the heart is normal",
    "the lungs are clear",
    "aaaa abab baba",
    "there is no effusion",
    "banana bandana",
    "a the heart",
)


def reports(seed: int) -> list[str]:
    draw = random.Random(seed)
    letters = ["".join(draw.choices("abcde", k=draw.randint(1, 9))) for _ in range(60)]
    return [" ".join(draw.choices(letters, k=12)) for _ in range(60)] + list(SENTENCES)


def test_the_most_frequent_pair_is_merged_first_and_of_equals_the_older() -> None:
    names, merges = learn_merges({tuple("abab"): 2, tuple("cd"): 4, tuple("ef"): 1}, list("abcdef"), 100, 2, str.__add__)
    assert merges == [("a", "b"), ("c", "d"), ("ab", "ab")]
    assert names == [*"abcdef", "ab", "cd", "abab"]


def test_a_vocabulary_has_its_size_and_no_pair_below_the_frequency() -> None:
    counts = {tuple("abcd"): 3, tuple("xy"): 2}
    assert learn_merges(counts, list("abcdxy"), 8, 1, str.__add__)[0] == [*"abcdxy", "ab", "cd"]
    assert learn_merges(counts, list("abcdxy"), 100, 3, str.__add__)[0] == [*"abcdxy", "ab", "cd", "abcd"]
    assert learn_merges(counts, list("abcdxy"), 6, 1, str.__add__) == (list("abcdxy"), [])
    assert learn_merges({}, ["a"], 10, 1, str.__add__) == (["a"], [])


def test_overlapping_pairs_are_merged_from_the_left() -> None:
    names, merges = learn_merges({tuple("aaaaa"): 1}, ["a"], 10, 1, str.__add__)
    assert merges == [("a", "a"), ("aa", "a"), ("aa", "aaa")]
    assert names == ["a", "aa", "aaa", "aaaaa"]


def test_two_ways_to_one_piece_make_it_once() -> None:
    counts = {("a", "b", "c"): 5, ("x", "a", "b"): 4, ("b", "c"): 9, ("ab", "c"): 3}
    names, merges = learn_merges(counts, ["a", "b", "c", "x", "ab"], 100, 1, str.__add__)
    assert len(set(names)) == len(names)
    assert len(set(merges)) == len(merges)
    assert names.count("abc") == 1


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("size", "least"), [(300, 2), (2000, 1), (280, 5)])
def test_byte_pairs_are_those_of_the_library(seed: int, size: int, least: int) -> None:
    parts, texts = pre_tokenizers.ByteLevel(add_prefix_space=False), reports(seed)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    counts = Counter(tuple(word) for text in texts for word, _ in parts.pre_tokenize_str(text))
    names, merges = learn_merges(counts, alphabet, size, least, str.__add__)
    theirs = Tokenizer(models.BPE())
    theirs.pre_tokenizer = parts
    trainer = trainers.BpeTrainer(vocab_size=size, min_frequency=least, initial_alphabet=alphabet, show_progress=False)
    theirs.train_from_iterator(texts, trainer)
    ids = theirs.get_vocab()
    assert names == sorted(ids, key=ids.__getitem__)
    assert merges == [tuple(pair) for pair in json.loads(theirs.to_str())["model"]["merges"]]


@pytest.mark.parametrize("seed", range(4))
def test_word_pieces_are_those_of_the_library_where_its_symbols_are_in_order(seed: int) -> None:
    texts = reports(seed)
    counts = Counter(tuple(f"##{c}" if place else c for place, c in enumerate(word)) for text in texts for word in text.split())
    plain = sorted({c for text in texts for c in text if c != " "})
    symbols = [*plain, *(f"##{c}" for c in plain)]
    names, _ = learn_merges(counts, symbols, 200, 2, lambda left, right: left + right.removeprefix("##"))
    theirs = Tokenizer(models.WordPiece(unk_token="?"))
    theirs.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    # As special tokens they are numbered in their order, and not in that of a hash map.
    trainer = trainers.WordPieceTrainer(vocab_size=200, min_frequency=2, special_tokens=symbols, show_progress=False)
    theirs.train_from_iterator(texts, trainer)
    ids = theirs.get_vocab()
    assert names == sorted(ids, key=ids.__getitem__)
