"""IU X-ray (OpenI) in R2Gen's split: 2,069 studies to train, 296 to validate and 590 to test on."""

from __future__ import annotations

import csv
import json
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, Literal

from rrgbench import SPLITS, DataError, Inputs, Targets
from rrgbench.text import Placeholders
from rrgbench_datasets.openi import indications
from rrgbench_datasets.preparing import TextRule, prepare_context, prepare_reports

_KEYS: Mapping[str, Literal["train", "validate", "test"]] = {"train": "train", "val": "validate", "test": "test"}
_ARCHIVE, _MANIFEST = "NLMCXR_reports.tgz", "manifest.csv"
_VIEWS = {"frontal": "frontal", "lateral": "lateral", "": "unknown"}
_SUFFIXES = (".jpg", ".png", ".jpeg")
_STUDY = re.compile(r"CXR([0-9]{1,9})_[A-Za-z0-9_-]{1,100}")
_TEXT_BYTES = 1 << 28


@dataclass(frozen=True)
class _Item:
    """One checked entry of the annotation file."""

    where: str
    study_id: str
    subject: int
    report: str
    image_path: tuple[str, ...]


class IUXray:
    """IU X-ray (OpenI) in R2Gen's split; the report is the FINDINGS section, the context the INDICATION.

    Read from ``annotation.json`` in R2Gen's schema (cuhksz-nlp/R2Gen) beside ``images/``.

    The context is the INDICATION of OpenI's XML report, joined by the CXR number from ``NLMCXR_reports.tgz`` in the root.
    A subject is a CXR number, since OpenI has one report a patient. Views come from ``manifest.csv`` in the root (columns
    ``image`` and ``projection``: Frontal or Lateral) and are ``unknown`` where it, or a film in it, is missing. A film may
    be named .jpg or .png where the file has the other suffix. Films are looked for here and decoded later.

    Args:
        root: the folder of the data set.
        annotation: the name of the annotation file in the root.
        target: the section to write; the annotation file holds FINDINGS only.
        text: how the reports of the train split are cleaned, by R2Gen's rule for one; validate and test stay verbatim.
        placeholders, context_placeholders: what becomes of ``XXXX`` in the reports of the train split, and in contexts.
        context: ``none`` leaves the context empty and needs no archive.
        missing_images: ``drop`` goes on without films that are not there (``dropped_images`` names them), as long as
            each study keeps one.

    Raises:
        DataError: a file is missing, cannot be read, or is not what it should be.
    """

    license: ClassVar[Literal["open", "credentialed"]] = "open"

    def __init__(
        self,
        root: Path,
        *,
        annotation: str = "annotation.json",
        target: Literal["findings"] = "findings",
        text: TextRule = "raw",
        placeholders: Placeholders = "keep",
        context_placeholders: Placeholders = "keep",
        context: Literal["indication", "none"] = "indication",
        missing_images: Literal["error", "drop"] = "error",
    ) -> None:
        path = _annotation_path(root, annotation)
        splits = _read_annotation(path)
        self._sources = [path]
        contexts: Mapping[int, str] = {}
        if context == "indication":
            archive = _archive_path(root)
            found = indications(archive, {item.subject for items in splits.values() for item in items})
            contexts = {subject: prepare_context(one, context_placeholders) for subject, one in found.items()}
            self._sources.append(archive)
        views: Mapping[str, str] = {}
        if (root / _MANIFEST).exists():
            views = _read_views(root / _MANIFEST)
            self._sources.append(root / _MANIFEST)
        films = _Films(root / "images", views, drop=missing_images == "drop")
        self._inputs = {
            split: tuple(
                Inputs(item.study_id, f"CXR{item.subject}", *films.of(item), context=contexts.get(item.subject, ""))
                for item in items
            )
            for split, items in splits.items()
        }
        self._targets = {split: tuple(Targets(item.study_id, item.report) for item in items) for split, items in splits.items()}
        prepared = prepare_reports([item.report for item in splits["train"]], text, "iu", placeholders)
        self._targets["train"] = tuple(Targets(item.study_id, report) for item, report in zip(splits["train"], prepared))
        self.dropped_images = tuple(films.dropped)

    def inputs(self, split: Literal["train", "validate", "test"]) -> tuple[Inputs, ...]:
        """The films, views and indication of each study."""
        return self._inputs[split]

    def targets(self, split: Literal["train", "validate", "test"]) -> tuple[Targets, ...]:
        """The findings of each study, in the order of ``inputs``."""
        return self._targets[split]

    def sources(self) -> tuple[Path, ...]:
        """The annotation file and, where they were read, the archive and the manifest."""
        return tuple(self._sources)


