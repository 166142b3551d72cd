"""No peeking: replace every test target, and every generated report is byte-identical, for every installed fusion and decoder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rrgbench.catalogue import Catalogue


def _predictions(store: Path) -> dict[str, bytes]:
    """Predictions by what made them, over the whole store."""
    found = {}
    for path in sorted((store / "steps").glob("*/*/predictions.jsonl")):
        found[json.loads(path.with_name("DONE").read_text())["title"]] = path.read_bytes()
    return found


@pytest.mark.heavy
def test_reports_do_not_change_when_every_test_target_is_replaced(
    tmp_path: Path, shell: Any, write_experiment: Any, iu_folder: Any
) -> None:
    catalogue = Catalogue.load()
    fusions, decoders = sorted(catalogue.specs["fusions"]), sorted(catalogue.specs["decoders"])
    floors = sorted(catalogue.specs["floors"])
    root = iu_folder(tmp_path / "iu", (16, 4, 5))
    changes = {
        "base.dataset": {"name": "iu_xray", "root": str(root)},
        "axes": {"fusion": fusions, "decoder": [_small(catalogue, name) for name in decoders]},
        "select": {"metric": "bleu_4"},
        "floors": floors,
        "base.labels": "lexicon",
        "base.stages": {
            "unimodal": {"losses": {"findings": 1.0}, "epochs": 1, "batch_size": 8},
            "alignment": {"losses": {"contrastive": 1.0}, "epochs": 1, "batch_size": 8},
            "fusion": {
                "train": ["text", "fusion", "decoder"],
                "augment": False,
                "cached": ["image"],
                "epochs": 1,
                "batch_size": 8,
            },
        },
        "metrics": ["bleu", "retrieval"],
    }
    path = write_experiment(tmp_path, changes)
    honest = shell("run", path, "--store", tmp_path / "honest", "--json")
    assert honest.code == 0, honest.err
    annotation = json.loads((root / "annotation.json").read_text())
    for item in annotation["test"]:
        item["report"] = "Everything here was replaced by words that stand nowhere else."
    (root / "annotation.json").write_text(json.dumps(annotation))
    replaced = shell("run", path, "--store", tmp_path / "replaced", "--json")
    assert replaced.code == 0, replaced.err
    before, after = _predictions(tmp_path / "honest"), _predictions(tmp_path / "replaced")
    assert len(before) == 2 * len(fusions) * len(decoders) + len(floors)
    assert before == after
    scores = [{row["id"]: row["values"]["bleu_1"]["value"] for row in told["rows"]} for told in (honest.json, replaced.json)]
    assert scores[0] != scores[1], "the replaced targets must have been scored"


def _small(catalogue: Catalogue, name: str) -> dict[str, Any]:
    """A decoder of that name, small where it has these options."""
    (spec,) = catalogue.specs["decoders"][name]
    small = {"layers": 1, "hidden_size": 16, "heads": 2}
    return {"name": name} | {option.name: small[option.name] for option in spec.options if option.name in small}


def _active(store: Path) -> dict[str, bytes]:
    """Active nodes by the title of their step, over the whole store."""
    found = {}
    for path in sorted((store / "steps").glob("*/*/active.npy")):
        found[json.loads(path.with_name("DONE").read_text())["title"]] = path.read_bytes()
    return found


@pytest.mark.heavy
def test_active_nodes_and_reports_do_not_change_when_targets_of_validate_and_test_are_replaced(
    tmp_path: Path, shell: Any, write_experiment: Any, iu_folder: Any
) -> None:
    root = iu_folder(tmp_path / "iu", (24, 4, 5))
    changes = {
        "base.dataset": {"name": "iu_xray", "root": str(root)},
        "base.labels": "lexicon",
        "base.encoders": {
            "image": {"name": "timm", "model": "test_vit", "size": 32},
            "knowledge": {"name": "gcn", "width": 8},
        },
        "base.knowledge": {"min_count": 2, "min_edge_count": 1, "active": "all"},
        "base.stages": {
            "unimodal": {"losses": {"findings": 1.0}, "epochs": 1, "batch_size": 8},
            "fusion": {"train": ["knowledge", "fusion", "decoder"], "epochs": 1, "batch_size": 8},
        },
        "axes": {"knowledge.active": ["image", "retrieved", "all"]},
        "metrics": ["bleu"],
    }
    path = write_experiment(tmp_path, changes)
    honest = shell("run", path, "--store", tmp_path / "honest", "--json")
    assert honest.code == 0, honest.err
    annotation = json.loads((root / "annotation.json").read_text())
    for split in ("val", "test"):
        for item in annotation[split]:
            item["report"] = "There is a large effusion in the left pleura. Edema and a fracture. The heart is enlarged."
    (root / "annotation.json").write_text(json.dumps(annotation))
    replaced = shell("run", path, "--store", tmp_path / "replaced", "--json")
    assert replaced.code == 0, replaced.err
    before, after = _active(tmp_path / "honest"), _active(tmp_path / "replaced")
    assert len(before) == 3 * 2, "of train and test, by three sources"
    assert before == after
    assert len(set(before.values())) == 6, "the sources do not make the same nodes active"
    assert _predictions(tmp_path / "honest") == _predictions(tmp_path / "replaced")
    assert "score" in replaced.json["executed"]
