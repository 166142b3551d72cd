"""Lungs as a task of the image encoder, through the shell: films cropped and prepared once, masks a step, the loss learnt."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.heavy

CHANGES = {
    "base.dataset": {"name": "phantom", "studies": 30, "size": 64, "studies_per_subject": 2},
    "base.encoders": {"image": {"name": "timm", "model": "test_vit", "size": 64, "rotation": 8, "noise": 0.01}},
    "base.masks": "threshold",
    "base.stages": {
        "unimodal": {"losses": {"segmentation": 1.0}, "epochs": 6, "batch_size": 8, "lr": 3e-3},
        "fusion": {"train": ["fusion", "decoder"], "epochs": 1, "batch_size": 8, "augment": False, "cached": ["image"]},
    },
    "axes": {"fusion": ["concat", "gating"]},
}


def _artifacts(store: Path, kind: str) -> list[tuple[str, Path]]:
    """Title and folder of each step of a kind."""
    done = {path: json.loads(path.read_text()) for path in sorted((store / "steps").glob("*/*/DONE"))}
    return [(told["title"], path.parent) for path, told in done.items() if told["kind"] == kind]


def test_masks_are_found_once_and_learnt(tmp_path: Path, shell: Any, write_experiment: Any) -> None:
    ran = shell("run", write_experiment(tmp_path, CHANGES), "--store", tmp_path / "store", "--json")
    assert ran.code == 0, ran.err
    assert ran.json["executed"]["masks"] == 1
    [(title, folder)] = _artifacts(tmp_path / "store", "masks")
    assert title == "masks of phantom train for timm by threshold"
    masks, told = np.load(folder / "masks.npy"), json.loads((folder / "DONE").read_text())["provenance"]
    known = (masks != 255).all(axis=(1, 2))
    assert masks.shape[1:] == (64, 64) and told["segmenter"] == "threshold 1"
    assert told["films"] == len(masks) and told["with_lungs"] == known.sum() > 5
    (trained,) = [path for title, path in _artifacts(tmp_path / "store", "train") if "unimodal" in title]
    losses = [epoch["loss.segmentation"] for epoch in json.loads((trained / "log.json").read_text())["epochs"]]
    assert losses[-1] < 0.8 * losses[0], losses


def test_a_segmenter_inside_of_an_encoder_prepares_other_films(tmp_path: Path, shell: Any, write_experiment: Any) -> None:
    cropping = {"name": "timm", "model": "test_vit", "size": 32, "segmenter": "threshold"}
    changes = {
        "axes": {"encoders.image": [{**cropping, "segmenter": None}, cropping, {**cropping, "lungs": "mask"}]},
        "base.dataset": CHANGES["base.dataset"],
    }
    ran = shell("run", write_experiment(tmp_path, changes), "--store", tmp_path / "store", "--json")
    assert ran.code == 0, ran.err
    films = [np.load(path / "pixels.npy") for title, path in _artifacts(tmp_path / "store", "pixels") if " train " in title]
    assert len(films) == 3
    apart = [
        (one != other).any(axis=(1, 2, 3)) for one, other in ((films[0], films[1]), (films[0], films[2]), (films[1], films[2]))
    ]
    assert all(0 < different.sum() < len(different) for different in apart), "laterals stay whole, frontal films do not"
    assert len(ran.json["rows"]) == 3
