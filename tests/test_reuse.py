"""A grid costs its distinct steps: what is done is never done again, and a change runs only what it changes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.heavy


@pytest.fixture(scope="module")
def lived_in(tmp_path_factory: pytest.TempPathFactory, shell: Any, write_experiment: Any, iu_folder: Any) -> Any:
    """A store in which the experiment has run, and how to run it with changes."""
    folder = tmp_path_factory.mktemp("reuse")
    root = iu_folder(folder / "iu")
    changes = {
        "base.dataset": {"name": "iu_xray", "root": str(root)},
        "floors": ["constant"],
        "select": {"metric": "bleu_4"},
        "base.stages": {"fusion": {"epochs": 2, "rung": 1, "batch_size": 8}},
    }

    def run(more: dict[str, Any] | None = None) -> Any:
        path = write_experiment(folder, changes | (more or {}))
        ran = shell("run", path, "--store", folder / "store", "--json")
        assert ran.code == 0, ran.err
        return ran.json

    first = run()
    return folder, root, first, run


def test_the_same_command_again_runs_nothing(lived_in: Any) -> None:
    folder, _, first, run = lived_in
    # Two cells: two rungs, a report set for validate after each, one for test.
    assert first["executed"]["train"] == 4
    assert first["executed"]["generate"] == 6
    written = {path: path.stat().st_mtime_ns for path in (folder / "store" / "rows").rglob("*.json")}
    again = run()
    assert again["executed"] == {}
    assert [row["values"] for row in again["rows"]] == [row["values"] for row in first["rows"]]
    assert {path: path.stat().st_mtime_ns for path in (folder / "store" / "rows").rglob("*.json")} == written


def test_a_new_metric_runs_only_scoring(lived_in: Any) -> None:
    run: Callable[..., Any] = lived_in[3]
    told = run({"metrics": ["bleu", "rouge"]})
    assert set(told["executed"]) == {"score", "intervals"}
    assert told["executed"]["score"] == 3  # two cells and a floor
    assert all({"bleu_4", "rouge_l"} <= set(row["values"]) for row in told["rows"])


def test_a_new_fusion_runs_only_its_own_cells(lived_in: Any) -> None:
    run: Callable[..., Any] = lived_in[3]
    told = run({"axes.fusion": ["concat", "cross_attention", "gating"]})
    assert told["executed"]["train"] == 2
    assert told["executed"]["generate"] == 3
    assert "pixels" not in told["executed"]
    assert "floor" not in told["executed"]


def test_a_corrected_test_reference_runs_only_scoring(lived_in: Any) -> None:
    _, root, first, run = lived_in
    path: Path = root / "annotation.json"
    before = path.read_text()
    annotation = json.loads(before)
    annotation["test"][0]["report"] = "The heart was read anew and is enlarged."
    try:
        path.write_text(json.dumps(annotation))
        told = run()
    finally:
        path.write_text(before)
    assert set(told["executed"]) == {"score", "intervals"}
    old = {row["id"]: row["values"]["bleu_1"] for row in first["rows"]}
    assert any(row["values"]["bleu_1"]["signature"] != old[row["id"]]["signature"] for row in told["rows"])


def test_deleted_artifacts_are_made_again_with_the_same_bytes(lived_in: Any) -> None:
    folder, _, _, run = lived_in
    changes = {"axes.fusion": ["concat", "cross_attention", "gating"], "metrics": ["bleu", "rouge"]}
    run(changes)
    kept = ("train", "pixels")
    artifacts = [path.parent for path in (folder / "store" / "steps").glob("*/*/DONE")]
    before: dict[Path, bytes] = {}
    for artifact in artifacts:
        if json.loads((artifact / "DONE").read_text())["kind"] not in kept:
            before |= {path: path.read_bytes() for path in artifact.rglob("*") if path.name != "DONE"}
            shutil.rmtree(artifact)
    told = run(changes)
    assert not set(told["executed"]) & set(kept)
    made = {path: path.read_bytes() for path in before if path.exists()}
    assert any(path.name == "predictions.jsonl" for path in made)
    assert made == {path: before[path] for path in made}


def test_a_damaged_artifact_is_one_line_and_never_a_number(lived_in: Any) -> None:
    folder, _, first, run = lived_in
    run()
    step_id = next(row for row in first["rows"] if row["kind"] == "cell")["steps"]["seed 0"]
    predictions: Path = folder / "store" / "steps" / step_id[:2] / step_id / "predictions.jsonl"
    before = predictions.read_bytes()
    predictions.write_bytes(before.replace(b"heart", b"lungs").replace(b"normal", b"absent") + b"\n")
    try:
        with pytest.raises(AssertionError, match=r"is damaged; got predictions\.jsonl not as written"):
            run({"metrics": ["bleu", "cider"]})
    finally:
        predictions.write_bytes(before)
    assert set(run({"metrics": ["bleu", "cider"]})["executed"]) <= {"score", "intervals"}
