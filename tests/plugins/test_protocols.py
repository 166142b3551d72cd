"""Protocols ``raw``, ``r2gen-iu``, ``cvt2distilgpt2`` and ``coco-ptb``."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pycocoevalcap.tokenizer import ptbtokenizer
from rrgbench_protocols import CocoPTB, CvT2DistilGPT2, R2GenIU, Raw, coco, rrgbench_protocols

from rrgbench.jvm import java, packaged
from rrgbench.testing import failures

torch.set_num_threads(1)

TRAIN = ("Lungs are clear.",) * 3 + ("Heart is big.",)


def test_raw_leaves_both_sides_verbatim_and_says_so() -> None:
    text = "  No Effusion..  XXXX\n"
    assert Raw().prepare(text, "prediction") == Raw().prepare(text, "reference") == text
    assert Raw.changes_references is False


def test_r2gen_says_that_it_changes_references() -> None:
    assert R2GenIU.changes_references is True


def test_references_lose_rare_words_and_predictions_keep_them() -> None:
    protocol = R2GenIU(TRAIN)
    assert protocol.prepare("Heart clear.", "reference") == "<unk> clear ."
    assert protocol.prepare("Heart clear.", "prediction") == "heart clear ."


def test_references_are_cut_one_word_before_the_length_and_predictions_are_not() -> None:
    protocol = R2GenIU(TRAIN, max_length=3)
    assert protocol.prepare("Lungs are clear.", "reference") == "lungs are"
    assert protocol.prepare("Lungs are clear.", "prediction") == "lungs are clear ."


def test_a_predicted_unknown_word_matches_no_reference() -> None:
    protocol = R2GenIU(TRAIN)
    assert protocol.prepare("<unk> clear .", "prediction") == "unk clear ."


def test_spaces_are_single_on_both_sides_so_that_no_metric_sees_empty_words() -> None:
    protocol = R2GenIU(TRAIN)
    assert protocol.prepare("lungs  clear . .", "prediction") == protocol.prepare("lungs  clear . .", "reference")
    assert protocol.prepare("lungs  clear . .", "prediction") == "lungs clear . ."


def test_preparing_a_prepared_prediction_changes_nothing() -> None:
    protocol = R2GenIU(TRAIN)
    once = protocol.prepare("1. The heart/lungs are clear.. 2. L1. Old", "prediction")
    assert protocol.prepare(once, "prediction") == once


def test_the_real_test_references_change_as_counted() -> None:
    root = Path(os.environ.get("RRGBENCH_DATA", "absent")) / "iu_xray"
    if not root.is_dir():
        pytest.skip("RRGBENCH_DATA holds no iu_xray")
    annotation = json.loads((root / "annotation.json").read_text(encoding="utf-8"))
    train = tuple(item["report"] for item in annotation["train"])
    test = [item["report"] for item in annotation["test"]]
    protocol, endless = R2GenIU(train), R2GenIU(train, max_length=10_000)
    prepared = [protocol.prepare(report, "reference").split() for report in test]
    whole = [endless.prepare(report, "reference").split() for report in test]
    assert sum(len(long) > len(cut) for long, cut in zip(whole, prepared)) == 29
    assert max(map(len, prepared)) == 59
    # 112 references hold a rare word; one of them only after the cut.
    assert sum("<unk>" in report for report in whole) == 112
    assert sum("<unk>" in report for report in prepared) == 111


@pytest.mark.parametrize("name", sorted(rrgbench_protocols()))
def test_every_protocol_keeps_its_contract(name: str) -> None:
    assert failures("protocols", rrgbench_protocols()[name]) == {}


def test_cvt2distilgpt2_parts_full_stops_and_nothing_else() -> None:
    protocol = CvT2DistilGPT2()
    assert protocol.changes_references
    for side in ("prediction", "reference"):
        assert protocol.prepare("Lungs are clear, XXXX. A 2.5 cm mass.", side) == "lungs are clear, xxxx . a 2 .5 cm mass ."
        assert protocol.prepare("lungs are clear, xxxx . a 2 .5 cm mass .", side) == "lungs are clear, xxxx . a 2 .5 cm mass ."


# coco-ptb.

Coco = Callable[[list[str]], list[str]]


@pytest.fixture
def theirs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Coco:
    """pycocoevalcap's PTBTokenizer, with its jar and its files in a folder of the test, and Java on PATH."""
    (tmp_path / "stanford-corenlp-3.4.1.jar").symlink_to(packaged("pycocoevalcap", "tokenizer/stanford-corenlp-3.4.1.jar"))
    monkeypatch.setattr(ptbtokenizer, "__file__", str(tmp_path / "ptbtokenizer.py"))
    monkeypatch.setenv("PATH", str(java().parent), prepend=os.pathsep)

    def tokenize(texts: list[str]) -> list[str]:
        # A word after each: the tokenizer looks ahead, and a capital or a digit there decides about a last "A." or "No."
        captions: dict[int, Any] = {number: [{"caption": text}, {"caption": "the"}] for number, text in enumerate(texts)}
        found = ptbtokenizer.PTBTokenizer().tokenize(captions)
        assert all(found[number][1] == "the" for number in captions), "lines have shifted"
        return [found[number][0] for number in captions]

    return tokenize


