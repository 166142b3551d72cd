"""The three layouts, each as a collection; which one a folder holds."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Literal

from rrgbench import DataError
from rrgbench_datasets import openi
from rrgbench_datasets.iu_xray import split
from rrgbench_datasets.iu_xray.annotation import annotation_path, read_annotation
from rrgbench_datasets.iu_xray.kaggle import REPORTS, read_kaggle
from rrgbench_datasets.iu_xray.study import Collection, count
from rrgbench_datasets.iu_xray.views import MANIFEST, PROJECTIONS, read_image_views, read_manifest

Layout = Literal["r2gen", "openi", "kaggle"]

_OPENI_FILMS = ("NLMCXR_png", "images")
_KAGGLE_FILMS = ("images/images_normalized", "images_normalized", "images")


def find_layout(root: Path, annotation: str) -> Layout:
    """Which layout a folder holds: R2Gen's before OpenI's before Kaggle's.

    Raises:
        DataError: none of them, naming what was looked for.
    """
    path = annotation_path(root, annotation)
    if path.exists() or annotation != "annotation.json":
        return "r2gen"
    if _openi_reports(root).exists():
        return "openi"
    if (root / REPORTS).exists():
        return "kaggle"
    raise DataError(
        f"{path} cannot be read",
        got="No such file or directory",
        expected=f"{annotation} (layout r2gen), {openi.ARCHIVE} or {openi.FOLDER}/ (openi), or {REPORTS} (kaggle) in the root",
        hint="`rrgbench data download iu_xray --to FOLDER` fetches OpenI's archives",
    )


def _openi_reports(root: Path) -> Path:
    places = (root / openi.ARCHIVE, root / openi.FOLDER, root / "NLMCXR_reports" / openi.FOLDER)
    return next((place for place in places if place.exists()), places[0])


def read_r2gen(root: Path, annotation: str, whole: bool) -> Collection:
    """``annotation.json``, ``images/`` and, where it is there, ``manifest.csv``.

    Args:
        whole: the other sections are wanted too: they come from OpenI's XML reports, by the CXR number.

    Raises:
        DataError: a file is missing or not what it should be.
    """
    path = annotation_path(root, annotation)
    splits = read_annotation(path)
    sources = [path]
    if whole:
        archive = _openi_reports(root)
        if not archive.exists():
            raise DataError(
                f"{archive}: the archive of reports is missing, and the context comes from it",
                expected="OpenI's NLMCXR_reports.tgz in the root of the data set",
                hint="put it there, or set the option context to none and target to findings",
            )
        reports = openi.read_reports(archive, {study.number for studies in splits.values() for study in studies})
        for name, studies in splits.items():
            splits[name] = [
                dataclasses.replace(study, sections={**reports[study.number].sections, **study.sections}) for study in studies
            ]
        sources += _files(archive)
    manifest = read_manifest(root / MANIFEST) if (root / MANIFEST).exists() else None
    if manifest:
        sources.append(root / MANIFEST)
    every = [study for studies in splits.values() for study in studies]
    return Collection(
        splits=splits,
        counts=(count(f"studies of {annotation}", every),),
        sources=tuple(sources),
        folder=root / "images",
        views=manifest.views if manifest else {},
        sizes=manifest.sizes if manifest else {},
    )


def read_openi(root: Path) -> Collection:
    """``NLMCXR_reports.tgz`` (or what was unpacked from it) and the films that OpenI publishes as PNG; views as the tables tell
    that lie beside them.

    Raises:
        DataError: a file is missing or not what it should be.
    """
    place = _openi_reports(root)
    splits, counts = split.rebuild(place, openi.read_reports(place), ".png", split.published())
    views, tables = read_image_views(root)
    return Collection(splits, counts, (*_files(place), *tables), _folder(root, _OPENI_FILMS), views, {})


def read_kaggles(root: Path) -> Collection:
    """``indiana_reports.csv``, ``indiana_projections.csv`` and the films of that pair.

    Raises:
        DataError: a file is missing or not what it should be.
    """
    reports, views = read_kaggle(root)
    splits, counts = split.rebuild(root / REPORTS, reports, "", split.published())
    named = {name.removesuffix(".png"): view for name, view in views.items()}
    return Collection(splits, counts, (root / REPORTS, root / PROJECTIONS), _folder(root, _KAGGLE_FILMS), named, {})


def _files(place: Path) -> list[Path]:
    """An archive, or the reports in a folder."""
    return sorted(place.glob("*.xml")) if place.is_dir() else [place]


def _folder(root: Path, names: tuple[str, ...]) -> Path:
    for name in names:
        if (root / name).is_dir():
            return root / name
    raise DataError(f"{root} holds no folder of films", expected=" or ".join(f"{name}/" for name in names))
