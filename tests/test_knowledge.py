"""The knowledge graph: what is counted, merged, joined and pruned; its file; its picture."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from rrgbench import DataError, Entity, ReportGraph
from rrgbench.knowledge.building import Pruning, build_graph
from rrgbench.knowledge.drawing import draw
from rrgbench.knowledge.graph import Graph, Mentions, read_graph

EVERYTHING = Pruning(min_count=1, min_edge_count=1, max_nodes=100, co_occurrence=None)


def report(*entities: tuple[str, str, tuple[tuple[str, int], ...]] | tuple[str, str]) -> ReportGraph:
    """A graph of (tokens, label, relations)."""
    made = [Entity(one[0], one[1], place, place, one[2] if len(one) == 3 else ()) for place, one in enumerate(entities)]
    return ReportGraph(" ".join(one[0] for one in entities), tuple(made))


EFFUSION = report(
    ("Small", "OBS-DP", (("modify", 1),)),
    ("effusion", "OBS-DP", (("located_at", 2),)),
    ("pleural", "ANAT-DP"),
)
NO_EFFUSION = report(("effusions", "OBS-DA", (("located_at", 1),)), ("Pleural", "ANAT-DP"))
LARGE_HEART = report(("heart", "ANAT-DP"), ("enlarged", "OBS-U", (("located_at", 0),)))


def built(*reports: ReportGraph, pruning: Pruning = EVERYTHING) -> tuple[Graph, Mentions]:
    return build_graph({f"s{number}": one for number, one in enumerate(reports)}, "reader 1", pruning)


def named(graph: Graph) -> dict[str, Any]:
    return {node.name: node for node in graph.nodes}


def edges(graph: Graph) -> dict[tuple[str, str, str], int]:
    names = [node.name for node in graph.nodes]
    return {(names[edge.source], edge.relation, names[edge.target]): edge.count for edge in graph.edges}


# Building.


def test_nodes_are_counted_by_report_and_by_what_is_said() -> None:
    twice = report(("effusion", "OBS-DP"), ("effusion", "OBS-DP"), ("effusion", "OBS-DA"))
    graph, _ = built(EFFUSION, NO_EFFUSION, LARGE_HEART, twice)
    nodes = named(graph)
    effusion = nodes["effusion"]
    assert (effusion.kind, effusion.reports, effusion.present, effusion.uncertain, effusion.absent) == ("observation", 3, 2, 0, 2)
    assert (nodes["pleural"].kind, nodes["pleural"].reports) == ("anatomy", 2)
    assert nodes["enlarged"].uncertain == 1
    assert graph.nodes[0].name == "effusion", "the most frequent node comes first"
    assert graph.reports == 4
    assert graph.annotator == "reader 1"


def test_a_plural_is_its_singular_where_there_is_one() -> None:
    plurals = report(
        ("masses", "OBS-DP"), ("opacities", "OBS-DP"), ("lens", "ANAT-DP"), ("airways", "ANAT-DP"), ("gas", "OBS-DP")
    )
    singulars = report(("mass", "OBS-DP"), ("opacity", "OBS-DP"), ("airways", "OBS-DP"), ("ga", "OBS-DP"))
    graph, _ = built(plurals, singulars)
    found = {(node.name, node.kind): node.reports for node in graph.nodes}
    assert found[("mass", "observation")] == found[("opacity", "observation")] == 2
    assert found[("lens", "anatomy")] == 1
    # Of another kind, or too short to tell: two nodes.
    assert found[("airways", "anatomy")] == found[("airways", "observation")] == 1
    assert found[("gas", "observation")] == found[("ga", "observation")] == 1


def test_names_are_lower_case_words_and_measurements_are_no_nodes() -> None:
    odd = report(
        ("Right  LUNG", "Anatomy::definitely present"),
        ("5 mm", "Observation::measurement::definitely present"),
        (".", "OBS-DP"),
        ("x" * 200, "OBS-DP"),
        ("nodule", "Observation::definitely present", (("located_at", 0), ("wrong", 0))),
    )
    graph, _ = built(odd)
    assert sorted(node.name for node in graph.nodes) == ["nodule", "right lung"]
    assert edges(graph) == {("nodule", "located_at", "right lung"): 1}


def test_edges_are_typed_directed_and_counted_by_report() -> None:
    graph, _ = built(EFFUSION, NO_EFFUSION, LARGE_HEART)
    assert edges(graph) == {
        ("small", "modify", "effusion"): 1,
        ("effusion", "located_at", "pleural"): 2,
        ("enlarged", "located_at", "heart"): 1,
    }


def test_a_node_is_not_joined_to_itself() -> None:
    graph, _ = built(report(("lung", "ANAT-DP", (("modify", 1),)), ("lungs", "ANAT-DP")))
    assert graph.edges == ()


def test_observations_that_are_stated_together_more_often_than_by_chance_are_joined_by_option() -> None:
    both = report(("edema", "OBS-DP"), ("effusion", "OBS-U"), ("device", "OBS-DP"), ("heart", "ANAT-DP"))
    denied = report(("edema", "OBS-DA"), ("effusion", "OBS-DP"), ("device", "OBS-DP"))
    neither = report(("device", "OBS-DP"))
    reports = (both, both, denied, neither, neither, neither)
    graph, _ = built(*reports, pruning=Pruning(1, 1, 10, 1.5))
    # edema in 2, effusion in 3, both in 2 of 6: twice as often as 2 x 3 / 6. The device is everywhere: never more than by chance.
    assert edges(graph) == {("edema", "co_occurs", "effusion"): 2}
    assert not built(*reports, pruning=Pruning(1, 1, 10, 2.5))[0].edges
    assert not built(*reports)[0].edges


def test_pruning_keeps_what_is_frequent_and_says_how_much_there_was() -> None:
    reports = (EFFUSION, NO_EFFUSION, LARGE_HEART, LARGE_HEART)
    graph, mentions = built(*reports, pruning=Pruning(2, 2, 100, None))
    assert sorted(named(graph)) == ["effusion", "enlarged", "heart", "pleural"]
    assert edges(graph) == {("effusion", "located_at", "pleural"): 2, ("enlarged", "located_at", "heart"): 2}
    assert graph.pruned == {"nodes": 5, "edges": 3}
    assert [len(mentions.studies[f"s{number}"]) for number in range(4)] == [2, 1, 2, 2]
    assert len(built(*reports, pruning=Pruning(1, 1, 3, None))[0].nodes) == 3


def test_nothing_left_is_one_line() -> None:
    told = (
        r"the knowledge graph is empty; got 5 nodes in 2 reports, none in more than 1; expected a node in 3 reports. Hint: lower"
    )
    with pytest.raises(DataError, match=told):
        built(EFFUSION, LARGE_HEART, pruning=Pruning(min_count=3))


def test_mentions_are_anatomy_and_what_is_stated_never_what_is_denied() -> None:
    graph, mentions = built(EFFUSION, NO_EFFUSION, LARGE_HEART)
    names = {study: {graph.nodes[place].name for place in places} for study, places in mentions.studies.items()}
    assert names == {"s0": {"small", "effusion", "pleural"}, "s1": {"pleural"}, "s2": {"heart", "enlarged"}}


def test_evidence_is_what_says_a_finding_in_train_reports() -> None:
    left = report(("left", "ANAT-DP"), ("catheter", "OBS-DP", (("located_at", 0),)))
    plain = report(("left", "ANAT-DP"), ("lung", "ANAT-DP"), ("clear", "OBS-DP", (("located_at", 1),)))
    reports = [EFFUSION] * 3 + [NO_EFFUSION] * 3 + [left] * 3 + [plain] * 9
    graph, _ = built(*reports)
    said = {finding: {graph.nodes[place].name for place in places} for finding, places in graph.evidence.items()}
    assert said["effusion"] == {"small", "effusion", "pleural"}
    # Of the left side too, wherever it is: every statement of a device here is on the left.
    assert said["device"] == {"catheter", "left"}
    assert set(said) == {"effusion", "device"}, "what is denied or normal says no finding"


def test_the_order_of_reports_and_of_sets_does_not_matter() -> None:
    reports = {"a": EFFUSION, "b": NO_EFFUSION, "c": LARGE_HEART, "d": LARGE_HEART}
    texts = [
        tuple(one.text() for one in build_graph({study: reports[study] for study in order}, "reader 1", EVERYTHING))
        for order in ("abcd", "dcba", "bdca")
    ]
    assert len(set(texts)) == 1


# The file.


def test_the_file_is_read_as_it_was_written_and_one_node_stands_in_a_line(tmp_path: Path) -> None:
    graph, mentions = built(EFFUSION, NO_EFFUSION, LARGE_HEART, pruning=Pruning(1, 1, 10, 1.0))
    path = tmp_path / "graph.json"
    path.write_text(graph.text(), encoding="utf-8")
    assert read_graph(path) == graph
    assert read_graph(path).text() == graph.text()
    lines = graph.text().splitlines()
    assert sum('"reports"' in line and '"name"' in line for line in lines) == len(graph.nodes)
    assert json.loads(mentions.text()) == {study: list(places) for study, places in mentions.studies.items()}


def _file(**changes: Any) -> dict[str, Any]:
    raw: dict[str, Any] = json.loads(built(EFFUSION)[0].text())
    return raw | changes


NODE = {"name": "heart", "kind": "anatomy", "reports": 3}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is not a knowledge graph: the whole"),
        (b"[1, 2]", "is not a knowledge graph: the whole"),
        (b"\xff\xfe\x00", "is not a knowledge graph: the whole"),
        (b"[" * 100_000, "is not a knowledge graph: the whole"),
        (json.dumps(_file(format=2)).encode(), "is not a knowledge graph: format"),
        (json.dumps(_file(nodes=[])).encode(), "is not a knowledge graph: nodes"),
        (json.dumps(_file(nodes=[NODE | {"name": "x" * 500}], edges=[])).encode(), "is not a knowledge graph: nodes.0.name"),
        (json.dumps(_file(nodes=[NODE | {"kind": "thing"}], edges=[])).encode(), "is not a knowledge graph: nodes.0.kind"),
        (json.dumps(_file(nodes=[NODE, NODE], edges=[], evidence={})).encode(), "each node once"),
        (json.dumps(_file(nodes=[NODE], evidence={})).encode(), "edges between the 1 nodes"),
        (json.dumps(_file(nodes=[NODE], edges=[], evidence={"edema": [1]})).encode(), "evidence among the 1 nodes"),
        (json.dumps(_file(nodes=[NODE | {"reports": "3"}], edges=[])).encode(), "is not a knowledge graph: nodes.0.reports"),
        (json.dumps(_file(surprise=1)).encode(), "is not a knowledge graph: surprise"),
    ],
)
def test_a_file_that_is_no_graph_is_one_line(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "graph.json"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_graph(path)
    assert told in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_file_that_is_absent_or_far_too_large_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=r"graph.json cannot be read; got No such file"):
        read_graph(tmp_path / "graph.json")
    monkeypatch.setattr("rrgbench.knowledge.graph._LARGEST_FILE", 10)
    (tmp_path / "graph.json").write_text(built(EFFUSION)[0].text())
    with pytest.raises(DataError, match=r"is too large; got more than 10 bytes"):
        read_graph(tmp_path / "graph.json")


# The picture.


def test_the_picture_shows_the_most_frequent_nodes_and_is_the_same_twice() -> None:
    odd = report(("$x_1$", "OBS-DP", (("suggestive_of", 1),)), ("edema", "OBS-U"))
    graph, _ = built(EFFUSION, NO_EFFUSION, LARGE_HEART, odd, pruning=Pruning(1, 1, 10, 1.0))
    first = draw(graph)
    assert first == draw(graph)
    assert first != draw(graph, 2), "fewer nodes are another picture"
    image = Image.open(io.BytesIO(first))
    assert image.format == "PNG"
    assert len(image.convert("L").getcolors() or ()) > 20


def test_a_graph_of_one_node_can_be_drawn() -> None:
    assert draw(built(report(("heart", "ANAT-DP")))[0]).startswith(b"\x89PNG")
