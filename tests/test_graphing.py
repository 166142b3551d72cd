"""`rrgbench data graph`: the graph of a data set or an experiment, from the store where it is there, as file and picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rrgbench.knowledge.graph import read_graph

pytestmark = pytest.mark.heavy

PHANTOM = ("phantom", "--set", "studies=40", "--set", "size=32", "--annotator", "lexicon", "--min-count", "2")
KNOWN = {
    "base.encoders.knowledge": {"name": "gcn", "width": 8},
    "base.knowledge": {"annotator": "lexicon", "min_count": 2, "active": "all"},
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("graphs")


def test_a_data_set_s_graph_is_built_once_written_and_drawn(store: Path, tmp_path: Path, shell: Any) -> None:
    first = shell("data", "graph", *PHANTOM, "--store", store, "--out", tmp_path / "graph.json", "--plot", tmp_path / "graph.png")
    assert first.code == 0, first.err
    assert "train reports, annotator lexicon" in first.out
    assert "1 steps" in first.err
    graph = read_graph(tmp_path / "graph.json")
    assert {"effusion", "heart"} <= {node.name for node in graph.nodes}
    assert min(node.reports for node in graph.nodes) >= 2
    assert (tmp_path / "graph.png").read_bytes().startswith(b"\x89PNG")
    again = shell("data", "graph", *PHANTOM, "--store", store, "--json")
    assert (again.code, again.err) == (0, "")
    assert [node["name"] for node in again.json["nodes"]] == [node.name for node in graph.nodes]
    assert Path(again.json["graph"]).read_bytes() == (tmp_path / "graph.json").read_bytes()


def test_an_experiment_s_graph_is_the_one_that_its_cells_read(
    store: Path, tmp_path: Path, shell: Any, write_experiment: Any
) -> None:
    path = write_experiment(tmp_path, KNOWN)
    ran = shell("data", "graph", path, "--store", store, "--json")
    assert ran.code == 0, ran.err
    planned = shell("plan", path, "--store", store, "--json")
    assert [step["state"] for step in planned.json["steps"] if step["kind"] == "graph"] == ["done"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("phantom",), "--annotator is missing; expected who reads the train reports; installed: lexicon"),
        (("phantm", "--annotator", "lexicon"), "Hint: did you mean 'phantom'?"),
        (("phantom", "--annotator", "lexicn"), "Hint: did you mean 'lexicon'?"),
        (("absent.yaml",), "absent.yaml"),
        ((*PHANTOM, "--out", "graph.txt"), "--out; got graph.txt; expected a file that ends in .json"),
        ((*PHANTOM, "--plot", "graph.svg"), "--plot; got graph.svg; expected a file that ends in .png"),
        ((*PHANTOM[:-1], "100000"), "the knowledge graph is empty"),
    ],
)
def test_a_mistake_is_one_line(arguments: tuple[str, ...], told: str, store: Path, shell: Any) -> None:
    ran = shell("data", "graph", *arguments, "--store", store)
    assert ran.code == 2
    assert told in ran.err
    assert "Traceback" not in ran.err


def test_an_experiment_says_itself_how_its_graph_is_built(store: Path, tmp_path: Path, shell: Any, write_experiment: Any) -> None:
    for changes, more, told in (
        ({}, (), "no cell reads a knowledge graph. Hint: name an encoder"),
        (KNOWN, ("--max-nodes", "3"), "--max-nodes says nothing beside an experiment"),
        (
            KNOWN | {"axes": {"knowledge.min_count": [2, 3]}},
            (),
            "got 2 graphs, since its axes change how one is built; expected one",
        ),
    ):
        ran = shell("data", "graph", write_experiment(tmp_path, changes), *more, "--store", store)
        assert ran.code == 2
        assert told in ran.err
    one = shell(
        "data",
        "graph",
        write_experiment(tmp_path, changes),
        "--set",
        "axes={knowledge.min_count: [3]}",
        "--store",
        store,
        "--json",
    )
    assert one.code == 0, one.err
    assert min(node["reports"] for node in json.loads(one.out)["nodes"]) >= 3