def _annotation_path(root: Path, annotation: str) -> Path:
    if PurePosixPath(annotation).name != annotation:
        raise DataError("iu_xray: option annotation", got=annotation, expected="the name of a file in the root")
    return root / annotation


def _archive_path(root: Path) -> Path:
    archive = root / _ARCHIVE
    if not archive.is_file():
        raise DataError(
            f"{archive}: the archive of reports is missing, and the context comes from it",
            expected="OpenI's NLMCXR_reports.tgz in the root of the data set",
            hint="put it there, or set the option context to none",
        )
    return archive


def _read_text(path: Path, hint: str) -> str:
    try:
        if path.stat().st_size > _TEXT_BYTES:
            raise DataError(f"{path} is too large", got=f"{path.stat().st_size} bytes", expected=f"at most {_TEXT_BYTES}")
        return path.read_bytes().decode("utf-8")
    except OSError as error:
        raise DataError(f"{path} cannot be read", got=error.strerror, expected="a file", hint=hint) from error
    except UnicodeDecodeError as error:
        got = f"byte 0x{error.object[error.start]:02x} at offset {error.start}"
        raise DataError(f"{path} is not UTF-8", got=got, expected="text in UTF-8", hint="save it as UTF-8") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"key {next(key for key in keys if keys.count(key) > 1)!r} stands twice in one object")
    return made


