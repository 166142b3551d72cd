"""MIMIC-CXR-JPG's layout: tables, films, and reports as text files, zip, the official table of sections, R2Gen's JSON."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .studies import PhantomStudy, copy_film

METADATA = (
    "dicom_id",
    "subject_id",
    "study_id",
    "PerformedProcedureStepDescription",
    "ViewPosition",
    "Rows",
    "Columns",
    "StudyDate",
    "StudyTime",
    "ProcedureCodeSequence_CodeMeaning",
    "ViewCodeSequence_CodeMeaning",
    "PatientOrientationCodeSequence_CodeMeaning",
)
_FRONTAL, _LATERAL = ("PA", "AP"), ("LATERAL", "LL")


@dataclass(frozen=True)
class MimicStudy:
    """A study of phantom under names in MIMIC-CXR's form. ``films``: dicom_id, ViewPosition and phantom's file."""

    study: PhantomStudy
    study_id: str
    subject_id: str
    films: tuple[tuple[str, str, Path], ...]
    date: str
    time: str

    @property
    def folder(self) -> str:
        """Below ``files/``."""
        return f"p{self.subject_id[:2]}/p{self.subject_id}/s{self.study_id}"

    @property
    def impression(self) -> str:
        """Invented from the first sentence of the report."""
        return f"In short: {self.study.report.partition('.')[0].lower()}."


def mimic_studies(studies: Iterable[PhantomStudy]) -> list[MimicStudy]:
    """Names, views, dates and times for studies of phantom; a later study of a subject is younger."""
    found = []
    for one in studies:
        study_id, subject_id = f"{50_000_001 + one.number}", f"{10_000_000 + 1_000_000 * (one.subject % 3) + one.subject}"
        films = tuple(
            (f"{one.number:08x}-{place:08x}-0a1b2c3d", (_LATERAL if view == "lateral" else _FRONTAL)[one.number % 2], film)
            for place, (film, view) in enumerate(one.films)
        )
        # Without the zeros in front, as pandas writes times.
        time = f"{90_000 + one.number}.5" if one.number % 3 else "213014.53125"
        found.append(MimicStudy(one, study_id, subject_id, films, f"2180{1 + one.number % 12:02}{1 + one.number // 12:02}", time))
    return found


def report_text(study: MimicStudy) -> str:
    """A report as they are typed: a space before every line, capitals for headers, and no two with quite the same ones."""
    number, findings = study.study.number, study.study.report.replace(". ", ".\n ")
    reason = study.study.context or "___-year-old with cough."
    lines = {
        0: f" EXAMINATION:  CHEST (PA AND LAT)\n \n INDICATION:  {reason}\n \n TECHNIQUE:  Two views.\n \n COMPARISON:  None.\n "
        f"\n FINDINGS: \n \n {findings}\n \n IMPRESSION: \n \n {study.impression}\n",
        1: f" CHEST, TWO VIEWS: ___\n \n HISTORY:  {reason}\n \n FINDINGS:  {findings}\n \n IMPRESSION:  {study.impression}\n",
        2: f" PORTABLE CHEST RADIOGRAPH:\n \n REASON FOR EXAM: {reason}\n \n FINDINS:\n {findings}\n \n "
        f"CONCLUSION:  {study.impression}\n",
        3: f" AP CHEST, ___\n \n CLINICAL INFORMATION: {reason}\n \n PFI: Edema is gone.\n \n FINDINGS: {findings}\n \n "
        f"IMPRESSION: {study.impression}\n",
    }[number % 4]
    text = f"                                 FINAL REPORT\n{lines}"
    return text.replace("\n", "\r\n") if number % 5 == 0 else text


def write_mimic(
    root: Path, studies: Sequence[MimicStudy], *, packed: bool = False, records: bool = False, texts: bool = True
) -> Path:
    """The tree of MIMIC-CXR-JPG with its tables, and the reports below ``files/`` unless they come from elsewhere."""
    split, metadata, record = [], [], []
    for one in studies:
        for dicom, view, film in one.films:
            split.append((dicom, one.study_id, one.subject_id, one.study.split))
            about = (dicom, one.subject_id, one.study_id, "CHEST (PA AND LAT)", view, 3056, 2544)
            metadata.append((*about, one.date, one.time, "CHEST", view.lower(), "Erect"))
            record.append((one.subject_id, one.study_id, dicom, f"files/{one.folder}/{dicom}.dcm"))
            copy_film(film, root / "files" / one.folder / f"{dicom}.jpg")
        if texts:
            path = root / "files" / f"{one.folder}.txt"
            path.write_bytes(report_text(one).encode())
    suffix = ".csv.gz" if packed else ".csv"
    _table(root / f"mimic-cxr-2.0.0-split{suffix}", ("dicom_id", "study_id", "subject_id", "split"), split)
    _table(root / f"mimic-cxr-2.0.0-metadata{suffix}", METADATA, metadata)
    if records:
        _table(root / f"cxr-record-list{suffix}", ("subject_id", "study_id", "dicom_id", "path"), record)
    return root


def write_reports_zip(root: Path, studies: Iterable[MimicStudy]) -> None:
    """``mimic-cxr-reports.zip``, as the release has it."""
    with zipfile.ZipFile(root / "mimic-cxr-reports.zip", "w") as packed:
        for one in studies:
            packed.writestr(f"files/{one.folder}.txt", report_text(one))


def write_sectioned(root: Path, studies: Iterable[MimicStudy]) -> None:
    """``mimic_cxr_sectioned.csv``, as the official script writes it: texts keep their line ends inside."""
    rows = [(f"s{one.study_id}", one.impression, one.study.report.replace(". ", ".\n "), "", "None.") for one in studies]
    _table(root / "mimic_cxr_sectioned.csv", ("study", "impression", "findings", "last_paragraph", "comparison"), rows)


def write_r2gen(root: Path, studies: Iterable[MimicStudy]) -> Path:
    """``annotation.json`` in R2Gen's schema, an item a film, and the films below ``images/``."""
    items: dict[str, list[dict[str, object]]] = {"train": [], "val": [], "test": []}
    for one in studies:
        key = "val" if one.study.split == "validate" else one.study.split
        for dicom, _, film in one.films:
            path = f"{one.folder}/{dicom}.jpg"
            about = {"id": dicom, "study_id": int(one.study_id), "subject_id": int(one.subject_id), "split": key}
            items[key].append({**about, "report": f" {one.study.report}\n", "image_path": [path]})
            copy_film(film, root / "images" / path)
    (root / "annotation.json").write_text(json.dumps(items), encoding="utf-8")
    return root


def _table(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(header)
    writer.writerows(rows)
    content = text.getvalue().encode()
    path.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)
