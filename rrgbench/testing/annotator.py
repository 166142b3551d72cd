"""What every annotator must be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from rrgbench.testing.building import built, component_name, saying
from rrgbench.testing.scoring import HARD_TEXTS
from rrgbench.testing.toys import REPORTS
from rrgbench.types import Entity, ReportGraph

PRESENCE = ("definitely present", "definitely absent", "uncertain")
LABELS = frozenset(
    {
        "ANAT-DP",
        "OBS-DP",
        "OBS-DA",
        "OBS-U",
        *(f"{kind}::{said}" for kind in ("Anatomy", "Observation") for said in PRESENCE),
        *(f"{kind}::measurement::{said}" for kind in ("Anatomy", "Observation") for said in PRESENCE),
    }
)
"""The labels of RadGraph and of RadGraph-XL."""

RELATIONS = frozenset({"modify", "located_at", "suggestive_of"})

LONG = " ".join(REPORTS) + " no " * 200 + "and the heart , " * 200


class AnnotatorContract:
    """Subclass it and set ``component``."""

    component: ClassVar[Any]
    options: ClassVar[Mapping[str, Any]] = {}

    @property
    def _name(self) -> str:
        return component_name(type(self).component)

    def _made(self) -> Any:
        return built(type(self).component, {}, self.options)

    def _graphs(self, annotator: Any, reports: Sequence[str]) -> list[ReportGraph]:
        with saying(f"{self._name} on {len(reports)} reports, the first {reports[0][:40]!r}" if reports else self._name):
            graphs = list(annotator(reports))
        assert len(graphs) == len(reports), f"{self._name} gives {len(graphs)} graphs for {len(reports)} reports"
        wrong = [type(graph).__name__ for graph in graphs if not isinstance(graph, ReportGraph)]
        assert not wrong, f"{self._name} gives {wrong[0]}, not ReportGraph"
        return graphs

    def _entity(self, graph: ReportGraph, entity: Entity, number: int) -> None:
        tokens, where = graph.text.split(), f"{self._name}: entity {entity.tokens!r}"
        assert entity.label in LABELS, f"{where} has the label {entity.label!r}; the schema has {sorted(LABELS)}"
        inside = 0 <= entity.start <= entity.end < len(tokens)
        assert inside, f"{where} stands at {entity.start} to {entity.end}; its text has {len(tokens)} tokens"
        there = " ".join(tokens[entity.start : entity.end + 1])
        assert entity.tokens == there, f"{where} stands where its text has {there!r}"
        for name, target in entity.relations:
            assert name in RELATIONS, f"{where} has the relation {name!r}; the schema has {sorted(RELATIONS)}"
            right = type(target) is int and 0 <= target < len(graph.entities) and target != number
            assert right, f"{where} is related to entity {target!r}; there are {len(graph.entities)}, and none to itself"

    def test_its_identity_is_one_line(self) -> None:
        """Name, version and digest, the same every time: scores of different annotators are never mixed."""
        first, second = (self._made().identity for _ in range(2))
        assert isinstance(first, str) and first.strip() and first.isprintable(), f"{self._name}.identity is {first!r}"
        assert first == second, f"{self._name}.identity is {first!r} and then {second!r}"

    def test_every_report_has_one_graph(self) -> None:
        """In order, for the same text twice too, and none for no report."""
        annotator = self._made()
        assert self._graphs(annotator, []) == []
        graphs = self._graphs(annotator, [*REPORTS, REPORTS[0]])
        assert graphs[0] == graphs[-1], f"{self._name} gives two graphs for one text"

    def test_graphs_are_of_the_schema(self) -> None:
        """Labels and relations of RadGraph, positions among the tokens of the text, relations to entities of the graph."""
        for graph in self._graphs(self._made(), [*REPORTS, *(report.upper() for report in REPORTS)]):
            for number, entity in enumerate(graph.entities):
                self._entity(graph, entity, number)

    def test_odd_texts_are_reports_too(self) -> None:
        """Other languages, lone surrogates, line breaks of every kind, and long texts without a full stop."""
        for graph in self._graphs(self._made(), [*HARD_TEXTS, LONG, "<b>; DROP TABLE", "\x00\x1c", "心 肺", "- - - ( ( ."]):
            for number, entity in enumerate(graph.entities):
                self._entity(graph, entity, number)

    def test_an_empty_report_has_no_entities(self) -> None:
        """Neither has one of spaces; an empty graph stands in its place."""
        for text in ("", "   ", "\n\t"):
            (graph,) = self._graphs(self._made(), [text])
            assert graph.entities == (), f"{self._name} finds {graph.entities[0].tokens!r} in {text!r}"

    def test_it_is_deterministic(self) -> None:
        """The same graphs twice, and by another object."""
        annotator = self._made()
        first = self._graphs(annotator, REPORTS)
        for other in (annotator, self._made()):
            assert self._graphs(other, REPORTS) == first, f"{self._name} is not deterministic"

    def test_reports_do_not_see_each_other(self) -> None:
        """A report has the same graph alone, in another order, and beside others."""
        annotator = self._made()
        together = self._graphs(annotator, REPORTS)
        alone = [self._graphs(annotator, [report])[0] for report in REPORTS]
        turned = self._graphs(annotator, REPORTS[::-1])[::-1]
        assert together == alone == turned, f"{self._name}: a report's graph depends on the reports beside it"

    def test_the_memo_gives_what_it_gives(self) -> None:
        """A graph is of plain texts and whole numbers, and a text's normal form has the text's graph and is its own."""
        annotator = self._made()
        memo = getattr(annotator, "memo", True)
        assert isinstance(memo, bool), f"{self._name}.memo is {memo!r}, not True or False"
        texts = [*REPORTS, *(report.upper() for report in REPORTS), *HARD_TEXTS]
        graphs = self._graphs(annotator, texts)
        for graph in graphs:
            held = [(entity.tokens, entity.label, *(name for name, _ in entity.relations)) for entity in graph.entities]
            plain = all(type(word) is str for word in (graph.text, *(word for words in held for word in words)))
            whole = all(type(number) is int for entity in graph.entities for number in (entity.start, entity.end))
            assert plain and whole, f"{self._name} gives a graph that is not of str and int: it cannot be kept"
        if (normal_form := getattr(annotator, "normal_form", None)) is not None:
            with saying(f"{self._name}.normal_form"):
                forms = [normal_form(text) for text in texts]
                again = [normal_form(form) for form in forms]
            assert again == forms, f"{self._name}.normal_form of a normal form is another"
            assert self._graphs(annotator, forms) == graphs, f"{self._name} gives a text and its normal form two graphs"