def _read_annotation(path: Path) -> dict[str, list[_Item]]:
    """The checked items of each split, under the platform's split names."""
    text = _read_text(path, "the root should hold annotation.json, as R2Gen publishes it, and images/")
    try:
        content = json.loads(text, object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        hint = "the file may be cut short: download it again"
        raise DataError(f"{path} is not JSON", got=error, expected="R2Gen's annotation", hint=hint) from error
    if not isinstance(content, dict):
        raise DataError(f"{path}: top level", got=_kind(content), expected="an object with the keys train, val, test")
    if set(content) != set(_KEYS):
        missing, extra = sorted(set(_KEYS) - set(content)), sorted(set(content) - set(_KEYS))
        hint = "download the file again"
        if extra:
            hint = "rename or remove " + (f"the key {extra[0]!r}" if extra[0].strip() else "the blank key")
        raise DataError(
            f"{path}: top level: " + ("missing " + ", ".join(missing) if missing else "unknown keys"),
            got=f"keys {', '.join(repr(key) for key in content)}",
            expected="keys 'train', 'val', 'test'",
            hint=hint,
        )
    splits: dict[str, list[_Item]] = {}
    for key, split in _KEYS.items():
        if not isinstance(content[key], list) or not content[key]:
            got = "an empty list" if content[key] == [] else _kind(content[key])
            raise DataError(f"{path}: split {key}", got=got, expected="a list of at least one study")
        splits[split] = [_item(f"{path}: split {key}, item {place}", key, entry) for place, entry in enumerate(content[key])]
    _check_once(splits)
    return splits


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def _item(where: str, key: str, entry: object) -> _Item:
    if not isinstance(entry, dict):
        raise DataError(where, got=_kind(entry), expected="an object with id, report and image_path")
    for field, expected in (("id", str), ("report", str), ("image_path", list)):
        if field not in entry:
            raise DataError(f"{where}: field {field} is missing", got=f"fields {', '.join(entry)}")
        if not isinstance(entry[field], expected):
            raise DataError(f"{where}: field {field}", got=_kind(entry[field]), expected="text" if expected is str else "a list")
    match = _STUDY.fullmatch(entry["id"])
    if match is None:
        raise DataError(f"{where}: field id", got=repr(entry["id"]), expected="the like of CXR2384_IM-0942")
    where = f"{where} ({entry['id']})"
    if entry.get("split", key) != key:
        raise DataError(f"{where}: field split", got=repr(entry["split"]), expected=f"{key!r}, where the item stands")
    _check_report(where, entry["report"])
    _check_image_path(where, entry["image_path"])
    return _Item(where, entry["id"], int(match[1]), entry["report"], tuple(entry["image_path"]))


def _check_report(where: str, report: str) -> None:
    if not report.strip():
        raise DataError(f"{where}: field report is empty", expected="text", hint="leave the study out")
    if re.search("[\ud800-\udfff]", report):
        raise DataError(f"{where}: field report", got="a lone surrogate, which is no character", expected="text")


def _check_image_path(where: str, names: list[object]) -> None:
    for name in names:
        if not isinstance(name, str):
            raise DataError(f"{where}: field image_path", got=f"a list with {_kind(name)}", expected="a list of texts")
        path = PurePosixPath(name)
        if not path.name or not name.isprintable() or "\\" in name or path.is_absolute() or ".." in path.parts:
            expected = "a path inside images/, with forward slashes and without '..'"
            raise DataError(f"{where}: field image_path", got=repr(name), expected=expected)
    if not names or len(set(names)) < len(names):
        raise DataError(f"{where}: field image_path", got=names, expected="at least one film, none of them twice")


def _check_once(splits: Mapping[str, list[_Item]]) -> None:
    """Each study and film stands once, and no subject in two splits."""
    studies: set[str] = set()
    owners: dict[str, str] = {}
    split_of: dict[int, str] = {}
    for split in SPLITS:
        for item in splits[split]:
            if item.study_id in studies:
                raise DataError(f"{item.where}: the study stands twice", expected="each id once", hint="remove one of the two")
            studies.add(item.study_id)
            if split_of.setdefault(item.subject, split) != split:
                raise DataError(
                    f"{item.where}: subject CXR{item.subject} stands in two splits",
                    got=f"{split_of[item.subject]} and {split}",
                    expected="all studies of a subject in one split",
                    hint="remove it from one of them",
                )
            for name in item.image_path:
                if owners.setdefault(name, item.study_id) != item.study_id:
                    raise DataError(
                        f"{item.where}: field image_path", got=f"{name}, which {owners[name]} has", expected="own films"
                    )


def _stem(name: str) -> str:
    """A film's name without its suffix, if that is a suffix of films."""
    return name.rpartition(".")[0] if name.lower().endswith(_SUFFIXES) else name


def _read_views(path: Path) -> dict[str, str]:
    """Views by the name of the film under ``images/``, without suffix."""
    views = {}
    try:
        rows = csv.DictReader(_read_text(path, "remove it, and the views are unknown").splitlines(), strict=True)
        if not {"image", "projection"} <= set(rows.fieldnames or ()):
            got = f"columns {', '.join(rows.fieldnames or ())}"
            raise DataError(f"{path}: header", got=got, expected="the columns image and projection")
        for row in rows:
            view = _VIEWS.get((row["projection"] or "").strip().lower())
            if view is None:
                where = f"{path}: line {rows.line_num}, field projection"
                raise DataError(where, got=repr(row["projection"]), expected="Frontal, Lateral or nothing")
            views[_stem((row["image"] or "").removeprefix("images/"))] = view
    except csv.Error as error:
        raise DataError(f"{path} is not CSV", got=error, hint="remove it, and the views are unknown") from error
    return views


class _Films:
    """Finds the files of studies and their views."""

    def __init__(self, folder: Path, views: Mapping[str, str], *, drop: bool) -> None:
        if not folder.is_dir():
            raise DataError(f"{folder} is not a folder", expected="the films, as images/<study>/<k>.jpg or .png")
        self._folder, self._views, self._drop = folder, views, drop
        self.dropped: list[str] = []

    def of(self, item: _Item) -> tuple[tuple[Path, ...], tuple[str, ...]]:
        """The files of a study and their views."""
        found = {name: path for name in item.image_path if (path := self._find(item, name)) is not None}
        if not found:
            raise DataError(f"{item.where}: field image_path", got="no film that is there", expected="at least one")
        return tuple(found.values()), tuple(self._views.get(_stem(name), "unknown") for name in found)

    def _find(self, item: _Item, name: str) -> Path | None:
        stem = _stem(name)
        for candidate in dict.fromkeys((name, *(stem + suffix for suffix in _SUFFIXES if stem != name))):
            path = self._folder / candidate
            try:
                status = path.stat()
            except OSError:
                continue
            if not stat.S_ISREG(status.st_mode) or not status.st_size:
                hint = "fetch the film again"
                raise DataError(f"{item.where}: film {path}", got="an empty file or a folder", expected="an image", hint=hint)
            return path
        if self._drop:
            self.dropped.append(name)
            return None
        raise DataError(
            f"{item.where}: a film is missing",
            got=f"no file {self._folder / name}",
            expected="the film, as .jpg or .png",
            hint="fetch it, or set the option missing_images to drop",
        )
