"""Which films and studies MIMIC-CXR-JPG has, from its own tables: split, metadata and, where it is there, the list of records."""

from __future__ import annotations

import datetime
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from rrgbench import SPLITS, DataError, Split
from rrgbench_datasets.reading import Mistakes, csv_rows, first_file, inside

ViewPosition = Literal[
    "PA",
    "AP",
    "LATERAL",
    "LL",
    "AP AXIAL",
    "AP LLD",
    "AP RLD",
    "PA RLD",
    "PA LLD",
    "LAO",
    "RAO",
    "LPO",
    "XTABLE LATERAL",
    "SWIMMERS",
    "",
]
RANK: tuple[ViewPosition, ...] = get_args(ViewPosition)
"""The ViewPositions of the data set, the most telling first (the order of jbdel/vilmedic); empty where none is given."""

_LATERAL = ("LATERAL", "LL", "XTABLE LATERAL")
_STEM = "mimic-cxr-2.0.0-"
_RECORDS = "cxr-record-list.csv"
_SUBJECT = re.compile(r"p?([0-9]{2,10})")
_STUDY = re.compile(r"s?([0-9]{1,10})")
_DICOM = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,99}")


@dataclass(frozen=True, slots=True)
class Film:
    """One film as the tables tell it.

    ``path`` is without suffix, below ``files/``; ``taken`` sorts by time, empty where it is unknown.
    """

    dicom_id: str
    study_id: str
    subject_id: str
    split: Split
    path: str
    view: str = ""
    taken: str = ""


def view_name(position: str) -> str:
    """The platform's name of a ViewPosition."""
    if position.startswith(("PA", "AP")):
        return "frontal"
    if position in _LATERAL:
        return "lateral"
    return "other" if position else "unknown"


def subject_name(value: str) -> str:
    """``p10000032``, from a number with or without p; empty where it is none."""
    match = _SUBJECT.fullmatch(value.strip())
    return f"p{match[1]}" if match else ""


def study_name(value: str) -> str:
    """``s50414267``, from a number with or without s; empty where it is none."""
    match = _STUDY.fullmatch(value.strip())
    return f"s{match[1]}" if match else ""


def table_path(root: Path, name: str) -> Path | None:
    """A table of the release (``split``, ``metadata``), plain or packed."""
    return first_file(root, (f"{_STEM}{name}.csv", f"{_STEM}{name}.csv.gz"))


def missing_table(root: Path, name: str, hint: str) -> DataError:
    """What is said where a table is not there."""
    expected = f"{_STEM}{name}.csv or {_STEM}{name}.csv.gz, as MIMIC-CXR-JPG has it"
    return DataError(f"{root}: the table of the {name} is missing", expected=expected, hint=hint)


def read_split(path: Path) -> Iterator[Film]:
    """The films of the split table.

    Raises:
        DataError, ManyErrors: a row is not what it should be.
    """
    mistakes, seen = Mistakes(), set[str]()
    for where, row in csv_rows(path, ("dicom_id", "study_id", "subject_id", "split")):
        film = _film(where, row, mistakes)
        if film is None:
            continue
        if film.dicom_id in seen:
            mistakes.add(DataError(f"{where}: film {film.dicom_id} stands twice", expected="each film once"))
            continue
        seen.add(film.dicom_id)
        yield film
    mistakes.tell()


def _film(where: str, row: Mapping[str, str], mistakes: Mistakes) -> Film | None:
    dicom, study, subject = row["dicom_id"].strip(), study_name(row["study_id"]), subject_name(row["subject_id"])
    split = next((name for name in SPLITS if name == row["split"].strip()), None)
    checked = {"dicom_id": _DICOM.fullmatch(dicom), "study_id": study, "subject_id": subject, "split": split}
    for field, holds in checked.items():
        if not holds:
            expected = {"split": "train, validate or test", "dicom_id": "the name of a film"}.get(field, "a number")
            mistakes.add(DataError(f"{where}: field {field}", got=repr(row[field]), expected=expected))
            return None
    assert split is not None
    return Film(dicom, study, subject, split, f"{subject[:3]}/{subject}/{study}/{dicom}")


