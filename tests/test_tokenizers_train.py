"""Through the shell: a cell is trained with every tokenizer, and writes with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.heavy


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, shell: Any, write_experiment: Any) -> tuple[Path, Any]:
    from transformers import BertTokenizerFast

    folder = tmp_path_factory.mktemp("tokenizers")
    letters = "abcdefghijklmnopqrstuvwxyz.,0123456789-"
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters)]
    (folder / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder / "bert")
    tokenizers = [
        "word",
        "bpe",
        {"name": "wordpiece", "vocab_size": 300},
        {"name": "pretrained", "checkpoint": str(folder / "bert")},
    ]
    experiment = write_experiment(folder, {"axes": {"tokenizer": tokenizers}, "base.decoding.max_new_tokens": 20})
    done = shell("run", experiment, "--store", folder / "store", "--json")
    assert done.code == 0, done.err
    return folder, done.json


def test_every_tokenizer_has_its_own_model_and_its_row(ran: tuple[Path, Any]) -> None:
    _, told = ran
    assert told["executed"]["train"] == 4
    assert len(told["rows"]) == 4
    assert all(row["kind"] == "cell" and 0 <= row["values"]["bleu_4"]["value"] <= 1 for row in told["rows"])
    # The films are read once for all of them.
    assert told["executed"]["pixels"] <= 3


def test_no_report_that_is_written_holds_a_special_token(ran: tuple[Path, Any]) -> None:
    folder, _ = ran
    texts = [
        json.loads(line)["prediction"]
        for path in (folder / "store" / "steps").glob("*/*/predictions.jsonl")
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    assert len(texts) >= 4
    assert not [text for text in texts if any(mark in text for mark in ("<pad>", "<bos>", "<eos>", "[CLS]", "[SEP]", "[PAD]"))]
    assert len(set(texts)) > 1
