"""Each mistake in a floor or a protocol is caught by the check that is for it."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import pytest
import torch

from rrgbench import Inputs, derive_seed
from rrgbench.testing import failures

torch.set_num_threads(1)

Failing = Callable[..., str]


class RightFloor:
    """A train report by seed and study."""

    draws: ClassVar[bool] = True

    def __init__(self, train_reports: Sequence[str], seed: int) -> None:
        self.reports, self.seed = train_reports, seed

    def generate(self, inputs: Sequence[Inputs]) -> list[str]:
        return [self.reports[derive_seed(self.seed, study.study_id) % len(self.reports)] for study in inputs]


@pytest.mark.parametrize(
    ("members", "check", "sentence"),
    [
        ({"draws": None}, "a plan can read", "draws is None, not a bool"),
        ({"generate": lambda self, inputs: self.reports[:3]}, "every study gets", "gives 3 reports for 6 studies"),
        (
            {"generate": lambda self, inputs: self.reports[: len(inputs) or 1]},
            "every study gets",
            "gives 1 reports for 0 studies",
        ),
        ({"generate": lambda self, inputs: [None for _ in inputs]}, "every study gets", "gives NoneType, not str"),
        ({"generate": lambda self, inputs: [inputs[9].study_id]}, "every study gets", "generate raised IndexError"),
        ({"generate": lambda self, inputs: [str(random.random()) for _ in inputs]}, "deterministic", "is not deterministic"),
        ({"generate": lambda self, inputs: list(self.reports[: len(inputs)])}, "any company", "depends on the order of studies"),
        (
            {"generate": lambda self, inputs: [str(len(inputs)) for _ in inputs]},
            "any company",
            "something else for a study alone",
        ),
        ({"draws": False}, "draws where it says so", "draws is False, and its reports depend on the seed"),
        ({"generate": lambda self, inputs: ["x" for _ in inputs]}, "draws where it says so", "8 seeds give the same reports"),
    ],
)
def test_a_wrong_floor_is_caught(failing: Failing, members: dict[str, Any], check: str, sentence: str) -> None:
    assert sentence in failing("floors", type("WrongFloor", (RightFloor,), members), check)


def test_a_floor_that_asks_for_what_floors_may_not_have_is_told(failing: Failing) -> None:
    class Asks(RightFloor):
        def __init__(self, test: Any) -> None:
            super().__init__((), 0)

    assert "Asks asks for ['test']" in failing("floors", Asks, "every study gets")


def test_a_right_floor_passes() -> None:
    assert failures("floors", RightFloor) == {}


class RightProtocol:
    """Lower case, by the words of train."""

    changes_references: ClassVar[bool] = True

    def __init__(self, train_reports: Sequence[str]) -> None:
        self.words = {word for report in train_reports for word in report.split()}
        self.last = "first"

    def prepare(self, text: str, side: str) -> str:
        return " ".join(word for word in text.lower().split() if side == "prediction" or word in self.words)


class Stale(RightProtocol):
    """Gives what it was asked before."""

    def prepare(self, text: str, side: str) -> str:
        text, self.last = self.last, text
        return text


class Lines(RightProtocol):
    """As a tool does that writes one text a line, and reads lines back."""

    def __init__(self, train_reports: Sequence[str]) -> None:
        super().__init__(train_reports)
        self.waiting: list[str] = []

    def prepare(self, text: str, side: str) -> str:
        self.waiting += text.splitlines() or [""]
        return self.waiting.pop(0)


COUNTER = itertools.count()


@pytest.mark.parametrize(
    ("base", "members", "check", "sentence"),
    [
        (RightProtocol, {"changes_references": "no"}, "a plan can read", "changes_references is 'no', not a bool"),
        (RightProtocol, {"changes_references": False}, "verbatim", "and says that it changes none"),
        (RightProtocol, {"prepare": lambda self, text, side: text.split()}, "every text", "gives list, not str"),
        (RightProtocol, {"prepare": lambda self, text, side: str(text.encode())}, "every text", "raised UnicodeEncodeError"),
        (RightProtocol, {"prepare": lambda self, text, side: text.split()[0]}, "every text", "raised IndexError"),
        (Stale, {}, "by itself", "of a prediction after"),
        (Lines, {}, "by itself", "of a prediction after"),
        (RightProtocol, {"prepare": lambda self, text, side: f"{text} {next(COUNTER)}"}, "by itself", "of a prediction after"),
        (RightProtocol, {"prepare": lambda self, text, side: "."}, "words are left", "leaves no word of the prediction"),
        (
            RightProtocol,
            {"prepare": lambda self, text, side: "no" * (side == "prediction")},
            "words are left",
            "of the reference",
        ),
        (
            RightProtocol,
            {"prepare": lambda self, text, side: text if side == "prediction" else " ".join(self.words - set(text.split()))},
            "most like itself",
            "more like another reference",
        ),
    ],
)
def test_a_wrong_protocol_is_caught(failing: Failing, base: type, members: dict[str, Any], check: str, sentence: str) -> None:
    assert sentence in failing("protocols", type("WrongProtocol", (base,), members), check)


def test_a_right_protocol_passes() -> None:
    assert failures("protocols", RightProtocol) == {}
