"""Which way a film was taken, and its shape before it was squashed: from the tables that may lie beside the films."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rrgbench import DataError
from rrgbench_datasets.reading import csv_rows, stem

MANIFEST, PROJECTIONS, HEADERS = "manifest.csv", "indiana_projections.csv", "nlmcxr_dicom_metadata.csv.gz"

_OPTIONAL = ("xml_image_id", "dicom_rows", "dicom_columns")
_REMOVE = "remove it, and the views are unknown"
_VIEWS = {"frontal": "frontal", "lateral": "lateral", "": "unknown"}
_FARTHEST = 8
"""No chest film is this many times as long as it is wide."""

# "PA" stands in the headers of 1,368 films that are lateral by Kaggle's projections, and so tells nothing. The others are
# right but for 14 films of 1,290.
_POSITIONS = {"AP": "frontal", "LL": "lateral", "RL": "lateral", "LATERAL": "lateral", "LARGE LATERAL": "lateral"}


@dataclass(frozen=True)
class Manifest:
    """Views by the name of the film without suffix and by OpenI's id, and (width, height) by the name."""

    views: Mapping[str, str]
    by_image: Mapping[str, str]
    sizes: Mapping[str, tuple[int, int]]


def view_of(where: str, text: str) -> str:
    """A projection as a view.

    Raises:
        DataError: another word than Frontal or Lateral.
    """
    view = _VIEWS.get(text.strip().lower())
    if view is None:
        raise DataError(f"{where}, field projection", got=repr(text), expected="Frontal, Lateral or nothing")
    return view


def read_manifest(path: Path) -> Manifest:
    """The table that names the films of R2Gen's layout: ``image`` and ``projection``, and where they are there ``xml_image_id``,
    ``dicom_rows`` and ``dicom_columns``.

    Raises:
        DataError: it is not what it should be.
    """
    views: dict[str, str] = {}
    by_image: dict[str, str] = {}
    sizes: dict[str, tuple[int, int]] = {}
    for where, row in csv_rows(path, ("image", "projection"), optional=_OPTIONAL, hint=_REMOVE):
        name, view = stem(row["image"].removeprefix("images/")), view_of(where, row["projection"])
        views[name] = view
        if row.get("xml_image_id"):
            by_image[row["xml_image_id"]] = view
        if row.get("dicom_rows") and row.get("dicom_columns"):
            sizes[name] = (_side(where, row, "dicom_columns"), _side(where, row, "dicom_rows"))
            if max(sizes[name]) > _FARTHEST * min(sizes[name]):
                got = f"{sizes[name][0]} x {sizes[name][1]}"
                raise DataError(f"{where}, fields dicom_columns and dicom_rows", got=got, expected="the shape of a chest film")
    return Manifest(views, by_image, sizes)


def _side(where: str, row: Mapping[str, str], field: str) -> int:
    text = row[field].strip()
    if not (text.isascii() and text.isdigit() and 0 < len(text) <= 6 and int(text)):
        raise DataError(f"{where}, field {field}", got=repr(row[field]), expected="a number of pixels, or nothing")
    return int(text)


def read_image_views(root: Path) -> tuple[dict[str, str], list[Path]]:
    """Views by OpenI's ids of films, from whichever tables the root holds: Kaggle's projections before the manifest before the
    headers of the DICOM files; and the tables that were read.

    Raises:
        DataError: a table is not what it should be.
    """
    found: dict[str, str] = {}
    sources = [path for name in (HEADERS, MANIFEST, PROJECTIONS) if (path := root / name).exists()]
    for path in sources:
        if path.name == HEADERS:
            for _, row in csv_rows(path, ("imageid", "View Position"), hint=_REMOVE):
                found[row["imageid"]] = _POSITIONS.get(row["View Position"].strip().upper(), "unknown")
        elif path.name == MANIFEST:
            found |= read_manifest(path).by_image
        else:
            for where, row in csv_rows(path, ("uid", "filename", "projection"), hint=_REMOVE):
                # Kaggle cuts "CXR" off the id, and of the films of report 1 the whole "CXR1_".
                name, view = row["filename"].removesuffix(".png").removesuffix(".dcm"), view_of(where, row["projection"])
                found |= {f"CXR{name}": view, f"CXR{row['uid']}_{name}": view}
    return found, sources[::-1]
