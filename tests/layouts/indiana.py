"""IU X-ray's three layouts: R2Gen's annotation, OpenI's archive, Kaggle's pair; two films a study, a subject a study."""

from __future__ import annotations

import csv
import gzip
import io
import json
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from .studies import PhantomStudy, copy_film

_KEYS = {"train": "train", "validate": "val", "test": "test"}
_VIEWS = ("Frontal", "Lateral")


def iu_name(study: PhantomStudy) -> str:
    """A study's id in R2Gen's form."""
    return f"CXR{study.number + 1}_IM-{study.number + 1:04}"


def iu_split(studies: Iterable[PhantomStudy]) -> dict[str, list[str]]:
    """The ids of each split, as they were published if these studies were the collection."""
    made: dict[str, list[str]] = {"train": [], "validate": [], "test": []}
    for one in studies:
        made[one.split].append(iu_name(one))
    return made


def write_iu_r2gen(root: Path, studies: Sequence[PhantomStudy]) -> Path:
    """``annotation.json``, ``images/``, the archive with the other sections, and ``manifest.csv``."""
    items: dict[str, list[dict[str, object]]] = {"train": [], "val": [], "test": []}
    manifest = []
    for one in studies:
        paths = [f"{iu_name(one)}/{place}.png" for place in (0, 1)]
        for path, view in zip(paths, _VIEWS, strict=True):
            copy_film(one.films[0][0], root / "images" / path)
            manifest.append((f"images/{path}", view, 2048, 2000))
        key = _KEYS[one.split]
        items[key].append({"id": iu_name(one), "report": one.report, "image_path": paths, "split": key})
    (root / "annotation.json").write_text(json.dumps(items), encoding="utf-8")
    _table(root / "manifest.csv", ("image", "projection", "dicom_rows", "dicom_columns"), manifest)
    write_openi_archive(root / "NLMCXR_reports.tgz", openi_members(studies))
    return root


def write_openi(root: Path, studies: Sequence[PhantomStudy]) -> Path:
    """The archive of reports, ``NLMCXR_png/``, and the packed table of DICOM headers."""
    write_openi_archive(root / "NLMCXR_reports.tgz", openi_members(studies))
    headers = []
    for one in studies:
        for image in _images(one):
            copy_film(one.films[0][0], root / "NLMCXR_png" / f"{image}.png")
            headers.append((image, "AP" if image.endswith("1001") else "LL"))
    _table(root / "nlmcxr_dicom_metadata.csv.gz", ("imageid", "View Position"), headers)
    return root


def write_kaggle(root: Path, studies: Sequence[PhantomStudy]) -> Path:
    """The tables of reports and projections, and ``images/images_normalized/``."""
    reports, projections = [], []
    for one in studies:
        number = one.number + 1
        reports.append((number, "normal", "normal", "", one.context, "None.", one.report, "Nothing acute."))
        for image, view in zip(_images(one), _VIEWS, strict=True):
            name = f"{image.removeprefix('CXR')}.dcm.png"
            copy_film(one.films[0][0], root / "images" / "images_normalized" / name)
            projections.append((number, name, view))
    columns = ("uid", "MeSH", "Problems", "image", "indication", "comparison", "findings", "impression")
    _table(root / "indiana_reports.csv", columns, reports)
    _table(root / "indiana_projections.csv", ("uid", "filename", "projection"), projections)
    return root


def openi_members(studies: Iterable[PhantomStudy]) -> dict[str, bytes]:
    """OpenI's XML reports by the names of their members."""
    return {f"ecgen-radiology/{one.number + 1}.xml": _xml(one) for one in studies}


def write_openi_archive(path: Path, members: Mapping[str, bytes]) -> None:
    """A packed archive of files."""
    with tarfile.open(path, "w:gz") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def _images(study: PhantomStudy) -> tuple[str, str]:
    return f"{iu_name(study)}-1001", f"{iu_name(study)}-2001"


def _xml(study: PhantomStudy) -> bytes:
    sections = {"COMPARISON": "None.", "INDICATION": study.context, "FINDINGS": study.report, "IMPRESSION": "Nothing acute."}
    texts = "".join(f'<AbstractText Label="{name}">{escape(text)}</AbstractText>' for name, text in sections.items())
    images = "".join(f'<parentImage id="{image}"/>' for image in _images(study))
    return (
        f'<?xml version="1.0" encoding="utf-8"?><eCitation><uId id="CXR{study.number + 1}"/><MedlineCitation><Article><Abstract>'
        f"{texts}</Abstract></Article></MedlineCitation>{images}</eCitation>"
    ).encode()


def _table(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(header)
    writer.writerows(rows)
    content = text.getvalue().encode()
    path.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)
