"""RadGraph rewards against the package's own functions; F1 of findings against plain counting."""

from __future__ import annotations

import importlib.util
import random
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy
import pytest
from rrgbench_annotators import Lexicon
from rrgbench_metrics import Findings, LabelFindings, RadGraph
from rrgbench_metrics.radgraph import rewards

from rrgbench import DataError, Entity, PluginError, ReportGraph, Texts
from rrgbench.findings import FINDINGS, findings_of, label_of, labels_of
from rrgbench.testing import MetricContract


class TestRadGraph(MetricContract):
    component = RadGraph
    options = {"annotator": Lexicon()}


class TestFindings(MetricContract):
    component = Findings
    options = {"annotator": Lexicon()}


class TestLabelFindings(MetricContract):
    component = LabelFindings
    options = {"annotator": Lexicon()}


@pytest.fixture(scope="module")
def package() -> ModuleType:
    """``radgraph/rewards.py`` by itself: importing the package imports torch and all that it brings."""
    found = importlib.util.find_spec("radgraph")
    if found is None or found.origin is None:
        pytest.skip("the package radgraph is not installed")
    spec = importlib.util.spec_from_file_location("radgraph_rewards", Path(found.origin).with_name("rewards.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def as_dict(graph: ReportGraph) -> dict[str, Any]:
    """A graph in the package's format."""
    entities = {
        str(number): {
            "tokens": entity.tokens,
            "label": entity.label,
            "start_ix": entity.start,
            "end_ix": entity.end,
            "relations": [[name, str(target + 1)] for name, target in entity.relations],
        }
        for number, entity in enumerate(graph.entities, start=1)
    }
    return {"text": graph.text, "entities": entities, "data_source": None, "data_split": "inference"}


def random_graph(draw: random.Random) -> ReportGraph:
    """Few words, so that much is shared; both cases; several relations of one entity; now and then nothing at all."""
    count = draw.choice([0, 1, 2, 3, 5, 8])
    entities = []
    for place in range(count):
        related = [(draw.choice(["modify", "located_at"]), draw.randrange(count)) for _ in range(draw.choice([0, 0, 1, 1, 3]))]
        entities.append(
            Entity(
                draw.choice(["Effusion", "effusion", "left", "heart"]),
                draw.choice(["OBS-DP", "OBS-DA"]),
                place,
                place,
                tuple(related),
            )
        )
    return ReportGraph("x " * count, tuple(entities))


def test_rewards_are_the_packages_on_random_graphs(package: ModuleType) -> None:
    draw = random.Random(3)
    pairs = [(random_graph(draw), random_graph(draw)) for _ in range(600)]
    scores = set()
    for prediction, reference in pairs:
        expected = tuple(package.compute_reward(as_dict(prediction), as_dict(reference), "all"))
        assert rewards(prediction, reference) == expected
        scores.add(expected)
    assert len(scores) > 50 and (0.0, 0.0, 0.0) in scores


WORDS = [
    "no",
    "small",
    "left",
    "pleural",
    "effusion",
    "and",
    "heart",
    "is",
    "enlarged",
    ".",
    "opacity",
    "may represent",
    "pneumonia",
    "or",
    ",",
]


def reports(number: int) -> tuple[str, ...]:
    draw = random.Random(number)
    return ("", *(" ".join(draw.choices(WORDS, k=draw.randrange(1, 25))).title() for _ in range(number - 1)))


def texts(predictions: Sequence[str], references: Sequence[str], labels: Any = None) -> Texts:
    return Texts(tuple(f"s{place}" for place in range(len(predictions))), tuple(predictions), tuple(references), labels)


def test_rewards_are_the_packages_on_graphs_of_the_lexicon(package: ModuleType) -> None:
    both = texts(reports(200), reports(201)[1:])
    metric, lexicon = RadGraph(annotator=Lexicon()), Lexicon()
    rows = metric.score(both)
    pairs = zip(lexicon([one.lower() for one in both.predictions]), lexicon([one.lower() for one in both.references]))
    expected = [package.compute_reward(as_dict(one), as_dict(other), "all") for one, other in pairs]
    assert rows[:, :3].tolist() == [list(row) for row in expected]
    values = metric.aggregate(rows)
    means = numpy.mean(numpy.asarray(expected), axis=0)
    assert [values[f"radgraph_{level}"] for level in ("simple", "partial", "complete")] == pytest.approx(means, abs=1e-12)
    assert 0.1 < values["radgraph_complete"] < values["radgraph_partial"] < values["radgraph_simple"] < 1


class Fixed:
    """Gives the graphs that it was told, and counts the texts that it was given."""

    identity = "fixed 1"

    def __init__(self, graphs: dict[str, ReportGraph]) -> None:
        self.graphs, self.given = graphs, list[str]()

    def __call__(self, given: Sequence[str]) -> list[ReportGraph]:
        self.given += given
        return [self.graphs[text] for text in given]


def graph(*entities: Entity) -> ReportGraph:
    return ReportGraph(" ".join(entity.tokens for entity in entities), entities)


def test_case_and_empty_reports_are_as_the_package_has_them() -> None:
    upper = graph(Entity("Heart", "ANAT-DP", 0, 0))
    lower = graph(Entity("heart", "ANAT-DP", 0, 0))
    assert rewards(upper, lower) == (0.0, 0.0, 0.0)
    related = [
        graph(Entity(heart, "ANAT-DP", 0, 0), Entity(large, "OBS-DP", 1, 1, (("located_at", 0),)))
        for heart, large in (("Heart", "Large"), ("heart", "large"))
    ]
    assert rewards(*related) == (0.0, 0.0, 0.5)  # only related entities are lower-cased, and only by complete
    assert rewards(graph(), graph()) == rewards(lower, graph()) == (0.0, 0.0, 0.0)


def test_entities_and_relations_are_counted_over_all_reports() -> None:
    heart, large = Entity("heart", "ANAT-DP", 0, 0), Entity("large", "OBS-DP", 1, 1, (("located_at", 0),))
    graphs = {
        "a": graph(heart, large),
        "b": graph(heart),
        "c": graph(Entity("lungs", "ANAT-DP", 0, 0), Entity("clear", "OBS-DP", 1, 1, (("located_at", 0),))),
    }
    fixed = Fixed(graphs)
    metric = RadGraph(annotator=fixed)
    values = metric.aggregate(metric.score(texts(["A", "b", "a"], ["a", "a", "C"])))
    # shared 2 + 1 + 0 of 2 + 1 + 2 predicted and 2 + 2 + 2 in the references; relations 1 + 0 + 0 of 1 + 0 + 1 and 3
    assert [values[f"entity_{name}"] for name in ("precision", "recall", "f1")] == [3 / 5, 3 / 6, 6 / 11]
    assert [values[f"relation_{name}"] for name in ("precision", "recall", "f1")] == [1 / 2, 1 / 3, 2 / 5]
    assert sorted(fixed.given) == ["a", "b", "c"]


def test_an_annotator_that_loses_a_report_is_told() -> None:
    with pytest.raises(PluginError, match="annotator Loses: graphs; got 1; expected one for each of 2 reports"):
        RadGraph(annotator=type("Loses", (Lexicon,), {"__call__": lambda self, given: [graph()]})()).score(texts(["a"], ["b"]))


def test_rewards_of_two_graphs_worked_out_by_hand() -> None:
    """3 of 4 entities alike; one of them has a relation on one side only; the relation that both have goes elsewhere."""
    prediction = graph(
        Entity("small", "OBS-DP", 0, 0, (("modify", 1),)),
        Entity("effusion", "OBS-DP", 1, 1),
        Entity("left", "ANAT-DP", 2, 2),
        Entity("edema", "OBS-DA", 3, 3),
    )
    reference = graph(
        Entity("small", "OBS-DP", 0, 0, (("modify", 3),)),
        Entity("effusion", "OBS-DP", 1, 1, (("located_at", 2),)),
        Entity("left", "ANAT-DP", 2, 2),
        Entity("edema", "OBS-U", 3, 3),
    )
    assert rewards(prediction, reference) == (0.75, 0.5, 0.25)


def test_findings_are_counted_and_rare_ones_leave_the_macro_mean() -> None:
    references = ["Small effusion."] * 5 + ["Pneumothorax."] * 4 + ["The heart is normal in size."] * 3
    predictions = ["Small effusion."] * 4 + ["Pneumothorax."] * 5 + ["The heart is enlarged."] * 3
    metric = Findings(annotator=Lexicon())
    rows = metric.score(texts(predictions, references))
    values = metric.aggregate(rows)
    # effusion: 4 right, 1 missed; pneumothorax: 4 right, 1 wrong; cardiomegaly: 3 wrong; normal: 3 missed
    assert values["findings_macro_f1"] == 8 / 9
    assert values["findings_precision"] == 8 / 12 and values["findings_recall"] == 8 / 12 == values["findings_micro_f1"]
    # A resample without enough effusions keeps it, and gains no other.
    assert metric.aggregate(rows[[0, 4, 5, 6, 7, 8]])["findings_macro_f1"] == 2 / 3
    assert metric.aggregate(rows[5:])["findings_macro_f1"] == 0.0


def test_a_perfect_set_scores_one_and_silence_scores_nothing() -> None:
    references = ["Small effusion and edema."] * 6
    metric = Findings(annotator=Lexicon())
    assert set(metric.aggregate(metric.score(texts(references, references))).values()) == {1.0}
    assert set(metric.aggregate(metric.score(texts([""] * 6, references))).values()) == {0.0}


def test_labels_that_are_no_findings_or_unknown_do_not_count() -> None:
    labels = ({"effusion": 1, "zebra": 1}, {"effusion": 0}, None, {"nodule": 1})
    metric = LabelFindings(annotator=Lexicon())
    rows = metric.score(texts(["Effusion. Edema."] * 4, [""] * 4, labels))
    values = metric.aggregate(rows)
    assert (values["label_precision"], values["label_recall"]) == (1 / 2, 1 / 2)
    columns = rows.reshape(4, len(FINDINGS), 4)
    assert columns[:, FINDINGS.index("edema")].sum() == 0 and columns[2].sum() == 0


@pytest.mark.parametrize("labels", [None, (None, None), ({"zebra": 1}, {})])
def test_a_data_set_without_labels_is_told(labels: Any) -> None:
    with pytest.raises(DataError, match="metric label_findings: labels of the references"):
        LabelFindings(annotator=Lexicon()).score(texts(["a", "b"], ["a", "b"], labels))


def test_labels_of_both_makes_of_radgraph_are_read() -> None:
    first, large = (
        graph(
            Entity("enlarged", present, 0, 0, (("located_at", 2),)),
            Entity("effusion", doubtful, 1, 1),
            Entity("heart", anatomy, 2, 2),
        )
        for present, doubtful, anatomy in (
            ("OBS-DP", "OBS-U", "ANAT-DP"),
            ("Observation::definitely present", "Observation::uncertain", "Anatomy::definitely present"),
        )
    )
    assert findings_of(first) == findings_of(large) == {"cardiomegaly": "present", "effusion": "uncertain", "normal": "absent"}
    assert labels_of(first)["effusion"] == 1 and labels_of(first, uncertain=0)["effusion"] == 0
    assert tuple(labels_of(first)) == FINDINGS


def test_uncertain_is_present_unless_asked_otherwise() -> None:
    assert [label_of(state) for state in ("present", "uncertain", "absent", None)] == [1, 1, 0, 0]
    assert label_of("uncertain", uncertain=0) == 0


def test_of_two_mentions_the_stronger_counts() -> None:
    (twice,) = Lexicon()(["No effusion. Possible effusion. No effusion."])
    assert findings_of(twice)["effusion"] == "uncertain"


def test_a_signature_names_its_annotator() -> None:
    for metric in (RadGraph, Findings, LabelFindings):
        assert Lexicon().identity in metric(annotator=Lexicon()).signature()
