"""Each mistake in an annotator is caught by the check that is for it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from rrgbench import Entity, ReportGraph
from rrgbench.testing import failures

Failing = Callable[..., str]


class RightAnnotator:
    """The word "effusion" is an observation where it stands, located at the word before it."""

    def __init__(self) -> None:
        self.identity = "right 1"

    def __call__(self, reports: Sequence[str]) -> list[ReportGraph]:
        return [self.graph(report) for report in reports]

    def graph(self, report: str) -> ReportGraph:
        tokens = report.lower().split()
        found: list[Entity] = []
        for place, token in enumerate(tokens):
            if token == "effusion":
                if place:
                    found.append(Entity(tokens[place - 1], "ANAT-DP", place - 1, place - 1))
                related = (("located_at", len(found) - 1),) if place else ()
                found.append(Entity(token, "OBS-DP", place, place, related))
        return ReportGraph(" ".join(tokens), tuple(found))


RIGHT = RightAnnotator()


def with_entity(entity: Entity) -> dict[str, Any]:
    """An annotator that adds one entity to every report that has one."""

    def graph(self: Any, report: str) -> ReportGraph:
        made = RIGHT.graph(report)
        return ReportGraph(made.text, (*made.entities, entity) if made.entities else ())

    return {"graph": graph}


def lines(reports: Sequence[str]) -> list[ReportGraph]:
    """As a tool does that writes one report a line and reads them again."""
    return [RIGHT.graph(line) for line in "\n".join(reports).splitlines()]


@pytest.mark.parametrize(
    ("members", "check", "sentence"),
    [
        ({"__call__": lambda self, reports: lines(reports)}, "odd texts", "graphs for"),
        ({"__call__": lambda self, reports: RIGHT(reports[1:])}, "one graph", "graphs for"),
        ({"__call__": lambda self, reports: [RIGHT.graph(reports[0]) for _ in reports]}, "each other", "depends on the reports"),
        ({"__call__": lambda self, reports: [{"entities": {}} for _ in reports]}, "one graph", "gives dict, not ReportGraph"),
        ({"__call__": lambda self, reports: RIGHT([r.encode().decode() for r in reports])}, "odd texts", "UnicodeEncodeError"),
        (with_entity(Entity("the", "OBS-XX", 0, 0)), "schema", "has the label 'OBS-XX'"),
        (with_entity(Entity("lungs", "OBS-DP", 0, 0)), "schema", "stands where its text has"),
        (with_entity(Entity("the", "OBS-DP", 0, 900)), "schema", "stands at 0 to 900"),
        (with_entity(Entity("the", "OBS-DP", 1, 0)), "schema", "stands at 1 to 0"),
        (with_entity(Entity("the", "OBS-DP", 0, 0, (("near", 0),))), "schema", "has the relation 'near'"),
        (with_entity(Entity("the", "OBS-DP", 0, 0, (("modify", 7),))), "schema", "is related to entity 7"),
        (with_entity(Entity("the", "OBS-DP", 0, 0, (("modify", "0"),))), "schema", "is related to entity '0'"),
        (with_entity(Entity("the", "OBS-DP", 0, 0, (("modify", 2),))), "schema", "none to itself"),
        ({"graph": lambda self, report: ReportGraph("x", (Entity("x", "OBS-DP", 0, 0),))}, "empty", "finds 'x' in ''"),
    ],
)
def test_a_wrong_annotator_is_caught(failing: Failing, members: dict[str, Any], check: str, sentence: str) -> None:
    component = type("WrongAnnotator", (RightAnnotator,), members)
    assert sentence in failing("annotators", component, check)


def test_an_annotator_that_keeps_no_identity_or_counts_its_calls_is_caught(failing: Failing) -> None:
    count = itertools.count()

    class Counts(RightAnnotator):
        def __init__(self) -> None:
            self.identity = f"counts {next(count)}"

        def __call__(self, reports: Sequence[str]) -> list[ReportGraph]:
            return [ReportGraph(f"{graph.text} {next(count)}", graph.entities) for graph in RIGHT(reports)]

    class Two(RightAnnotator):
        def __init__(self) -> None:
            self.identity = "two\nlines"

    assert "identity is 'counts" in failing("annotators", Counts, "identity")
    assert "Counts is not deterministic" in failing("annotators", Counts, "deterministic")
    assert "gives two graphs for one text" in failing("annotators", Counts, "one graph")
    assert "identity is 'two\\nlines'" in failing("annotators", Two, "identity")


def test_a_right_annotator_passes() -> None:
    assert failures("annotators", RightAnnotator) == {}


def test_labels_of_radgraph_xl_are_of_the_schema() -> None:
    large = {"ANAT-DP": "Anatomy::definitely present", "OBS-DP": "Observation::uncertain"}

    class Large(RightAnnotator):
        def graph(self, report: str) -> ReportGraph:
            made = RIGHT.graph(report)
            return replace(made, entities=tuple(replace(entity, label=large[entity.label]) for entity in made.entities))

    assert failures("annotators", Large) == {}