def check_owners(films: Iterable[Film], where: str) -> None:
    """A study has one subject, and a subject one split.

    Raises:
        DataError, ManyErrors: it is not so.
    """
    owners: dict[str, str] = {}
    splits: dict[str, str] = {}
    told: set[str] = set()
    mistakes = Mistakes()
    for film in films:
        for what, known, key, value, expected in (
            ("study", owners, film.study_id, film.subject_id, "one subject"),
            ("subject", splits, film.subject_id, film.split, "one split"),
        ):
            if known.setdefault(key, value) != value and key not in told:
                told.add(key)
                both = f"{known[key]} and {value}"
                hint = "take the release's own table, or leave one of the two out"
                mistakes.add(DataError(f"{where}: {what} {key} has two", got=both, expected=expected, hint=hint))
    mistakes.tell()


def with_metadata(films: Iterable[Film], path: Path, *, timed: bool) -> Iterator[Film]:
    """The same films with their views and, where ``timed``, when they were taken.

    Raises:
        DataError, ManyErrors: a film is not in the table, or a date or a time is none.
    """
    wanted = ("dicom_id", "ViewPosition", *(("StudyDate", "StudyTime") if timed else ()))
    mistakes, known = Mistakes(), dict[str, tuple[str, str]]()
    for where, row in csv_rows(path, wanted):
        dicom = row["dicom_id"].strip()
        if dicom in known:
            mistakes.add(DataError(f"{where}: film {dicom} stands twice", expected="each film once"))
            continue
        taken = ""
        if timed:
            try:
                taken = _taken(where, row["StudyDate"].strip(), row["StudyTime"].strip())
            except DataError as error:
                mistakes.add(error)
        known[dicom] = (row["ViewPosition"].strip().upper(), taken)
    mistakes.tell()
    missing: list[Film] = []
    for film in films:
        if film.dicom_id not in known:
            missing.append(film)
            continue
        view, taken = known[film.dicom_id]
        yield replace(film, view=view, taken=taken)
    if missing:
        raise DataError(
            f"{path}: {len(missing)} films of the data set are not in it",
            got=f"no {missing[0].dicom_id} of {missing[0].study_id}",
            expected="each film once",
            hint="fetch the file again: split and metadata must be of one release",
        )


def _taken(where: str, date: str, time: str) -> str:
    """``20240131 093014``: pandas writes times as numbers, without the zeros in front."""
    if not _is_time(date, "%Y%m%d", 8):
        raise DataError(f"{where}: field StudyDate", got=repr(date), expected="a date like 21800506")
    whole, _, part = time.partition(".")
    padded = whole.rjust(6, "0")
    if not whole or not _is_time(padded, "%H%M%S", 6) or not re.fullmatch("[0-9]*", part):
        raise DataError(f"{where}: field StudyTime", got=repr(time), expected="a time like 213014.53")
    return f"{date} {padded}.{part}"


def _is_time(text: str, form: str, length: int) -> bool:
    try:
        datetime.datetime.strptime(text, form)
    except ValueError:
        return False
    return len(text) == length and text.isascii()


def records_path(root: Path) -> Path | None:
    """The list of records of MIMIC-CXR, plain or packed."""
    return first_file(root, (_RECORDS, f"{_RECORDS}.gz"))


def with_records(films: Iterable[Film], path: Path) -> Iterator[Film]:
    """The same films, where the list of records says they are.

    Raises:
        DataError, ManyErrors: the list lacks a film, or says another study or subject.
    """
    known: dict[str, tuple[str, str, str]] = {}
    mistakes = Mistakes()
    for where, row in csv_rows(path, ("subject_id", "study_id", "dicom_id", "path")):
        try:
            place = inside(f"{where}: field path", row["path"].strip())
        except DataError as error:
            mistakes.add(error)
            continue
        below = place.with_suffix("").as_posix().removeprefix("files/")
        known[row["dicom_id"].strip()] = (study_name(row["study_id"]), subject_name(row["subject_id"]), below)
    for film in films:
        study, subject, below = known.get(film.dicom_id, ("", "", ""))
        if (study, subject) != (film.study_id, film.subject_id):
            what = f"{path}: film {film.dicom_id}"
            got = f"study {study} of {subject}" if study else "nothing"
            mistakes.add(DataError(what, got=got, expected=f"study {film.study_id} of {film.subject_id}, as the split has it"))
            continue
        yield replace(film, path=below)
    mistakes.tell()


def ordered(films: Collection[Film], views: tuple[str, ...]) -> tuple[Film, ...]:
    """Films of these views, the first view first; films of one view by their names."""
    place = {view: number for number, view in enumerate(views)}
    return tuple(sorted((f for f in films if f.view in place), key=lambda film: (place[film.view], film.dicom_id)))
