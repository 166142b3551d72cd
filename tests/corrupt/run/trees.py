"""Right trees of every data set that reads files, and which of their files are damaged, as what."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from PIL import Image

from .films import as_dicom
from .plain import File


def _layouts() -> ModuleType:
    folder = Path(__file__).parents[2] / "layouts"
    place = [str(folder)]
    spec = importlib.util.spec_from_file_location("rrgbench_layouts", folder / "__init__.py", submodule_search_locations=place)
    assert spec is not None and spec.loader is not None
    if spec.name not in sys.modules:
        sys.modules[spec.name] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[spec.name]


layouts = _layouts()
STUDIES = 20


@dataclass(frozen=True)
class Tree:
    """A right tree: the data set that reads it, how studies of phantom are laid down, its options and its files."""

    dataset: str
    lay: Callable[[Path, Sequence[Any]], object]
    files: tuple[File, ...]
    options: Mapping[str, Any] = field(default_factory=dict)


def published(studies: Sequence[Any]) -> dict[str, list[str]]:
    """IU X-ray's published split, if these studies were the collection."""
    split: dict[str, list[str]] = layouts.iu_split(studies)
    return split


def trees_laid(folder: Path) -> tuple[dict[str, Path], list[Any]]:
    """Every tree in a folder of its own, and the studies that are in all of them."""
    studies = layouts.phantom_studies(folder / "phantom", studies=STUDIES)
    places = {name: folder / name for name in TREES}
    for name, tree in TREES.items():
        places[name].mkdir()
        tree.lay(places[name], studies)
    return places, studies


def _mimic(root: Path, studies: Sequence[Any]) -> None:
    layouts.write_mimic(root, layouts.mimic_studies(studies), records=True)


def _packed(root: Path, studies: Sequence[Any]) -> None:
    """Everything packed, and DICOM files in place of JPEGs."""
    named = layouts.mimic_studies(studies)
    layouts.write_mimic(root, named, packed=True, records=True, texts=False)
    layouts.write_reports_zip(root, named)
    for path in sorted(root.rglob("*.jpg")):
        with Image.open(path) as film:
            path.with_suffix(".dcm").write_bytes(as_dicom(np.asarray(film.convert("L"))))
        path.unlink()


def _sectioned(root: Path, studies: Sequence[Any]) -> None:
    named = layouts.mimic_studies(studies)
    layouts.write_mimic(root, named, texts=False)
    layouts.write_sectioned(root, named)


def _annotated(root: Path, studies: Sequence[Any]) -> None:
    layouts.write_r2gen(root, layouts.mimic_studies(studies))


SPLIT = {"column": "study_id", "path": "dicom_id", "wrong": {"study_id": "s5o", "split": "dev"}}
META = {"column": "ViewPosition", "wrong": {"StudyDate": "May 6", "StudyTime": "noon"}}
RECORDS = {"column": "path", "path": "path", "wrong": {"study_id": "one"}}
TABLE = {"column": "report", "path": "images", "wrong": {"split": "holdout", "views": "oblique"}}
ITEMS = {"columns": {"views": "views", "context": "context"}}
ARCHIVE = File("NLMCXR_reports.tgz", "tgz")

TREES: dict[str, Tree] = {
    "iu_xray r2gen": Tree(
        "iu_xray",
        layouts.write_iu_r2gen,
        (
            File("annotation.json", "json", key="test", wrong={"id": "study 1", "split": "val"}),
            File("manifest.csv", "csv", column="projection", wrong={"projection": "Oblique", "dicom_rows": "-1"}),
            ARCHIVE,
            File("images/*/*.png", "film"),
        ),
    ),
    "iu_xray openi": Tree(
        "iu_xray",
        layouts.write_openi,
        (
            ARCHIVE,
            File("nlmcxr_dicom_metadata.csv.gz", "csv.gz", column="View Position"),
            File("NLMCXR_png/*.png", "film"),
        ),
    ),
    "iu_xray kaggle": Tree(
        "iu_xray",
        layouts.write_kaggle,
        (
            File("indiana_reports.csv", "csv", column="findings", wrong={"uid": "one"}),
            File("indiana_projections.csv", "csv", column="uid", path="filename", wrong={"projection": "Oblique"}),
            File("images/images_normalized/*.png", "film"),
        ),
    ),
    "mimic_cxr": Tree(
        "mimic_cxr",
        _mimic,
        (
            File("mimic-cxr-2.0.0-split.csv", "csv", **SPLIT),
            File("mimic-cxr-2.0.0-metadata.csv", "csv", **META),
            File("cxr-record-list.csv", "csv", **RECORDS),
            File("files/p*/p*/s*.txt", "report"),
            File("files/p*/p*/s*/*.jpg", "film"),
        ),
        {"prior_studies": 1},
    ),
    "mimic_cxr packed": Tree(
        "mimic_cxr",
        _packed,
        (
            File("mimic-cxr-2.0.0-split.csv.gz", "csv.gz", **SPLIT),
            File("mimic-cxr-reports.zip", "zip"),
            File("files/p*/p*/s*/*.dcm", "film"),
        ),
    ),
    "mimic_cxr sectioned": Tree(
        "mimic_cxr",
        _sectioned,
        (File("mimic_cxr_sectioned.csv", "csv", column="findings", wrong={"study": "study one"}),),
        {"reports": "sectioned_csv", "context": ("comparison",)},
    ),
    "mimic_cxr annotation": Tree(
        "mimic_cxr",
        _annotated,
        (File("annotation.json", "json", key="test", wrong={"study_id": "one"}),),
        {"annotation": "annotation.json", "context": ()},
    ),
    "chexpert_plus": Tree(
        "chexpert_plus",
        layouts.write_chexpert,
        (
            File(
                layouts.CHEXPERT_TABLE,
                "csv",
                column="section_findings",
                path="path_to_image",
                wrong={"frontal_lateral": "Oblique", "patient_report_date_order": "first", "split": "test"},
            ),
            File(layouts.CHEXPERT_LABELS, "jsonl", text="path_to_image", many="", wrong={"Edema": "yes"}, first=True),
            File("PNG/*/*/*/*.png", "film"),
        ),
        {"validate_share": 0.3, "labels": "findings"},
    ),
    "rexrank": Tree(
        "rexrank",
        layouts.write_rexrank,
        (File("test.json", "object", text="section_findings"), File("images/*/*.png", "film")),
        {"validate": "valid.json", "train": "train.json"},
    ),
    "table csv": Tree(
        "table",
        layouts.write_csv,
        (File("table.csv", "csv", **TABLE), File("films/*.png", "film")),
        {**ITEMS, "labels": "finding_"},
    ),
    "table jsonl": Tree(
        "table",
        layouts.write_jsonl,
        (File("table.jsonl", "jsonl", many="images", path="images", wrong={"split": "holdout"}),),
        {"file": "table.jsonl", **ITEMS},
    ),
    "table parquet": Tree(
        "table",
        layouts.write_parquet,
        (File("table.parquet", "parquet", column="report", path="images", many="images"),),
        {"file": "table.parquet", "columns": {"views": "views"}},
    ),
}
