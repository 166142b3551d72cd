"""Scores: exactly the wanted studies, both sides through the protocol, signed, and a broken metric named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rrgbench.errors import DataError, PluginError
from rrgbench.scoring import Score, score
from rrgbench.types import Targets, Texts


class Raw:
    changes_references = False

    def prepare(self, text: Any, side: str) -> Any:
        return text


class Marked:
    changes_references = True

    def prepare(self, text: str, side: str) -> str:
        return f"{side}:{text}"


class Words:
    """Words of predictions and of references."""

    values = {"ratio": "higher", "length": "neither"}
    needs = frozenset({"texts"})
    resampled = True

    def __init__(self, rows: Any = None, closed: Any = None) -> None:
        self.rows, self.closed = rows, closed
        self.seen: Texts | None = None

    def score(self, texts: Texts) -> Any:
        self.seen = texts
        if self.rows is not None:
            return self.rows
        return [[len(p.split()), len(r.split())] for p, r in zip(texts.predictions, texts.references, strict=True)]

    def aggregate(self, statistics: Any) -> dict[str, Any]:
        if self.closed is not None:
            return self.closed
        return {"length": statistics[:, 0].mean(), "ratio": np.float32(statistics[:, 0].sum() / statistics[:, 1].sum())}

    def signature(self) -> str:
        return "words 1"


def _score(metric: Any = None, protocol: Any = None, predictions: dict[str, str] | None = None, reports: str = "xy z") -> Score:
    targets = [Targets("b", reports), Targets("a", "one two", {"effusion": 1})]
    given = predictions or {"a": "one", "b": "two words"}
    return score(metric or Words(), protocol or Raw(), given, targets, protocol_name="raw()@1", metric_version="7")


def test_texts_are_in_the_order_of_the_references_and_values_in_that_of_the_metric() -> None:
    metric = Words()
    found = _score(metric)
    assert metric.seen == Texts(("b", "a"), ("two words", "one"), ("xy z", "one two"))
    assert found.statistics.tolist() == [[2.0, 2.0], [1.0, 2.0]]
    assert found.statistics.dtype == np.float64
    assert list(found.values) == ["ratio", "length"]
    assert dict(found.values) == {"ratio": 0.75, "length": 1.5}
    assert all(type(value) is float for value in found.values.values())


def test_both_sides_go_through_the_protocol_and_references_are_scored_verbatim_otherwise() -> None:
    metric = Words()
    found = _score(metric, Marked())
    assert metric.seen is not None
    assert metric.seen.predictions == ("prediction:two words", "prediction:one")
    assert metric.seen.references == ("reference:xy z", "reference:one two")
    assert found.signature["references_changed"] is True


def test_the_signature_names_all_that_a_value_rests_on() -> None:
    told = _score().signature
    assert set(told) == {"metric", "metric_version", "protocol", "references_changed", "references", "studies", "n"}
    assert (told["metric"], told["metric_version"], told["protocol"], told["n"]) == ("words 1", "7", "raw()@1", 2)
    assert _score(predictions={"a": "", "b": ""}).signature == told, "predictions are what is compared"
    corrected = _score(reports="xy zz").signature
    assert {key for key in told if told[key] != corrected[key]} == {"references"}


def test_labels_that_a_metric_is_held_against_are_part_of_its_signature() -> None:
    class Held(Words):
        needs = frozenset({"texts", "labels"})

    def told(label: int) -> dict[str, Any]:
        targets = [Targets("a", "x", {"effusion": label})]
        return dict(score(Held(), Raw(), {"a": "x"}, targets, protocol_name="raw", metric_version="7").signature)

    assert {key for key in told(0) if told(0)[key] != told(1)[key]} == {"labels"}


@pytest.mark.parametrize(
    ("predictions", "told"),
    [
        ({"a": "x"}, "1 missing (b), 0 unknown ()"),
        ({"a": "x", "b": "y", "c": "z"}, "0 missing (), 1 unknown (c)"),
        ({"c": "x", "d": "y", "e": "z", "f": "w"}, "2 missing (b, a), 4 unknown (c, d, e)"),
    ],
)
def test_predictions_of_other_studies_are_refused_with_their_names(predictions: dict[str, str], told: str) -> None:
    with pytest.raises(DataError) as caught:
        _score(predictions=predictions)
    assert told in str(caught.value)
    assert "expected 2 studies" in str(caught.value)


@pytest.mark.parametrize(
    ("metric", "told"),
    [
        (Words(rows=[[1.0]]), "score; got array (1, 1); expected finite, (2, statistics)"),
        (Words(rows=[1.0, 2.0]), "score; got array (2,); expected finite, (2, statistics)"),
        (Words(rows=[[1.0], [np.nan]]), "score; got numbers that are not finite (2, 1)"),
        (Words(rows=[[1.0], [np.inf]]), "score; got numbers that are not finite (2, 1)"),
        (Words(rows=[["one"], ["two"]]), "score; got list; expected an array of numbers"),
        (Words(rows=[[1.0], [1.0, 2.0]]), "score; got list; expected an array of numbers"),
        (Words(closed={}), "aggregate; got {}; expected finite values of ratio, length"),
        (Words(closed={"ratio": 1.0}), "aggregate; got {'ratio': 1.0}"),
        (Words(closed={"ratio": 1.0, "length": float("nan")}), "aggregate; got {'ratio': 1.0, 'length': nan}"),
        (Words(closed={"ratio": 1.0, "length": None}), "aggregate; got {'ratio': 1.0, 'length': None}"),
        (Words(closed={"ratio": 1.0, "length": "two"}), "aggregate; got {'ratio': 1.0, 'length': 'two'}"),
        (Words(closed={"ratio": 1.0, "length": 2.0, "more": 3.0}), "aggregate; got {'ratio': 1.0, 'length': 2.0, 'more': 3.0}"),
    ],
)
def test_a_metric_that_breaks_its_contract_is_named(metric: Words, told: str) -> None:
    with pytest.raises(PluginError) as caught:
        _score(metric)
    assert str(caught.value).startswith(f"metric Words: {told}")


def test_a_protocol_that_gives_no_text_is_named() -> None:
    class Nothing(Marked):
        pass

    nothing = type("Nothing", (), {"changes_references": False, "prepare": lambda self, text, side: None})()
    with pytest.raises(PluginError, match="protocol Nothing: prepare; got None; expected a text"):
        _score(protocol=nothing)


def test_what_a_metric_raises_itself_is_its_own() -> None:
    class Broken(Words):
        pass

    broken = type("Broken", (Words,), {"score": lambda self, texts: 1 / 0})()
    with pytest.raises(ZeroDivisionError):
        _score(broken)
