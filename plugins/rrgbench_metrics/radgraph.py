"""RadGraph rewards (Jain et al., 2021; Delbrouck et al., 2022): entities and relations that two reports share."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any, ClassVar, Literal

import numpy

from rrgbench import Annotator, ReportGraph, Texts
from rrgbench_metrics.annotated import annotated
from rrgbench_metrics.fractions import precision_recall_f1

Statistics = numpy.ndarray[Any, numpy.dtype[numpy.float64]]
Facts = AbstractSet[tuple[Any, ...]]


def _f1(prediction: Facts, reference: Facts) -> float:
    """With the float operations of the package, in their order."""
    shared = len(prediction & reference)
    precision = shared / len(prediction) if prediction else 0.0
    recall = shared / len(reference) if reference else 0.0
    return (2 * precision * recall / (precision + recall)) if precision + recall > 0 else 0.0


def _simple(graph: ReportGraph) -> Facts:
    return {(entity.tokens, entity.label) for entity in graph.entities}


def _partial(graph: ReportGraph) -> Facts:
    plain = ((entity.tokens, entity.label) for entity in graph.entities if not entity.relations)
    related = ((entity.tokens, entity.label, True) for entity in graph.entities if entity.relations)
    return {*plain, *related}


def _complete(graph: ReportGraph) -> Facts:
    facts: set[tuple[Any, ...]] = {(entity.tokens, entity.label) for entity in graph.entities if not entity.relations}
    for entity in graph.entities:
        for relation, target in entity.relations:
            facts.add((entity.tokens.lower(), entity.label, relation, graph.entities[target].tokens.lower()))
    return facts


def _relations(graph: ReportGraph) -> Facts:
    entities = graph.entities
    return {
        (entity.tokens, entity.label, relation, entities[target].tokens, entities[target].label)
        for entity in entities
        for relation, target in entity.relations
    }


def rewards(prediction: ReportGraph, reference: ReportGraph) -> tuple[float, float, float]:
    """Simple, partial and complete reward, as radgraph 0.1.18 ``rewards.py`` computes them; 0 where a side has no entity."""
    if not prediction.entities or not reference.entities:
        return 0.0, 0.0, 0.0
    simple, partial, complete = (_f1(facts(prediction), facts(reference)) for facts in (_simple, _partial, _complete))
    return simple, partial, complete


class RadGraph:
    """Mean RadGraph rewards, and precision, recall and F1 of entities and of relations, over an annotator's graphs.

    ``radgraph_simple`` compares entities with their labels; ``radgraph_partial`` (the one that is widely reported) also
    whether they have a relation; ``radgraph_complete`` also which, and to what. Each is the mean over reports of an F1 of
    sets. Entity and relation values are micro: counts of distinct facts are summed over reports first, 0 where there is
    none. A relation is right if both its ends, their labels and its name are. Texts are lower-cased before annotation.

    Args:
        annotator: who reads the reports; a score stands only beside those of the same annotator.
    """

    values: ClassVar[Mapping[str, Literal["higher", "lower", "neither"]]] = {
        "radgraph_partial": "higher",
        "radgraph_simple": "higher",
        "radgraph_complete": "higher",
        "entity_precision": "higher",
        "entity_recall": "higher",
        "entity_f1": "higher",
        "relation_precision": "higher",
        "relation_recall": "higher",
        "relation_f1": "higher",
    }
    needs: ClassVar[frozenset[str]] = frozenset({"texts", "annotations"})
    resampled: ClassVar[bool] = True

    def __init__(self, *, annotator: Annotator = "lexicon") -> None:
        self._annotator = annotator

    def score(self, texts: Texts) -> Statistics:
        """(n reports, 9) float64: three rewards; entities shared, predicted, in the reference; relations alike."""
        predictions, references = annotated(self._annotator, texts)
        rows = []
        for prediction, reference in zip(predictions, references):
            row = list(rewards(prediction, reference))
            for facts in (_simple, _relations):
                found, wanted = facts(prediction), facts(reference)
                row += [len(found & wanted), len(found), len(wanted)]
            rows.append(row)
        return numpy.asarray(rows, dtype=numpy.float64).reshape(len(rows), 9)

    def aggregate(self, statistics: Statistics) -> dict[str, float]:
        """Means of the rewards; fractions of summed counts."""
        simple, partial, complete = (float(numpy.mean(numpy.ascontiguousarray(statistics[:, column]))) for column in range(3))
        sums = [float(total) for total in statistics[:, 3:].sum(axis=0)]
        named = {"radgraph_simple": simple, "radgraph_partial": partial, "radgraph_complete": complete}
        for name, (shared, found, wanted) in (("entity", sums[:3]), ("relation", sums[3:])):
            fractions = precision_recall_f1(shared, found - shared, wanted - shared)
            named |= {f"{name}_{which}": value for which, value in zip(("precision", "recall", "f1"), fractions)}
        return {name: named[name] for name in self.values}

    def signature(self) -> str:
        """Implementation and settings."""
        settings = "rewards of radgraph 0.1.18, mean|entities and relations: sets a report, micro|texts lower-cased"
        return f"radgraph|rrgbench 1|{settings}|annotator {self._annotator.identity}"
