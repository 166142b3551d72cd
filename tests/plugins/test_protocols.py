"""Protocols ``raw`` and ``r2gen-iu``."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from rrgbench_protocols import R2GenIU, Raw

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
