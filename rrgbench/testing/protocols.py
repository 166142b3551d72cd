"""What every scoring protocol must be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from rrgbench.testing.building import built, component_name, saying
from rrgbench.testing.scoring import HARD_TEXTS
from rrgbench.testing.toys import REPORTS, normal_words, toy_values
from rrgbench.types import Side

_SIDES: tuple[Side, ...] = ("prediction", "reference")


class LowerCase:
    """A protocol in a line, to try floors with; satisfies ``rrgbench.ScoringProtocol``."""

    changes_references: ClassVar[bool] = True

    def prepare(self, text: str, side: Side) -> str:
        """The text in lower case."""
        return text.lower()


class ProtocolContract:
    """Subclass it and set ``component``."""

    component: ClassVar[Any]
    options: ClassVar[Mapping[str, Any]] = {}

    def _made(self) -> Any:
        return built(type(self).component, toy_values(train_reports=REPORTS * 12), self.options)

    @property
    def _name(self) -> str:
        return component_name(type(self).component)

    def _prepared(self, protocol: Any, texts: Iterable[str], side: Side) -> list[str]:
        found = []
        for text in texts:
            with saying(f"{self._name}.prepare of the {side} {text[:40]!r}"):
                found.append(protocol.prepare(text, side))
            assert isinstance(found[-1], str), f"{self._name}.prepare gives {type(found[-1]).__name__}, not str"
        return found

    def test_a_plan_can_read_whether_it_changes_references(self) -> None:
        """``changes_references`` is readable on the factory."""
        told = getattr(type(self).component, "changes_references", None)
        assert isinstance(told, bool), f"{self._name}.changes_references is {told!r}, not a bool"

    def test_references_are_verbatim_unless_it_says_otherwise(self) -> None:
        """Where ``changes_references`` is False they are."""
        if type(self).component.changes_references:
            return
        texts = (*REPORTS, *HARD_TEXTS, *(report.upper() for report in REPORTS))
        for text, prepared in zip(texts, self._prepared(self._made(), texts, "reference")):
            assert prepared == text, f"{self._name} makes {prepared!r} of the reference {text!r} and says that it changes none"

    def test_every_text_can_be_prepared(self) -> None:
        """Empty ones, line separators, lone surrogates and a very long word too."""
        protocol = self._made()
        for side in _SIDES:
            self._prepared(protocol, HARD_TEXTS, side)

    def test_a_text_is_prepared_by_itself(self) -> None:
        """The same whatever was prepared before, by another object too: nothing shifts after a line separator."""
        first, second = self._made(), self._made()
        for side in _SIDES:
            alone = self._prepared(first, REPORTS, side)
            for number, report in enumerate(REPORTS):
                before = HARD_TEXTS[number % len(HARD_TEXTS)]
                found = self._prepared(second, (before, report), side)[1]
                assert found == alone[number], f"{self._name} makes {found!r} of a {side} after {before!r}, not {alone[number]!r}"

    def test_words_are_left(self) -> None:
        """No side of a plain report is empty, or every score is."""
        protocol = self._made()
        for side in _SIDES:
            for report, prepared in zip(REPORTS, self._prepared(protocol, REPORTS, side)):
                assert normal_words(prepared), f"{self._name} leaves no word of the {side} {report!r}"

    def test_a_report_is_most_like_itself(self) -> None:
        """The right report as a prediction shares no fewer words with its reference than with any other."""
        protocol = self._made()
        predictions, references = (self._prepared(protocol, REPORTS, side) for side in _SIDES)
        for number, prediction in enumerate(predictions):
            likeness = [_likeness(prediction.split(), reference.split()) for reference in references]
            own = likeness[number] == max(likeness)
            assert own, f"{self._name} makes the prediction {REPORTS[number]!r} more like another reference than like its own"


def _likeness(first: list[str], second: list[str]) -> float:
    """Shared words, by how often they stand there, of all words."""
    shared = sum(min(first.count(word), second.count(word)) for word in set(first))
    return 2 * shared / max(1, len(first) + len(second))