PIECES = (
    *"abcXYZ 019.,;:!?'\"`()[]{}<>/\\-_*#@$%&=+~^|  ",
    *("Dr.", "U.S.", "p.m.", "No.", "1 1/2", "XXXX", "don't", "oedema", "cannot", "<b>", "</b>", "<!--", "http://a.b", "x@y.z"),
    *(
        "(555) 555-1212",
        "...",
        "--",
        "é",
        "½",
        "\u2013",
        "“",
        "”",
        "\u00a0",
        "\t",
        "\n",
        "€",
        "日本",
        "😀",
        "ﬁ",
        "\u200b",
        "\xad",
    ),
    *("*NL*", "gonna", "L1.", "T12", "2.5 cm", "A.", "…", "\x00", "\x1a", "\x85", '<a href="x', "<a href=", '"', "'"),
)


def odd_texts(number: int, seed: int) -> list[str]:
    draw = random.Random(seed)
    return [draw.choice(["", " "]).join(draw.choices(PIECES, k=draw.randint(0, 20))) for _ in range(number)]


@pytest.mark.heavy
def test_coco_ptb_is_pycocoevalcaps_tokenizer_on_odd_texts(theirs: Coco) -> None:
    # Alone, an unclosed tag ends with the text; in one file with others it may be closed by a later one.
    texts = [text for text in odd_texts(4000, 1) if "<a href" not in text]
    protocol = CocoPTB()
    assert [protocol.prepare(text, "reference") for text in texts] == theirs(texts)


@pytest.mark.heavy
def test_coco_ptb_is_pycocoevalcaps_tokenizer_on_a_text_alone(theirs: Coco) -> None:
    for text in ("No.", "1p.m.", 'Heart <a href="x', "<a href=", "(heart)", ""):
        assert CocoPTB().prepare(text, "prediction") == theirs([text])[0]


def test_coco_ptb_drops_punctuation_and_case_and_keeps_brackets() -> None:
    report = 'Heart size is normal; no "acute" oedema (see below), 1 1/2 cm. XXXX-ray!'
    assert CocoPTB().prepare(report, "reference") == (
        "heart size is normal no acute oedema -lrb- see below -rrb- 1\xa01/2 cm xxxx-ray"
    )


def test_coco_ptb_takes_line_separators_for_spaces() -> None:
    protocol = CocoPTB()
    for separator in ("\n", "\r", "\r\n", "\x0b", "\x0c", "\u2028", "\u2029"):
        assert protocol.prepare(f"The heart{separator}is normal.", "prediction") == "the heart is normal"
        assert protocol.prepare("Next.", "prediction") == "next"


def test_coco_ptb_leaves_out_half_a_character_and_goes_on() -> None:
    assert CocoPTB().prepare("heart \udcff normal", "prediction") == "heart normal"


def test_coco_ptb_gives_an_answer_for_what_no_text_should_be() -> None:
    protocol = CocoPTB()
    assert len(protocol.prepare("word " * 100_000, "prediction").split()) == 100_000
    assert protocol.prepare("x" * 1_000_000, "prediction") == "x" * 1_000_000
    assert protocol.prepare(". " * 50_000, "prediction") == ""
    assert protocol.prepare("a" * 26_000, "prediction") == "a" * 26_000  # as long as the word that pushes answers out
    assert protocol.prepare("Heart.", "prediction") == "heart"


def test_coco_ptb_prepares_two_thousand_reports_in_seconds() -> None:
    draw = random.Random(5)
    words = ["The", "heart", "lungs", "are", "clear", "is", "normal", "size", "No", "effusion", "or", "pneumothorax", ".", ","]
    reports = [" ".join(draw.choices(words, k=30)) for _ in range(2069)]
    coco._tokens.cache_clear()
    began = time.perf_counter()
    for report in reports:
        CocoPTB().prepare(report, "prediction")
    assert time.perf_counter() - began < 15  # 1 to 3 s where nothing else runs


@pytest.mark.heavy
def test_coco_ptb_is_pycocoevalcaps_tokenizer_on_every_real_report(theirs: Coco) -> None:
    root = Path(os.environ.get("RRGBENCH_DATA", "absent")) / "iu_xray"
    if not root.is_dir():
        pytest.skip("RRGBENCH_DATA holds no iu_xray")
    annotation = json.loads((root / "annotation.json").read_text(encoding="utf-8"))
    reports = [item["report"] for split in annotation.values() for item in split]
    assert len(reports) == 2955
    protocol = CocoPTB()
    assert [protocol.prepare(report, "reference") for report in reports] == theirs(reports)
