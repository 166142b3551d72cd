"""MIMIC-CXR in R2Gen's ``annotation.json``: one item a film, its report beside it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from rrgbench import DataError, Split
from rrgbench_datasets.mimic_cxr.records import Film, study_name, subject_name
from rrgbench_datasets.reading import Mistakes, checked_text, inside, kind_of, one_line, read_json

_KEYS: Mapping[str, Split] = {"train": "train", "val": "validate", "test": "test"}
_SUFFIX = re.compile(r"\.(jpg|jpeg|png|dcm)", re.IGNORECASE)


@dataclass(frozen=True)
class Annotated:
    """The films of the file, and the report of each study."""

    films: tuple[Film, ...]
    reports: Mapping[str, str]


def read_annotation(path: Path) -> Annotated:
    """The checked content of the file. An item may have several films; items of one study must have one report.

    Raises:
        DataError, ManyErrors: the file is not what it should be.
    """
    content = read_json(path)
    if not isinstance(content, dict) or set(content) != set(_KEYS):
        got = f"keys {', '.join(map(repr, content))}" if isinstance(content, dict) else kind_of(content)
        raise DataError(f"{path}: top level", got=got, expected="an object with the keys 'train', 'val', 'test'")
    films: dict[str, Film] = {}
    reports: dict[str, str] = {}
    mistakes = Mistakes()
    for key, split in _KEYS.items():
        items = content[key]
        if not isinstance(items, list):
            mistakes.add(DataError(f"{path}: split {key}", got=kind_of(items), expected="a list of items"))
            continue
        for place, item in enumerate(items):
            where = f"{path}: split {key}, item {place}"
            try:
                for film in _films(where, item, split, reports):
                    if films.setdefault(film.dicom_id, film) is not film:
                        raise DataError(f"{where}: film {film.dicom_id} stands twice", expected="each film once")
            except DataError as error:
                mistakes.add(error)
    mistakes.tell()
    return Annotated(tuple(films.values()), reports)


def _films(where: str, item: Any, split: Split, reports: dict[str, str]) -> list[Film]:
    """The films of one item; its report is kept with its study."""
    if not isinstance(item, dict):
        raise DataError(where, got=kind_of(item), expected="an object with study_id, subject_id, report and image_path")
    for name in ("study_id", "subject_id", "report", "image_path"):
        if name not in item:
            raise DataError(f"{where}: field {name} is missing", got=f"fields {', '.join(item)}")
    study, subject = study_name(_number(item["study_id"])), subject_name(_number(item["subject_id"]))
    if not study or not subject:
        field = "subject_id" if study else "study_id"
        raise DataError(f"{where}: field {field}", got=repr(item[field])[:60], expected="a number")
    report, names = item["report"], item["image_path"]
    if not isinstance(report, str):
        raise DataError(f"{where}: field report", got=kind_of(report), expected="text")
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise DataError(f"{where}: field image_path", got=repr(names)[:200], expected="a list of paths")
    for name in names:
        inside(f"{where}: field image_path", name)
    checked_text(f"{where}: field report", report)
    if reports.setdefault(study, one_line(report)) != one_line(report):
        raise DataError(f"{where}: study {study} has another report than before", expected="one report a study")
    return [_film(study, subject, split, name) for name in names]


def _film(study: str, subject: str, split: Split, name: str) -> Film:
    """Films are known by their paths' last part, as R2Gen names them."""
    path = PurePosixPath(name)
    stem = path.with_suffix("") if _SUFFIX.fullmatch(path.suffix) else path
    return Film(stem.name, study, subject, split, stem.as_posix())


def _number(value: object) -> str:
    return str(value) if isinstance(value, (int, str)) and not isinstance(value, bool) else ""
