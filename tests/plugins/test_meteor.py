"""METEOR: the closing formula is the jar's, and what breaks other wrappers breaks nothing here."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy
import pytest
import rrgbench_metrics.meteor as module
from rrgbench_metrics import Meteor

from rrgbench import PluginError, Texts
from rrgbench.jvm import packaged
from rrgbench.testing import MetricContract

WORDS = [
    "the",
    "heart",
    "lungs",
    "are",
    "clear",
    "is",
    "normal",
    "size",
    "in",
    "of",
    "no",
    "effusion",
    "pneumothorax",
    "edema",
    "cardiac",
    "cardiomegaly",
    "enlarged",
    "large",
    "big",
    "opacity",
    "opacities",
    "opacified",
    "focal",
    "consolidation",
    "left",
    "right",
    "lower",
    "lobe",
    ".",
    ",",
    "with",
    "without",
    "there",
    "has",
    "been",
    "seen",
    "and",
    "mild",
    "mildly",
]


def texts(pairs: list[tuple[str, str]]) -> Texts:
    predictions, references = zip(*pairs)
    return Texts(tuple(f"s{place}" for place in range(len(pairs))), predictions, references)


def random_pairs(number: int, seed: int) -> list[tuple[str, str]]:
    """Unlike pairs, pairs with some words changed, and equal ones."""
    draw = random.Random(seed)
    pairs = []
    for _ in range(number):
        reference = draw.choices(WORDS, k=draw.randint(0, 40))
        changed = [draw.choice(WORDS) if draw.random() < 0.2 else word for word in reference]
        prediction = draw.choice([reference, changed, changed, draw.choices(WORDS, k=draw.randint(0, 40))])
        pairs.append((" ".join(prediction), " ".join(reference)))
    return pairs


def closed_by_the_jar(rows: Any) -> list[float]:
    """What the jar's EVAL prints: each segment's score, and the aggregate."""
    question = "".join(f" ||| {' '.join(map(str, row))}" for row in rows.tolist())
    lines = iter(range(len(rows)))
    return [float(line) for line in module._METEOR.ask(f"EVAL{question}\n", lambda _: next(lines, None) is None)]


# Without the jar.


def counted(number: int) -> Any:
    """Statistics as the jar might give them."""
    draw = numpy.random.default_rng(0)
    lengths = draw.integers(20, 40, (number, 2))
    matches = numpy.zeros((number, 16))
    matches[:, :4] = draw.integers(2, 6, (number, 4))
    words = matches[:, 0::2].sum(axis=1), matches[:, 1::2].sum(axis=1)
    return numpy.column_stack([lengths, lengths // 2, matches, draw.integers(1, 5, number), *words]).astype(float)


def test_a_thousand_resamples_need_no_java_and_take_a_moment() -> None:
    statistics, metric = counted(590), Meteor()
    draws = numpy.random.default_rng(0).integers(0, 590, (1000, 590))
    began = time.perf_counter()
    values = [metric.aggregate(statistics[rows])["meteor"] for rows in draws]
    assert time.perf_counter() - began < 2.0
    assert 0 < min(values) < max(values) < 1


def test_nothing_matched_is_zero_and_nothing_at_all_too() -> None:
    nothing = numpy.zeros((3, 23))
    assert Meteor().aggregate(nothing) == {"meteor": 0.0}
    nothing[:, :4] = [5, 6, 2, 2]
    assert Meteor().aggregate(nothing) == {"meteor": 0.0}


class Told:
    """A program that gives one answer to everything."""

    def __init__(self, answer: str) -> None:
        self.answer = answer

    def ask(self, text: str) -> list[str]:
        return [self.answer]


@pytest.mark.parametrize("answer", ["", "1.0 2.0", "Error: specify hypothesis", " ".join(["NaN"] * 23)])
def test_an_odd_answer_is_an_error_and_no_number(monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    monkeypatch.setattr(module, "_METEOR", Told(answer))
    with pytest.raises(PluginError, match=r"METEOR 1.5 gave an odd answer; got .*expected 23 numbers"):
        Meteor().score(texts([(f"odd {answer}", "answer")]))


def test_a_pair_is_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    class Counting(Told):
        def ask(self, text: str) -> list[str]:
            asked.append(text)
            return super().ask(text)

    monkeypatch.setattr(module, "_METEOR", Counting(" ".join(["0.0"] * 23)))
    module._matches.cache_clear()
    Meteor().score(texts([("x", "y")] * 5 + [("y", "x")]))
    Meteor().score(texts([("x", "y")]))
    module._matches.cache_clear()
    assert asked == ["SCORE ||| y ||| x\n", "SCORE ||| x ||| y\n"]


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("a\r\nb\nc\rd", "a  b c d"),
        ("a ||| b", "a  b"),
        ("||||| a", "|| a"),
        ("a \udcff b", "a \ufffd b"),
        ("\ud83d\ude00", "\U0001f600"),
        ("a\u2028b\x85c\x00d", "a\u2028b\x85c\x00d"),
    ],
)
def test_a_field_holds_no_line_break_no_separator_and_no_half_a_character(text: str, field: str) -> None:
    assert module._line(text) == field
    assert field.encode()


def test_a_missing_jar_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    module._METEOR.close()
    module._matches.cache_clear()
    monkeypatch.setattr("rrgbench.jvm.find_spec", lambda name: None)
    with pytest.raises(PluginError, match=r"is not there\. Hint: pip install") as caught:
        Meteor().score(texts([("no jar", "heart")]))
    assert "\n" not in str(caught.value)


def test_the_signature_names_the_jar_and_its_settings() -> None:
    assert Meteor().signature().startswith("meteor|pycocoevalcap 1.2|jar 1.5, -l en -norm|alpha .85")


# With the jar: its tables take seconds to read.


@pytest.mark.heavy
class TestMeteor(MetricContract):
    component = Meteor


@pytest.mark.heavy
def test_the_formula_is_the_jars_to_the_last_digit() -> None:
    statistics, metric = Meteor().score(texts(random_pairs(400, 1))), Meteor()
    *segments, whole = closed_by_the_jar(statistics)
    assert metric.aggregate(statistics) == {"meteor": whole}
    assert [metric.aggregate(row[None])["meteor"] for row in statistics] == segments
    assert len(set(segments)) > 200
    draw = numpy.random.default_rng(2)
    for number in (1, 2, 3, 5, 20, 400) * 10:
        rows = statistics[draw.integers(0, 400, number)]
        assert metric.aggregate(rows) == {"meteor": closed_by_the_jar(rows)[-1]}


@pytest.mark.heavy
def test_odd_texts_shift_no_row_and_score_as_what_they_say() -> None:
    plain = [("the heart is normal", "the heart is normal in size"), ("no effusion", "there is no effusion")]
    before = Meteor().score(texts(plain))
    odd = [
        ("", "heart"),
        ("", ""),
        ("heart", ""),
        ("|||", "|||"),
        ("a\nb\r\nc", "a b c"),
        ("lungs\u2028clear\u2029\x85\x0b\x0c\x1c", "lungs clear"),
        ("\x00heart\x00", "heart"),
        ("\ud800", "\udfff"),
        ("SCORE ||| a ||| b", "EVAL ||| 1.0"),
        ("word " * 100, "word " * 100),
    ]
    for pair in odd:
        assert numpy.array_equal(Meteor().score(texts([plain[0], pair, plain[1]]))[[0, 2]], before)
    one = Meteor().score(texts([("the heart is ||| normal", "the heart ||| is normal"), ("the heart is normal",) * 2]))
    assert numpy.array_equal(one[0], one[1])
    broken = Meteor().score(texts([("the heart\nis\r\nnormal", "the heart is\rnormal")]))
    assert numpy.array_equal(broken[0], one[1])
    empty = Meteor().score(texts([("", "the heart is normal")]))
    assert Meteor().aggregate(empty) == {"meteor": 0.0}


@pytest.mark.heavy
def test_a_jar_that_was_killed_is_started_again() -> None:
    before = Meteor().score(texts([("heart size normal", "the heart is normal in size")]))
    assert module._METEOR._process is not None
    os.kill(module._METEOR._process._process.pid, signal.SIGKILL)
    module._matches.cache_clear()
    assert numpy.array_equal(Meteor().score(texts([("heart size normal", "the heart is normal in size")])), before)


@pytest.mark.heavy
def test_a_path_with_spaces_and_other_letters_works(tmp_path: Path) -> None:
    folder = tmp_path / "sp ace ü%20#"
    shutil.copytree(packaged("pycocoevalcap", "meteor/meteor-1.5.jar").parent, folder / "pycocoevalcap" / "meteor")
    script = """
from rrgbench.jvm import packaged
from rrgbench_metrics.meteor import _matches
assert "sp ace" in str(packaged("pycocoevalcap", "meteor/meteor-1.5.jar"))
print(*_matches("the heart is normal in size", "heart size is within normal limits"))
"""
    paths = os.pathsep.join([str(folder), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": paths, "LC_ALL": "C"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (expected,) = Meteor().score(texts([("heart size is within normal limits", "the heart is normal in size")])).tolist()
    assert [float(word) for word in done.stdout.split()] == expected
