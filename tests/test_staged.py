"""Staged training through the shell: findings, alignment, fusion on kept films, retrieval."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.heavy

FUSION = {"train": ["text", "fusion", "decoder"], "augment": False, "epochs": 2, "batch_size": 8, "lr": 3e-3}
STAGES = {
    "unimodal": {"losses": {"findings": 1.0}, "epochs": 2, "batch_size": 8},
    "alignment": {"train": ["text"], "losses": {"contrastive": 1.0}, "epochs": 2, "batch_size": 8, "augment": False},
    "fusion": FUSION | {"cached": ["image"]},
}
CHANGES = {
    "base.stages": STAGES,
    "base.embedding_dim": 8,
    "axes": {"encoders.text": [{"name": "transformers", "hidden_size": 16, "layers": 1, "heads": 1}, None]},
    "metrics": ["bleu", "retrieval"],
    "floors": ["random"],
}


def _artifacts(store: Path, kind: str) -> dict[str, Path]:
    done = {path: json.loads(path.read_text()) for path in sorted((store / "steps").glob("*/*/DONE"))}
    return {told["title"]: path.parent for path, told in done.items() if told["kind"] == kind}


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory, shell: Any, write_experiment: Any) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp("staged")
    ran = shell("run", write_experiment(folder, CHANGES), "--store", folder / "store", "--json")
    assert ran.code == 0, ran.err
    return folder, ran.json


def test_cells_share_the_stages_that_they_have_in_common(staged: tuple[Path, Any]) -> None:
    _, told = staged
    # One unimodal stage, one alignment (only a cell with text has it), two of fusion; films read once a split for each encoder.
    assert told["executed"]["train"] == 4
    assert told["executed"]["embed"] == 1
    assert told["executed"]["auroc"] == 1


def test_rows_say_what_applies_and_what_does_not(staged: tuple[Path, Any]) -> None:
    _, told = staged
    rows = {row["title"]: row for row in told["rows"]}
    text, none, floor = rows["text=transformers"], rows["text=none"], rows["random"]
    # So few studies that no finding can be told on validate: said, not made up.
    reason = "validate has no finding with enough positives and negatives"
    for row in (text, none):
        assert row["aurocs"] == {}
        assert row["not_applicable"]["AUROC after unimodal"] == reason
    assert "AUROC after unimodal" not in floor["not_applicable"]
    assert 1 <= text["values"]["i2t_median_rank"]["value"] <= text["n"]
    assert none["not_applicable"]["i2t_median_rank"] == "no stage trains embeddings of films and reports"
    assert floor["not_applicable"]["i2t_median_rank"] == "a floor has no embeddings"


def test_embeddings_are_of_length_one_and_in_the_order_of_studies(staged: tuple[Path, Any]) -> None:
    folder, told = staged
    (embedded,) = _artifacts(folder / "store", "embed").values()
    images, reports = (np.load(embedded / f"{name}.npy") for name in ("images", "reports"))
    assert images.shape == reports.shape == (told["rows"][0]["n"], 8)
    assert np.allclose(np.linalg.norm(images, axis=1), 1, atol=1e-5)
    assert np.allclose(np.linalg.norm(reports, axis=1), 1, atol=1e-5)


def test_films_that_are_kept_teach_and_write_what_films_read_live_do(
    staged: tuple[Path, Any], tmp_path: Path, shell: Any, write_experiment: Any
) -> None:
    folder, _ = staged
    live = STAGES | {"fusion": FUSION}
    ran = shell("run", write_experiment(tmp_path, CHANGES | {"base.stages": live}), "--store", tmp_path / "store", "--json")
    assert ran.code == 0, ran.err
    assert "features" not in ran.json["executed"]
    for kind, name in (("train", "log.json"), ("generate", "predictions.jsonl")):
        kept, read = (_artifacts(store, kind) for store in (folder / "store", tmp_path / "store"))
        assert kept.keys() == read.keys()
        for title in kept:
            one, two = (place[title] / name for place in (kept, read))
            if kind == "generate":
                assert one.read_bytes() == two.read_bytes()
            else:
                logs = [json.loads(path.read_text())["epochs"] for path in (one, two)]
                for before, after in zip(*logs, strict=True):
                    assert before == pytest.approx(after, rel=1e-4)


def test_another_fusion_trains_its_own_stage_alone(staged: tuple[Path, Any], shell: Any, write_experiment: Any) -> None:
    folder, _ = staged
    path = write_experiment(folder, CHANGES | {"base.fusion": "gating"}, "gating.yaml")
    ran = shell("run", path, "--store", folder / "store", "--json")
    assert ran.code == 0, ran.err
    assert ran.json["executed"]["train"] == 2
    assert "features" not in ran.json["executed"]


def test_a_learnt_temperature_moves(staged: tuple[Path, Any]) -> None:
    from safetensors.numpy import load_file

    folder, _ = staged
    (aligned,) = [path for title, path in _artifacts(folder / "store", "train").items() if "alignment" in title]
    scale = float(load_file(aligned / "model.safetensors")["heads.log_scale"])
    assert scale != pytest.approx(np.log(1 / 0.07), abs=1e-6)


def test_without_sharing_the_same_rows_cost_more_steps(
    staged: tuple[Path, Any], tmp_path: Path, shell: Any, write_experiment: Any
) -> None:
    _, shared = staged
    ran = shell("run", write_experiment(tmp_path, CHANGES), "--store", tmp_path / "store", "--no-sharing", "--json")
    assert ran.code == 0, ran.err
    assert sum(ran.json["executed"].values()) > sum(shared["executed"].values())
    assert ran.json["executed"]["train"] == 5
    values = [
        {row["title"]: {name: v["value"] for name, v in row["values"].items()} for row in told["rows"]}
        for told in (shared, ran.json)
    ]
    assert values[0] == values[1]


def test_the_whole_way_of_the_page_of_stages_goes_from_parts_to_reward(tmp_path: Path, shell: Any, write_experiment: Any) -> None:
    import re

    import yaml

    page = (Path(__file__).parent.parent / "docs" / "stages.md").read_text(encoding="utf-8").partition("## The whole way")[2]
    found = re.search(r"^```yaml\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    assert found is not None
    base = yaml.safe_load(found[1])["base"]
    for name, stage in base["stages"].items():
        stage |= {"batch_size": 4} | ({"global_batch": 8} if "global_batch" in stage else {})
        stage |= {"steps": 3} if "steps" in stage else {"epochs": 3 if name == "end_to_end" else 1}
    base["encoders"]["image"]["size"] = 64
    base["encoders"]["text"] |= {"hidden_size": 16, "layers": 1, "heads": 1}
    changes = {f"base.{key}": value for key, value in base.items()} | {"axes": {}}
    ran = shell("run", write_experiment(tmp_path, changes), "--store", tmp_path / "store", "--json")
    assert ran.code == 0, ran.err
    assert ran.json["executed"]["train"] == len(base["stages"]) == 7
    logs = {
        title.split()[1]: json.loads((path / "log.json").read_text())
        for title, path in _artifacts(tmp_path / "store", "train").items()
    }
    assert len(logs["end_to_end"]["epochs"]) == 3
    counts = logs["end_to_end"]["parameters"]
    assert 0 < counts["image"]["trainable"] < counts["image"]["total"]
    assert counts["text"]["trainable"] == 0
    assert "loss.scst.reward" in logs["reward"]["epochs"][0]
