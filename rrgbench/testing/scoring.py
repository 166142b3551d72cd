"""What every tokenizer and every metric must be."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, get_args

import numpy as np

from rrgbench.interfaces import Tokenizer
from rrgbench.testing.building import assert_fields, built, component_name, saying
from rrgbench.testing.toys import REPORTS, ToyTokenizer, normal_words, toy_values
from rrgbench.types import Better, Texts

NEEDS = frozenset({"texts", "annotations", "labels", "embeddings", "train_reports"})

HARD_TEXTS = ("", "   ", "\r\n\u2028\x0b", "Größe: 2,5 cm (rechts)", "\udcff", "a" * 500)
"""Texts that occur in files and break things."""


def assert_tokenizer(tokenizer: Tokenizer, name: str) -> None:
    """Everything that ``TokenizerContract`` asks of a tokenizer that is already made."""
    fields = ("vocab_size", "bos_token_id", "eos_token_id", "pad_token_id", "max_length")
    assert_fields(tokenizer, dict.fromkeys(fields, int))
    special = {tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id}
    assert all(0 <= each < tokenizer.vocab_size for each in special), f"a special id of {name} lies outside of its vocabulary"
    long = " ".join(REPORTS) * (1 + tokenizer.max_length // 10)
    for text in (*REPORTS, *HARD_TEXTS, long):
        with saying(f"{name}.encode of {text[:40]!r}"):
            ids = tokenizer.encode(text)
        whole = isinstance(ids, list) and all(type(each) is int for each in ids)
        assert whole, f"{name}.encode gives no list of int for {text[:40]!r}"
        bounded = len(ids) >= 2 and ids[0] == tokenizer.bos_token_id and ids[-1] == tokenizer.eos_token_id
        assert bounded, f"{name}.encode gives no [bos, .., eos] for {text[:40]!r}"
        assert len(ids) <= tokenizer.max_length, f"{name}.encode gives {len(ids)} ids: more than its max_length"
        assert all(0 <= each < tokenizer.vocab_size for each in ids), f"{name}.encode gives ids outside of its vocabulary"
        assert ids == tokenizer.encode(text), f"{name}.encode is not deterministic for {text[:40]!r}"
        with saying(f"{name}.decode of the ids of {text[:40]!r}"):
            decoded = tokenizer.decode(ids)
        assert isinstance(decoded, str), f"{name}.decode gives {type(decoded).__name__}, not str"
        with saying(f"{name}.decode of the ids of {text[:40]!r} without special ids"):
            inner = tokenizer.decode(ids[1:-1])
        assert decoded.strip() == inner.strip(), f"{name}.decode does not leave bos and eos out"
    assert tokenizer.decode([]).strip() == "", f"{name}.decode makes words of nothing"


class TokenizerContract:
    """Subclass it and set ``component``."""

    component: ClassVar[Any]
    options: ClassVar[Mapping[str, Any]] = {}

    def _made(self) -> Any:
        values = {"train_reports": REPORTS * 12, "own_tokenizer": ToyTokenizer()}
        return built(type(self).component, values, self.options)

    @property
    def _name(self) -> str:
        return component_name(type(self).component)

    def test_ids_are_framed_bounded_and_decodable(self) -> None:
        """``[bos, .., eos]`` of at most ``max_length`` ids, for hard texts too; ``decode`` leaves special ids out."""
        assert_tokenizer(self._made(), self._name)

    def test_reports_of_the_train_split_come_back(self) -> None:
        """The words of a train report survive encoding and decoding."""
        tokenizer = self._made()
        for report in REPORTS:
            words, room = normal_words(report), tokenizer.max_length - 2
            if len(report.split()) <= room:
                found = normal_words(tokenizer.decode(tokenizer.encode(report)))
                assert found == words, f"{self._name} makes {found} of {words}"

    def test_it_is_made_the_same_twice(self) -> None:
        """The vocabulary depends on the train reports alone."""
        first, second = self._made(), self._made()
        for report in REPORTS:
            assert first.encode(report) == second.encode(report), f"{self._name} is not made the same twice"


class MetricContract:
    """Subclass it and set ``component``."""

    component: ClassVar[Any]
    options: ClassVar[Mapping[str, Any]] = {}

    def _made(self) -> Any:
        return built(type(self).component, toy_values(train_reports=REPORTS), self.options)

    def _texts(self, predictions: tuple[str, ...]) -> Texts:
        """Everything that a metric may read: each study has labels, and embeddings of length 1 of its films and its report."""
        count = len(REPORTS)
        films, reports = np.random.default_rng(5).standard_normal((2, count, 4)).astype(np.float32)
        return Texts(
            study_ids=tuple(f"s{number}" for number in range(count)),
            predictions=predictions,
            references=REPORTS,
            labels=tuple({"effusion": number % 2, "nodule": int(number > 3)} for number in range(count)),
            image_embeddings=films / np.linalg.norm(films, axis=1, keepdims=True),
            report_embeddings=reports / np.linalg.norm(reports, axis=1, keepdims=True),
        )

    def _scored(self, metric: Any, texts: Texts) -> Any:
        with saying(f"{self._name}.score"):
            statistics = metric.score(texts)
        right = isinstance(statistics, np.ndarray) and statistics.dtype == np.float64 and statistics.ndim == 2
        assert right, f"{self._name}.score gives no float64 array of two dimensions"
        assert len(statistics) == len(texts.predictions), f"{self._name}.score gives {len(statistics)} rows, not one a report"
        assert bool(np.isfinite(statistics).all()), f"{self._name}.score gives NaN or infinity"
        return statistics

    def _closed(self, metric: Any, statistics: Any) -> dict[str, float]:
        with saying(f"{self._name}.aggregate"):
            values = dict(metric.aggregate(statistics))
        expected = list(type(self).component.values)
        assert sorted(values) == sorted(expected), f"{self._name}.aggregate gives {sorted(values)}; `values` names {expected}"
        assert all(np.isfinite(value) for value in values.values()), f"{self._name}.aggregate gives NaN or infinity"
        return {name: float(value) for name, value in values.items()}

    @property
    def _name(self) -> str:
        return component_name(type(self).component)

    def test_a_plan_can_read_what_it_gives(self) -> None:
        """``values``, ``needs`` and ``resampled`` are readable on the factory."""
        component = type(self).component
        values = getattr(component, "values", None)
        named = isinstance(values, Mapping) and len(values) > 0 and all(each in get_args(Better) for each in values.values())
        assert named, f"{self._name}.values is {values!r}, not a mapping of names to {get_args(Better)}"
        needs = getattr(component, "needs", None)
        assert isinstance(needs, frozenset) and needs <= NEEDS, f"{self._name}.needs is {needs!r}, not of {sorted(NEEDS)}"
        assert isinstance(getattr(component, "resampled", None), bool), f"{self._name}.resampled is not a bool"

    def test_every_report_has_a_row_of_statistics(self) -> None:
        """Finite float64, for empty and odd predictions too, and the closing formula gives what ``values`` names."""
        metric = self._made()
        odd = ("", " ", "the heart .", "the the the", "a\u2028b\rc", "the lungs are clear .")
        for predictions in (REPORTS, odd, ("",) * len(REPORTS)):
            self._closed(metric, self._scored(metric, self._texts(predictions)))

    def test_any_resample_can_be_closed(self) -> None:
        """Rows left out and rows repeated: the formula needs no more than the rows."""
        metric = self._made()
        statistics = self._scored(metric, self._texts(REPORTS[1:] + REPORTS[:1]))
        kept = statistics.copy()
        self._closed(metric, statistics)
        for index in ([0, 0, 3, 5], [2], [4, 1, 1, 1, 1, 0, 2]):
            self._closed(metric, statistics[index])
        assert np.array_equal(kept, statistics), f"{self._name}.aggregate writes into the statistics"

    def test_it_is_deterministic(self) -> None:
        """The same texts, the same numbers, by another object too."""
        texts = self._texts(REPORTS[1:] + REPORTS[:1])
        first, second = (self._scored(self._made(), texts) for _ in range(2))
        assert np.array_equal(first, second), f"{self._name} is not deterministic"

    def test_the_order_of_reports_does_not_matter(self) -> None:
        """The same values in any order; where resampling has a meaning, the same row for a report."""
        metric, order = self._made(), [3, 0, 5, 1, 4, 2]
        texts = self._texts(REPORTS[1:] + REPORTS[:1])
        parts: dict[str, Any] = {field.name: getattr(texts, field.name) for field in dataclasses.fields(texts)}
        for name, part in parts.items():
            parts[name] = part[order] if isinstance(part, np.ndarray) else tuple(part[place] for place in order)
        mixed = Texts(**parts)
        first, second = self._scored(metric, texts), self._scored(metric, mixed)
        before, after = self._closed(metric, first), self._closed(metric, second)
        for name, value in before.items():
            near = abs(value - after[name]) <= 1e-12 + 1e-9 * abs(value)
            assert near, f"{self._name}: {name} depends on the order of reports ({value} and {after[name]})"
        if type(self).component.resampled:
            same = np.allclose(first[order], second, rtol=1e-9, atol=1e-12)
            assert same, f"{self._name}: a report's row depends on the order of reports"

    def test_a_prediction_changes_its_own_row_alone(self) -> None:
        """Line breaks in one prediction, as some tools read files by lines, shift no other row."""
        if not type(self).component.resampled:
            return
        metric = self._made()
        before = self._scored(metric, self._texts(REPORTS))
        broken = ("the heart\r\nis\u2028normal\x0b.", *REPORTS[1:])
        after = self._scored(metric, self._texts(broken))
        same = np.allclose(before[1:], after[1:], rtol=1e-9, atol=1e-12)
        assert same, f"{self._name}: line breaks in one prediction change the rows of others"

    def test_the_headline_prefers_the_right_reports(self) -> None:
        """References as predictions score no worse than those of other studies."""
        metric = self._made()
        (headline, better) = next(iter(type(self).component.values.items()))
        perfect = self._closed(metric, self._scored(metric, self._texts(REPORTS)))[headline]
        wrong = self._closed(metric, self._scored(metric, self._texts(REPORTS[1:] + REPORTS[:1])))[headline]
        right = {"higher": perfect >= wrong, "lower": perfect <= wrong, "neither": True}[better]
        assert right, f"{self._name}: {headline} is {perfect} for the right reports and {wrong} for those of other studies"

    def test_the_signature_is_one_line(self) -> None:
        """Implementation and settings, the same every time."""
        first, second = (self._made().signature() for _ in range(2))
        right = isinstance(first, str) and first.strip() and first.isprintable()
        assert right, f"the signature of {self._name} is {first!r}, not one line of text"
        assert first == second, f"the signature of {self._name} is not the same twice"
