"""Bad input gets one line that names the file, the field, what was got and what is expected; exit 2, nothing half-written."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

IU = {
    "base.dataset": {"name": "iu_xray", "root": "ROOT"},
    "base.encoders": {"image": {"name": "timm", "model": "test_vit", "size": 32}},
}


def _lines(err: str) -> list[str]:
    return [line for line in err.splitlines() if line.startswith("error:")]


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"axes.fusion": ["concatt"]}, ["fusion", "'concatt'", "did you mean 'concat'"]),
        ({"base.decoder": {"name": "transformer", "layer": 2}}, ["decoder", "'layer'", "did you mean 'layers'"]),
        ({"base.decoder": {"name": "transformer", "layers": "two"}}, ["decoder.layers", "'two'", "int"]),
        ({"base.decoder": {"name": "transformer", "layers": 0}}, ["decoder.layers", "0", "> 0"]),
        ({"base.stages": {"fusion": {"epochs": 0}}}, ["stages.fusion.epochs", "0", "greater than or equal to 1"]),
        ({"base.stages": {"fusion": {"epochs": 1, "learning_rate": 1}}}, ["stages.fusion.learning_rate", "no such key"]),
        (
            {"base.stages": {"s": {"epochs": 1, "losses": {"scst": {"weight": 1.0, "reward": "cider", "protocol": "raw"}}}}},
            ["scst.reward; got 'cider'; expected mapping of name to a component of kind metrics. Hint: write {cider: cider}"],
        ),
        (
            {"base.stages": {"s": {"epochs": 1, "losses": {"scst": {"weight": 1.0, "reward": {"cider": "cider"}}}}}},
            ["stages.s.losses.scst.protocol: scst needs this option; expected a component of kind protocols"],
        ),
        ({"base.encoders": {"image": None}}, ["encoders", "none", "at least one"]),
        ({"metrics": ["blue"]}, ["metrics[0]", "'blue'", "did you mean 'bleu'"]),
        ({"select": {"metric": "bleu_5"}}, ["select.metric", "bleu_5", "bleu_4"]),
        ({"seeds": [1, 1]}, ["seeds", "[1, 1]", "each seed once"]),
        ({"exclude": [{"fusion": "concat"}]}, ["exclude[0].because", "the reason"]),
        ({"exclude": [{"fusion": "gating", "because": "x"}]}, ["exclude[0] matches no cell"]),
        ({"question": 3}, ["question", "3", "valid string"]),
        ({"axis": {}}, ["axis: no such key", "did you mean 'axes'"]),
        ({"base.dataset": {"name": "iu_xray", "root": "/nowhere/at/all"}}, ["iu_xray", "/nowhere/at/all", "dataset.root"]),
    ],
)
def test_a_mistake_in_an_experiment_is_one_line(
    changes: dict[str, Any], wanted: list[str], tmp_path: Path, write_experiment: Any, shell: Any
) -> None:
    ran = shell("plan", write_experiment(tmp_path, changes), "--store", tmp_path / "store")
    assert ran.code == 2
    (line,) = _lines(ran.err)
    assert all(part in line for part in wanted), line
    assert "Traceback" not in ran.err
    assert not ran.out
    assert not list((tmp_path / "store").rglob("DONE"))


def test_all_mistakes_of_all_cells_come_together_and_each_once(tmp_path: Path, write_experiment: Any, shell: Any) -> None:
    changes = {
        "axes.fusion": ["concatt", "gatting", "concat"],
        "base.decoder": {"name": "transformer", "layer": 2},
        "metrics": ["blue"],
    }
    ran = shell("plan", write_experiment(tmp_path, changes), "--store", tmp_path / "store")
    assert ran.code == 2
    assert len(_lines(ran.err)) == 4, ran.err


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (b"name: a\nname: b\n", ["line 2", "'name' stands twice"]),
        (b"name: [1\n", ["not readable as YAML"]),
        (b"name: \xff\xfe\n", ["not UTF-8", "0xff"]),
        (b"- a\n- b\n", ["list", "expected a mapping"]),
        (b"", ["NoneType", "expected a mapping"]),
        (b"name: !!python/object/apply:os.system [ls]\n", ["not readable as YAML"]),
    ],
)
def test_a_file_that_is_no_experiment_is_one_line(content: bytes, wanted: list[str], tmp_path: Path, shell: Any) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_bytes(content)
    ran = shell("plan", path, "--store", tmp_path / "store")
    assert ran.code == 2
    (line,) = _lines(ran.err)
    assert str(path) in line
    assert all(part in line for part in wanted), line


def test_a_file_that_is_not_there_names_its_neighbours(tmp_path: Path, write_experiment: Any, shell: Any) -> None:
    write_experiment(tmp_path)
    ran = shell("run", tmp_path / "tinny.yaml", "--store", tmp_path / "store")
    assert ran.code == 2
    assert "tinny.yaml: no such file" in ran.err
    assert "tiny.yaml" in ran.err


def _edit(root: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = root / "annotation.json"
    annotation = json.loads(path.read_text())
    change(annotation)
    path.write_text(json.dumps(annotation))


def _first(field: str, value: Any) -> Callable[[Path], None]:
    return lambda root: _edit(root, lambda annotation: annotation["test"][0].update({field: value}))


def _twice(root: Path) -> None:
    _edit(root, lambda annotation: annotation["train"].append(annotation["train"][0]))


def _two_splits(root: Path) -> None:
    _edit(
        root, lambda annotation: annotation["test"].append({**annotation["train"][0], "id": annotation["train"][0]["id"] + "-2"})
    )


def _raw(content: bytes) -> Callable[[Path], None]:
    return lambda root: (root / "annotation.json").write_bytes(content)  # type: ignore[return-value]


def _truncated(root: Path) -> None:
    path = root / "annotation.json"
    path.write_bytes(path.read_bytes()[:-40])


def _no_image(root: Path) -> None:
    next((root / "images").rglob("0.png")).unlink()


MISTAKES: dict[str, tuple[Callable[[Path], Any], list[str]]] = {
    "empty report": (_first("report", "  "), ["annotation.json", "report"]),
    "report is a number": (_first("report", 7), ["annotation.json", "report", "a number"]),
    "study twice": (_twice, ["annotation.json", "CXR1_IM-0001", "twice"]),
    "subject in two splits": (_two_splits, ["annotation.json", "train", "test"]),
    "empty split": (lambda root: _edit(root, lambda annotation: annotation.update({"val": []})), ["annotation.json", "val"]),
    "blank key": (lambda root: _edit(root, lambda a: a.update({" ": a.pop("test")})), ["annotation.json", "test"]),
    "not UTF-8": (_raw(b'{"train": "\xff"}'), ["annotation.json", "UTF-8"]),
    "truncated": (_truncated, ["annotation.json", "JSON"]),
    "a path that leads out": (_first("image_path", ["../../secret.png"]), ["annotation.json", "secret.png"]),
    "missing image": (_no_image, ["0.png"]),
    "missing annotation": (lambda root: (root / "annotation.json").unlink(), ["annotation.json"]),
    "no archive of indications": (lambda root: (root / "NLMCXR_reports.tgz").unlink(), ["NLMCXR_reports.tgz", "context"]),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_the_data_is_one_line(
    mistake: str, tmp_path: Path, iu_folder: Any, write_experiment: Any, shell: Any
) -> None:
    root = iu_folder(tmp_path / "iu", (6, 3, 3))
    spoil, wanted = MISTAKES[mistake]
    spoil(root)
    changes = IU | {"base.dataset": {"name": "iu_xray", "root": str(root)}}
    ran = shell("run", write_experiment(tmp_path, changes), "--store", tmp_path / "store")
    assert ran.code == 2
    (line,) = _lines(ran.err)
    assert all(part in line for part in wanted), line
    assert "Traceback" not in ran.err
    assert not list((tmp_path / "store" / "steps").rglob("*"))
    assert not list((tmp_path / "store" / "data").rglob("*.jsonl")) or mistake == "missing image"


@pytest.mark.heavy
@pytest.mark.parametrize("content", [b"", b"not a film at all", None], ids=["empty", "garbage", "truncated"])
def test_a_film_that_cannot_be_read_is_one_line(
    content: bytes | None, tmp_path: Path, iu_folder: Any, write_experiment: Any, shell: Any
) -> None:
    root = iu_folder(tmp_path / "iu", (6, 3, 3))
    film = next((root / "images").rglob("1.png"))
    film.write_bytes(film.read_bytes()[:200] if content is None else content)
    changes = IU | {"base.dataset": {"name": "iu_xray", "root": str(root)}}
    ran = shell("run", write_experiment(tmp_path, changes), "--store", tmp_path / "store")
    assert ran.code == 2
    lines = _lines(ran.err)
    assert len(lines) == 1
    assert film.name in lines[0]
    assert film.parent.name in lines[0]
    assert "Traceback" not in ran.err
    assert not list((tmp_path / "store" / "rows").rglob("*.json"))


@pytest.mark.skipif(
    "RRGBENCH_DATA" not in os.environ, reason="needs RRGBENCH_DATA with openi/annotation_malformed_blank_test_key.json"
)
def test_the_really_malformed_annotation_is_one_line(tmp_path: Path, iu_folder: Any, write_experiment: Any, shell: Any) -> None:
    root = iu_folder(tmp_path / "iu", (6, 3, 3))
    malformed = Path(os.environ["RRGBENCH_DATA"]) / "openi" / "annotation_malformed_blank_test_key.json"
    (root / "annotation.json").write_bytes(malformed.read_bytes())
    changes = IU | {"base.dataset": {"name": "iu_xray", "root": str(root)}}
    ran = shell("plan", write_experiment(tmp_path, changes), "--store", tmp_path / "store")
    assert ran.code == 2
    (line,) = _lines(ran.err)
    assert "annotation.json" in line
    assert "test" in line


def test_set_reaches_into_a_component_and_says_what_it_cannot_reach(tmp_path: Path, write_experiment: Any, shell: Any) -> None:
    path = write_experiment(tmp_path)
    fine = shell(
        "plan", path, "--store", tmp_path / "store", "--json", "--set", "base.decoder.dropout=0.2", "--set", "seeds=[3, 4]"
    )
    assert fine.code == 0, fine.err
    assert fine.json["seeds"] == [3, 4]
    for override, wanted in (
        ("seeds", "path=value"),
        ("base.decodr.layers=1", "did you mean 'decoder'"),
        ("name.x.y=1", "name"),
        ("base.fusion.heads=2", "set axes.fusion instead"),
    ):
        ran = shell("plan", path, "--store", tmp_path / "store", "--set", override)
        assert ran.code == 2
        assert wanted in ran.err, ran.err


def test_an_empty_store_and_unknown_values_are_one_line(tmp_path: Path, shell: Any) -> None:
    ran = shell("leaderboard", "show", "--store", tmp_path / "none")
    assert ran.code == 2
    assert "no rows" in ran.err
    (tmp_path / "file").write_text("x")
    assert shell("leaderboard", "show", "--store", tmp_path / "file").code == 2
