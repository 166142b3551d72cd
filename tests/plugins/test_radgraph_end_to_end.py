"""RadGraph from labels to a row, with a tiny archive: no text is annotated twice, and its scores stand by themselves."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.heavy

_PATH = Path(__file__).parent.parent / "tiny_radgraph.py"


def _rows(store: Path, experiment: str) -> dict[str, Any]:
    rows = (json.loads(path.read_text()) for path in store.glob(f"rows/*/{experiment}/*.json"))
    return {row["title"]: row for row in rows}


def _kept(store: Path) -> list[str]:
    """The keys of all entries of all memos."""
    return [line.split(" ")[0] for path in store.glob("memo/*/*.txt") for line in path.read_text().splitlines() if line]


def _remove(store: Path, *kinds: str) -> None:
    for done in store.glob("steps/*/*/DONE"):
        if json.loads(done.read_text())["kind"] in kinds:
            shutil.rmtree(done.parent)


def test_radgraph_makes_labels_and_scores_and_annotates_no_text_twice(tmp_path: Path, shell: Any, write_experiment: Any) -> None:
    pytest.importorskip("radgraph", reason="the package radgraph is not installed")
    spec = importlib.util.spec_from_file_location("rrgbench_tiny_radgraph", _PATH)
    assert spec is not None and spec.loader is not None
    tiny = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tiny)
    bert = tiny.write_bert(tmp_path / "bert")
    archive = tiny.write_archive(tmp_path / "radgraph.tar.gz", tiny.write_weights(tmp_path / "weights", bert))
    store, environment = tmp_path / "store", {"RRGBENCH_CACHE": str(tmp_path / "cache")}
    radgraph = {"name": "radgraph", "weights": str(archive), "bert": str(bert)}
    stages = {
        "unimodal": {"losses": {"findings": 1.0}, "epochs": 1, "batch_size": 8},
        "fusion": {"epochs": 1, "batch_size": 8},
    }
    changes = {
        "name": "by-radgraph",
        "axes": {},
        "base.labels": radgraph,
        "base.stages": stages,
        "metrics": [{"name": "radgraph", "annotator": radgraph}, {"name": "findings", "annotator": radgraph}],
        "select": {"metric": "radgraph_partial"},
        "floors": ["constant", "random"],
    }

    def run(changes: dict[str, Any]) -> dict[str, Any]:
        path = write_experiment(tmp_path, changes)
        ran = shell("run", path, "--store", store, "--workers", "1", "--json", env=environment, timeout=3000)
        assert ran.code == 0, ran.err
        return _rows(store, changes["name"])

    rows = run(changes)
    keys = _kept(store)
    assert len(keys) == len(set(keys)) > 20, "a text was annotated twice"
    assert not list(store.glob("memo/credentialed/*"))
    value = rows["constant"]["values"]["radgraph_partial"]
    identity = value["signature"]["metric"].partition("annotator ")[2]
    assert identity.startswith("radgraph 0.1.18 radgraph|weights ") and "|vocabulary " in identity
    assert value["signature"]["metric_annotator"].startswith("radgraph(")
    assert str(tmp_path) not in json.dumps(rows["constant"]["values"])

    # The memo gives what the annotator gave: what was made by it is made again without one more text.
    _remove(store, "labels", "score", "intervals", "select")
    shutil.rmtree(store / "rows")
    assert {title: row["values"] for title, row in run(changes).items()} == {title: row["values"] for title, row in rows.items()}
    assert _kept(store) == keys

    run(changes | {"name": "by-lexicon", "metrics": ["radgraph"], "select": {"metric": "radgraph_partial"}})
    refused = shell("compare", "by-radgraph:base", "by-lexicon:base", "--store", store, env=environment)
    assert refused.code == 2 and "may not be compared: they differ in metric (of radgraph_partial)" in refused.err
    assert _kept(store) == keys, "a lexicon is faster than a memo"


def test_weights_that_are_missing_fail_the_step_in_one_line(tmp_path: Path, shell: Any, write_experiment: Any) -> None:
    pytest.importorskip("radgraph", reason="the package radgraph is not installed")
    metrics = [{"name": "radgraph", "annotator": "radgraph"}, "bleu"]
    path = write_experiment(tmp_path, {"axes": {}, "metrics": metrics, "floors": ["random"]})
    ran = shell("run", path, "--store", tmp_path / "store", env={"XDG_CACHE_HOME": str(tmp_path / "none")}, timeout=3000)
    assert ran.code == 2 and "no weights of radgraph" in ran.err and "name it by the option weights" in ran.err
    assert "Traceback" not in ran.err
    assert not list((tmp_path / "store").glob("memo/*/*"))
