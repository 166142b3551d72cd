"""Damage to every kind of file of every data set: one line for each mistake, exit 2, and a store as it was before.

The cases are a product (``run/``), and what a case draws comes from its name, so that it is the same everywhere. A data set is
read as its child process reads it, with the store on disk; films go through the step that prepares them, too.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import re
import shutil
import sys
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from rrgbench import data
from rrgbench.catalogue import Catalogue, Component
from rrgbench.data import DataRecord, errors_from, load_inputs
from rrgbench.plan.steps import Step
from rrgbench.runner.worker import execute
from rrgbench.store import Store, damaged_files

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(importlib.util.find_spec("pydicom") is None, reason="pydicom is not installed: films are DICOM files too"),
    pytest.mark.skipif(importlib.util.find_spec("pyarrow") is None, reason="pyarrow is not installed: a table is Parquet"),
]


def _run() -> ModuleType:
    folder = Path(__file__).with_name("run")
    place = [str(folder)]
    spec = importlib.util.spec_from_file_location(
        "rrgbench_corrupt_run", folder / "__init__.py", submodule_search_locations=place
    )
    assert spec is not None and spec.loader is not None
    if spec.name not in sys.modules:
        sys.modules[spec.name] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[spec.name]


run = _run()
PIXELS = "prepare films"
"""The step that a case ends in where the data set cannot see what is wrong with a film."""


@dataclass(frozen=True)
class Laid:
    """Right trees, what is read of each, and the reports that stand in them."""

    places: Mapping[str, Path]
    records: Mapping[str, DataRecord]
    reports: tuple[str, ...]
    components: Mapping[str, Component]
    encoder: Component


@dataclass(frozen=True)
class Ended:
    """What came of reading a tree: exit code, lines of mistakes, and the record where there is one."""

    code: int
    lines: tuple[str, ...]
    record: DataRecord | None


@pytest.fixture(scope="module")
def laid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laid]:
    """The trees; IU X-ray's published split is that of the studies in them."""
    folder = tmp_path_factory.mktemp("trees")
    with pytest.MonkeyPatch.context() as patch:
        places, studies = run.trees_laid(folder)
        patch.setattr("rrgbench_datasets.iu_xray.split.published", lambda: run.published(studies))
        catalogue = Catalogue.load()
        components = {
            name: catalogue.resolve("datasets", {"name": tree.dataset, **tree.options}, "dataset")
            for name, tree in run.TREES.items()
        }
        encoder = catalogue.resolve("image_encoders", {"name": "timm", "model": "test_vit", "size": 32}, "encoder")
        records = {}
        for name, place in places.items():
            ended = read(components[name], place, _store(folder / f"{name} store"), folder)
            assert ended.record is not None, f"{name}: {ended.lines}"
            records[name] = ended.record
        yield Laid(places, records, tuple(one.report for one in studies), components, encoder)


def _store(folder: Path) -> Store:
    store = Store(folder)
    store.create()
    return store


