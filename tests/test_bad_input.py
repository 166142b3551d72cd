"""Bad input from end to end: exit 2, one line on standard error and nothing else, nothing half-written, rows untouched.

``test_user_mistakes.py`` goes through the list of mistakes; here, what they leave behind, and what only whole commands show.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rrgbench.store import damaged_files

SMALL = {"base.encoders": {"image": {"name": "timm", "model": "test_vit", "size": 32}}, "floors": ["constant"], "axes": {}}


def _one_line(ran: Any) -> str:
    assert ran.code == 2, ran.err
    assert ran.out == ""
    assert ran.err.startswith("error: ")
    (line,) = ran.err.splitlines()
    return str(line.removeprefix("error: "))


def _nothing_half_written(store: Path) -> None:
    for done in store.glob("steps/*/*/DONE"):
        assert damaged_files(done.parent) == []
    artifacts = list(store.glob("steps/*/*"))
    assert all((artifact / "DONE").is_file() for artifact in artifacts)
    assert not list(store.glob("tmp/*"))
    assert not list(store.glob("leases/*"))
    assert not list(store.glob("**/.*"))


def _edit(root: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    path = root / "annotation.json"
    annotation = json.loads(path.read_text())
    change(annotation)
    path.write_text(json.dumps(annotation))


@pytest.fixture
def iu(tmp_path: Path, iu_folder: Any) -> Path:
    """A folder in IU X-ray's layout that has no archive with indications."""
    root: Path = iu_folder(tmp_path / "iu", (6, 3, 3))
    (root / "NLMCXR_reports.tgz").unlink()
    return root


def _data(root: Path) -> dict[str, Any]:
    return SMALL | {"base.dataset": {"name": "iu_xray", "root": str(root), "context": "none"}}


DAMAGE: dict[str, tuple[Callable[[dict[str, Any]], Any], list[str]]] = {
    "empty report": (lambda a: a["test"][1].update(report=""), ["annotation.json", "report"]),
    "wrong type": (
        lambda a: a["val"][0].update(id=3),
        ["annotation.json", "split val, item 0", "field id", "a number", "expected text"],
    ),
    "duplicate study": (lambda a: a["test"].append(a["test"][0]), ["annotation.json", "CXR10_IM-0010", "twice"]),
    "subject in two splits": (
        lambda a: a["val"].append(a["train"][0] | {"id": "CXR1_IM-0002"}),
        ["annotation.json", "train", "val"],
    ),
    "empty split": (lambda a: a.update(test=[]), ["annotation.json", "test"]),
    "no split": (lambda a: a.pop("train"), ["annotation.json", "train"]),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_annotation_costs_one_line_and_leaves_the_store_as_it_was(
    damage: str, iu: Path, tmp_path: Path, write_experiment: Any, shell: Any
) -> None:
    spoil, wanted = DAMAGE[damage]
    _edit(iu, spoil)
    line = _one_line(shell("plan", write_experiment(tmp_path, _data(iu)), "--store", tmp_path / "store"))
    assert all(part in line for part in wanted), line
    assert not [path for path in (tmp_path / "store").rglob("*") if path.is_file() and path.name != "FORMAT"]


@pytest.mark.skipif(
    "RRGBENCH_DATA" not in os.environ, reason="needs RRGBENCH_DATA with openi/annotation_malformed_blank_test_key.json"
)
def test_the_real_malformed_annotation_is_named_with_its_field(
    iu: Path, tmp_path: Path, write_experiment: Any, shell: Any
) -> None:
    malformed = Path(os.environ["RRGBENCH_DATA"]) / "openi" / "annotation_malformed_blank_test_key.json"
    (iu / "annotation.json").write_bytes(malformed.read_bytes())
    line = _one_line(shell("plan", write_experiment(tmp_path, _data(iu)), "--store", tmp_path / "store"))
    assert "annotation.json" in line
    assert "test" in line
    assert len(line) < 800


PLUGIN = '''
"""A data set that breaks a rule."""
import rrgbench
from rrgbench import Inputs, Targets


class Broken:
    license = "credentialed"

    def __init__(self, *, report: str = "", label: int = 1):
        self.report, self.label = report, label

    def inputs(self, split):
        return [Inputs(f"{split} study", f"{split} subject", (), ())]

    def targets(self, split):
        text = self.report if split == "test" else "A report."
        return [Targets(f"{split} study", text, {"effusion": self.label})]

    def sources(self):
        return []


@rrgbench.hookimpl
def rrgbench_datasets():
    return {"broken": Broken}
'''


def test_a_third_party_s_data_set_that_breaks_a_rule_is_one_line(
    tmp_path: Path, plugin: Any, write_experiment: Any, shell: Any
) -> None:
    environment = plugin("brokendata", PLUGIN)
    path = write_experiment(tmp_path, {"base.dataset": {"name": "broken", "label": 2}})
    assert _one_line(shell("plan", path, "--store", tmp_path / "store", env=environment)) == (
        "data set broken, split train: targets[0], study train study: labels; "
        "got {'effusion': 2}; expected None, or findings with the int 1 or 0"
    )
    assert not list((tmp_path / "store" / "data").rglob("*.json*"))


def test_a_mistake_names_the_file_and_the_place_in_it(tmp_path: Path, write_experiment: Any, shell: Any) -> None:
    path = write_experiment(tmp_path, {"axes": {"fusion": ["concat", {"name": "gating", "heads": "eight"}]}})
    line = _one_line(shell("run", path, "--store", tmp_path / "store"))
    assert line.startswith(f"{path}: axes.fusion")
    path = write_experiment(tmp_path, {"base.stages": {"fusion": {"losses": {"cross_entropi": 1.0}}}})
    line = _one_line(shell("run", path, "--store", tmp_path / "store"))
    assert line.startswith(f"{path}: base.stages.fusion.losses.cross_entropi: no losses component of that name")
    assert "did you mean 'cross_entropy'?" in line
    assert not (tmp_path / "store").exists()


def test_a_store_that_can_be_none_is_one_line(tmp_path: Path, write_experiment: Any, shell: Any) -> None:
    path = write_experiment(tmp_path)
    (tmp_path / "file").write_text("mine")
    assert f"cannot write {tmp_path}/file" in _one_line(shell("plan", path, "--store", tmp_path / "file"))
    assert (tmp_path / "file").read_text() == "mine"
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "FORMAT").write_text("99\n")
    assert "got 99; expected 1. Hint: use another --store" in _one_line(shell("run", path, "--store", tmp_path / "old"))


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only for root")
def test_a_store_that_is_read_only_is_one_line(tmp_path: Path, write_experiment: Any, shell: Any) -> None:
    (tmp_path / "store").mkdir(mode=0o555)
    line = _one_line(shell("plan", write_experiment(tmp_path), "--store", tmp_path / "store"))
    assert "cannot write" in line
    assert "Permission denied" in line


