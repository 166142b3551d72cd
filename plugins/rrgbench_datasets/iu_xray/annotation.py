"""R2Gen's layout: ``annotation.json`` in the schema of cuhksz-nlp/R2Gen, checked field by field."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from rrgbench import SPLITS, ConfigError, DataError, Split
from rrgbench_datasets.iu_xray.study import Study
from rrgbench_datasets.reading import checked_text, inside, kind_of, read_json

KEYS: Mapping[str, Split] = {"train": "train", "val": "validate", "test": "test"}
"""How R2Gen calls the splits."""

_STUDY = re.compile(r"CXR([0-9]{1,9})_[A-Za-z0-9_-]{1,100}")


def annotation_path(root: Path, annotation: str) -> Path:
    """Where the annotation file is.

    Raises:
        ConfigError: the option does not name a file in the root.
    """
    return root / inside("iu_xray: option annotation", annotation, ConfigError)


def read_annotation(path: Path) -> dict[Split, list[Study]]:
    """The checked studies of each split, under the platform's split names; their one section is the findings.

    Raises:
        DataError: the file is not what it should be, naming the item and the field.
    """
    content = read_json(path, hint="the root should hold annotation.json, as R2Gen publishes it, and images/")
    if not isinstance(content, dict):
        raise DataError(f"{path}: top level", got=kind_of(content), expected="an object with the keys train, val, test")
    if set(content) != set(KEYS):
        missing, extra = sorted(set(KEYS) - set(content)), sorted(set(content) - set(KEYS))
        hint = "download the file again"
        if extra:
            hint = "rename or remove " + (f"the key {extra[0]!r}" if extra[0].strip() else "the blank key")
        raise DataError(
            f"{path}: top level: " + ("missing " + ", ".join(missing) if missing else "unknown keys"),
            got=f"keys {', '.join(repr(key) for key in content)}",
            expected="keys 'train', 'val', 'test'",
            hint=hint,
        )
    splits: dict[Split, list[Study]] = {}
    for key, split in KEYS.items():
        if not isinstance(content[key], list) or not content[key]:
            got = "an empty list" if content[key] == [] else kind_of(content[key])
            raise DataError(f"{path}: split {key}", got=got, expected="a list of at least one study")
        splits[split] = [_item(f"{path}: split {key}, item {place}", key, entry) for place, entry in enumerate(content[key])]
    _check_once(splits)
    return splits


def _item(where: str, key: str, entry: object) -> Study:
    if not isinstance(entry, dict):
        raise DataError(where, got=kind_of(entry), expected="an object with id, report and image_path")
    for field, expected in (("id", str), ("report", str), ("image_path", list)):
        if field not in entry:
            raise DataError(f"{where}: field {field} is missing", got=f"fields {', '.join(entry)}")
        if not isinstance(entry[field], expected):
            raise DataError(
                f"{where}: field {field}", got=kind_of(entry[field]), expected="text" if expected is str else "a list"
            )
    match = _STUDY.fullmatch(entry["id"])
    if match is None:
        raise DataError(f"{where}: field id", got=repr(entry["id"]), expected="the like of CXR2384_IM-0942")
    where = f"{where} ({entry['id']})"
    if entry.get("split", key) != key:
        raise DataError(f"{where}: field split", got=repr(entry["split"]), expected=f"{key!r}, where the item stands")
    _check_report(where, entry["report"])
    _check_image_path(where, entry["image_path"])
    return Study(where, entry["id"], int(match[1]), tuple(entry["image_path"]), {"findings": entry["report"]})


def _check_report(where: str, report: str) -> None:
    if not report.strip():
        raise DataError(f"{where}: field report is empty", expected="text", hint="leave the study out")
    checked_text(f"{where}: field report", report)


def _check_image_path(where: str, names: list[object]) -> None:
    for name in names:
        if not isinstance(name, str):
            raise DataError(f"{where}: field image_path", got=f"a list with {kind_of(name)}", expected="a list of texts")
        inside(f"{where}: field image_path", name)
    if not names or len(set(names)) < len(names):
        raise DataError(f"{where}: field image_path", got=names, expected="at least one film, none of them twice")


def _check_once(splits: Mapping[Split, list[Study]]) -> None:
    """Each study and film stands once, and no subject in two splits."""
    studies: set[str] = set()
    owners: dict[str, str] = {}
    split_of: dict[int, str] = {}
    for split in SPLITS:
        for item in splits[split]:
            if item.study_id in studies:
                raise DataError(f"{item.where}: the study stands twice", expected="each id once", hint="remove one of the two")
            studies.add(item.study_id)
            if split_of.setdefault(item.number, split) != split:
                raise DataError(
                    f"{item.where}: subject CXR{item.number} stands in two splits",
                    got=f"{split_of[item.number]} and {split}",
                    expected="all studies of a subject in one split",
                    hint="remove it from one of them",
                )
            for name in item.films:
                if owners.setdefault(name, item.study_id) != item.study_id:
                    raise DataError(
                        f"{item.where}: field image_path", got=f"{name}, which {owners[name]} has", expected="own films"
                    )