def read(component: Component, root: Path, store: Store, scratch: Path) -> Ended:
    """The child process's whole way, in this one."""
    out, told = store.root / "data" / "index" / "record.json", scratch / "told.json"
    request = {"component": component.request(), "root": str(root), "store": str(store.root), "out": str(out)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", io.StringIO(json.dumps(request)))
        code = data.main(str(told))
    if code:
        return Ended(code, tuple(str(error) for error in errors_from(json.loads(told.read_text(encoding="utf-8")))), None)
    return Ended(code, (), DataRecord.model_validate_json(out.read_bytes()))


def prepare(laid: Laid, record: DataRecord, film: Path, store: Store) -> Ended:
    """The step that prepares the films of the split that a film is in, as a worker does it."""
    folder = Path(record.folder)
    (split,) = (
        split for split in record.splits.values() if any(film in one.images for one in load_inputs(store, split.inputs, folder))
    )
    payload = {"image_encoder": laid.encoder, "inputs": split.inputs}
    step = Step("pixels", PIXELS, payload, folders={split.inputs: str(folder)}, license=record.license)
    told: dict[str, Mapping[str, Any]] = {}
    execute(store, step.request(), "cpu", 1, lambda what, more: told.update({what: more}))
    if "failed" not in told:
        return Ended(0, (), record)
    # As the shell does: the user's mistake is 2, any other 1.
    return Ended(2 if told["failed"]["mistake"] in ("DataError", "ConfigError") else 1, (told["failed"]["error"],), None)


def listing(store: Store) -> list[str]:
    """All that is in a store, but for the reasons of failures, which it keeps."""
    found = (path.relative_to(store.root).as_posix() for path in store.root.rglob("*"))
    return sorted(name for name in found if not re.fullmatch(r"failures/[0-9a-f]{64}\.json", name))


@pytest.mark.parametrize("case", run.CASES, ids=lambda case: case.id)
def test_damage_ends_in_clear_mistakes_and_a_store_as_it_was(
    case: Any, laid: Laid, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    root, store = tmp_path / "root", _store(tmp_path / "store")
    shutil.copytree(laid.places[case.tree], root)
    hurt = case.hurt(root)
    before = listing(store)
    with _no_warnings():
        ended = read(laid.components[case.tree], root, store, tmp_path)
        if ended.record is not None and case.file.kind == "film":
            before = listing(store)
            ended = prepare(laid, ended.record, hurt, store)
    assert ended.code == 2, f"{ended}"
    assert ended.lines
    for line in ended.lines:
        assert line.isprintable() and len(line) < 1500, line
        assert not any(report in line for report in laid.reports), "a report stands in a message"
    assert any(hurt.name in line for line in ended.lines) or not run.names_the_file(case), ended.lines
    assert listing(store) == before
    assert capfd.readouterr() == ("", "")


@contextlib.contextmanager
def _no_warnings() -> Iterator[None]:
    """Warnings would stand on standard error. Recorded and not raised: raised, they would be another way to refuse a file."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        yield
    assert [str(warning.message) for warning in told] == []


@pytest.mark.parametrize(("case", "reason"), run.TOLERATED, ids=lambda value: getattr(value, "id", ""))
def test_what_is_rightly_tolerated_is_read_without_a_word(
    case: Any, reason: Any, laid: Laid, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    root, store = tmp_path / "root", _store(tmp_path / "store")
    shutil.copytree(laid.places[case.tree], root)
    hurt = case.hurt(root)
    with _no_warnings():
        ended = read(laid.components[case.tree], root, store, tmp_path)
        assert ended.record is not None, ended.lines
        if case.file.kind == "film":
            ended = prepare(laid, ended.record, hurt, store)
    assert ended.code == 0 and ended.record is not None, ended.lines
    right = laid.records[case.tree].splits
    left_out = {name: right[name].studies - split.studies for name, split in ended.record.splits.items()}
    assert sum(left_out.values()) == reason.left_out, left_out
    assert (
        [split.targets for split in ended.record.splits.values()] == [split.targets for split in right.values()]
    ) == reason.same
    assert capfd.readouterr() == ("", "")


# By the shell.

CHECKED = (
    "iu_xray r2gen: annotation.json: cut in the middle",
    "iu_xray r2gen: NLMCXR_reports.tgz: a report: a document type with entities",
    "mimic_cxr packed: mimic-cxr-reports.zip: a report that unpacks to 64 MB",
    "mimic_cxr: files/p*/p*/s*/*.jpg: a decompression bomb",
    "chexpert_plus: chexbert_labels/findings_fixed.json: very deep",
    "rexrank: test.json: UTF-16",
    "table parquet: table.parquet: a footer of 2 GB",
)
RUN = (
    "mimic_cxr: mimic-cxr-2.0.0-split.csv: a path upward",
    "chexpert_plus: df_chexpert_plus_240401.csv: cut in a row",
    "rexrank: test.json: a web page",
    "table jsonl: table.jsonl: report with half a character",
    "table csv: films/*.png: cut in the middle",
    "mimic_cxr packed: files/p*/p*/s*/*.dcm: DICOM: fewer pixels than it says",
)
"""Films of train: this experiment reads none of validate."""

BY_ID = {case.id: case for case in run.CASES}


@pytest.mark.parametrize("name", CHECKED)
def test_data_check_tells_it_and_exits_with_2(name: str, laid: Laid, tmp_path: Path, shell: Any) -> None:
    case, root = BY_ID[name], tmp_path / "root"
    shutil.copytree(laid.places[case.tree], root)
    hurt = case.hurt(root)
    tree = run.TREES[case.tree]
    options = [f"--set={option}={json.dumps(value)}" for option, value in tree.options.items()]
    ran = shell("data", "check", tree.dataset, "--root", root, "--json", *options)
    assert (ran.code, ran.err) == (2, "")
    assert "Traceback" not in ran.out
    mistakes = [finding["what"] for finding in ran.json["findings"] if finding["level"] == "error"]
    assert any(hurt.name in what for what in mistakes), mistakes
    assert all(what.isprintable() for what in mistakes)
    assert [path.name for path in tmp_path.iterdir()] == ["root"]


@pytest.mark.parametrize("name", RUN)
def test_a_run_tells_it_exits_with_2_and_leaves_nothing_half_done(
    name: str, laid: Laid, tmp_path: Path, shell: Any, write_experiment: Any
) -> None:
    case, root, store = BY_ID[name], tmp_path / "root", Store(tmp_path / "store")
    shutil.copytree(laid.places[case.tree], root)
    hurt = case.hurt(root)
    tree = run.TREES[case.tree]
    image = {"image": {"name": "timm", "model": "test_vit", "size": 32}}
    dataset = {"name": tree.dataset, "root": str(root), **tree.options}
    asked = write_experiment(tmp_path, {"base.dataset": dataset, "base.encoders": image, "axes": {}})
    ran = shell("run", asked, "--store", store.root)
    assert ran.code == 2, ran.err
    assert "Traceback" not in ran.err + ran.out
    assert hurt.name in ran.err
    artifacts = [path for path in store.root.glob("steps/*/*") if damaged_files(path) == []]
    assert len(artifacts) == len(list(store.root.glob("steps/*/*")))
    left = [path for folder in ("tmp", "leases", "rows") for path in (store.root / folder).rglob("*") if path.is_file()]
    assert left == []
    if case.file.kind != "film":
        assert [line[:7] for line in ran.err.splitlines()] == ["error: "] * len(ran.err.splitlines())
        assert artifacts == [] and not list(store.root.glob("data/**/*.json*"))


# Their number.

COLUMNS = {
    "tables": ("csv", "csv.gz", "parquet"),
    "JSON": ("json", "object", "jsonl"),
    "archives": ("tgz", "zip"),
    "loose reports": ("report",),
    "films": ("film",),
}


def test_the_run_has_at_least_three_hundred_cases_over_every_tree() -> None:
    assert len(run.CASES) >= 300
    assert len(BY_ID) == len(run.CASES)
    assert {case.tree for case in run.CASES} == set(run.TREES)


def test_the_page_tells_the_number_of_cases_by_tree_and_kind_of_file() -> None:
    counted = Counter((case.tree, column) for case in run.CASES for column, kinds in COLUMNS.items() if case.file.kind in kinds)
    rows = [f"| tree | {' | '.join(COLUMNS)} | all |"]
    for tree in run.TREES:
        cells = [counted[tree, column] for column in COLUMNS]
        rows.append(f"| {tree} | {' | '.join(str(cell or '') for cell in cells)} | {sum(cells)} |")
    cells = [sum(counted[tree, column] for tree in run.TREES) for column in COLUMNS]
    rows.append(f"| **all** | {' | '.join(map(str, cells))} | **{len(run.CASES)}** |")
    page = (Path(__file__).parents[2] / "docs" / "robustness.md").read_text(encoding="utf-8")
    missing = [row for row in rows if row not in page]
    assert missing == [], "\n".join(rows)