@pytest.mark.heavy
def test_bad_input_after_a_good_run_leaves_rows_and_artifacts_untouched(
    iu: Path, tmp_path: Path, write_experiment: Any, shell: Any
) -> None:
    store = tmp_path / "store"
    path = write_experiment(tmp_path, _data(iu))
    first = shell("run", path, "--store", store, "--json")
    assert first.code == 0, first.err
    rows = {file: file.read_bytes() for file in (store / "rows").rglob("*.json")}
    cell = next(file for file, content in rows.items() if json.loads(content)["kind"] == "cell")
    artifacts = {file: file.read_bytes() for file in (store / "steps").rglob("*") if file.is_file()}
    assert len(rows) == 2

    film = next((iu / "images").rglob("1.png"))
    whole = film.read_bytes()
    for content in (b"", b"not a film at all", whole[:200]):
        film.write_bytes(content)
        ran = shell("run", path, "--store", store)
        assert ran.code == 2, ran.err
        (line,) = [line for line in ran.err.splitlines() if line.startswith("error:")]
        assert film.name in line
        assert film.parent.name in line
        assert "Traceback" not in ran.err
        _nothing_half_written(store)
    film.unlink()
    line = _one_line(shell("run", path, "--store", store))
    assert str(film) in line
    film.write_bytes(whole)
    _edit(iu, lambda a: a["test"][0].update(report=" "))
    _one_line(shell("run", path, "--store", store))
    _nothing_half_written(store)
    # A floor that looks at no film is done with the others: its row is of the same reports, and whole.
    assert {json.loads(file.read_bytes())["kind"] for file in (store / "rows").rglob("*.json")} == {"cell", "floor"}
    assert cell.read_bytes() == rows[cell]
    assert {file: file.read_bytes() for file in artifacts} == artifacts


@pytest.mark.heavy
def test_what_derives_from_a_credentialed_data_set_is_marked_in_every_step(
    tmp_path: Path, plugin: Any, write_experiment: Any, shell: Any
) -> None:
    environment = plugin("brokendata", PLUGIN)
    changes = {
        "base.dataset": {"name": "broken", "report": "A report of test."},
        "base.encoders": {"text": {"name": "transformers", "hidden_size": 16, "layers": 1, "heads": 1}},
        "base.tokenizer": {"name": "word", "threshold": 1},
        "axes": {},
        "select": {"metric": "bleu_4"},
        "floors": ["random"],
    }
    ran = shell("run", write_experiment(tmp_path, changes), "--store", tmp_path / "store", "--json", env=environment)
    assert ran.code == 0, ran.err
    marked = [json.loads(done.read_text()) for done in (tmp_path / "store").glob("steps/*/*/DONE")]
    assert {done["kind"] for done in marked} == {"train", "generate", "floor", "score", "select", "intervals"}
    assert {done["license"] for done in marked} == {"credentialed"}
    assert {row["license"] for row in ran.json["rows"]} == {"credentialed"}
    _nothing_half_written(tmp_path / "store")
