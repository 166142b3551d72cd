"""CheXpert Plus's table: a row is a film, the rows of one study become one study."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from rrgbench import DataError
from rrgbench_datasets.reading import checked_text, csv_rows, one_line

Section = Literal["findings", "impression"]
ContextSection = Literal["clinical_history", "history", "comparison"]

_PATH = re.compile(r"(?:train|valid)/(patient[0-9]{1,9})/(study[0-9]{1,6})/(view([0-9]{1,4})_[A-Za-z0-9_]{1,40})\.(?:jpg|png)")
_VIEWS = {"frontal": "frontal", "lateral": "lateral"}
_PROJECTIONS = ("AP", "PA")
_COLUMNS = ("path_to_image", "frontal_lateral", "ap_pa", "deid_patient_id", "patient_report_date_order", "split")


@dataclass(frozen=True, slots=True)
class Film:
    """A row: the film's path as the table has it, ``number`` of its name, its view and, where told, AP or PA."""

    path: str
    number: int
    view: str
    projection: str


@dataclass(slots=True)
class Study:
    """The rows of one study. ``order``: of the patient's reports; ``sections``: the texts that are there, on one line."""

    study_id: str
    subject: str
    split: str
    order: int
    films: list[Film] = field(default_factory=list)
    sections: dict[str, str] = field(default_factory=dict)
    differs: bool = False


def read_studies(path: Path, sections: tuple[str, ...]) -> dict[str, Study]:
    """Every study of the table, in the order of its first row; its films in the order of their numbers.

    One report is anonymised anew for each film in the published table, so that rows of a study may differ in a date: of each
    section the first row's text that is there is taken, and ``differs`` says that another row has another.

    Args:
        path: the CSV.
        sections: ``findings``, ``comparison`` .., of which the texts are wanted.

    Raises:
        DataError: the file or a row is not what it should be; a film twice; a subject in two splits.
    """
    studies: dict[str, Study] = {}
    subjects: dict[str, tuple[str, str]] = {}
    films: set[str] = set()
    names = tuple(f"section_{name}" for name in sections)
    hint = "the root should hold CheXpert Plus's table of reports"
    for where, row in csv_rows(path, (*_COLUMNS, *names), hint=hint):
        place, view, projection, patient, order, split, *texts = (row[name] for name in (*_COLUMNS, *names))
        match = _PATH.fullmatch(place)
        if match is None:
            raise DataError(f"{where}: path_to_image", got=repr(place[:200]), expected="train/patient1/study1/view1_frontal.jpg")
        if place in films:
            raise DataError(f"{where}: film {place} stands twice", expected="each film once")
        films.add(place)
        subject, name = match[1], f"{match[1]}_{match[2]}"
        _check_subject(where, subject, patient, split, subjects)
        study = studies.get(name)
        if study is None:
            study = studies[name] = Study(name, subject, split, _order(where, order))
        film = Film(place, int(match[4]), _view(where, view), _projection(where, projection))
        study.films.append(film)
        _take(where, study, sections, texts)
    if not studies:
        raise DataError(f"{path} holds no film", got="0 rows", expected="a row for each film")
    for study in studies.values():
        study.films.sort(key=lambda film: (film.number, film.path))
    return studies


def _check_subject(where: str, subject: str, patient: str, split: str, subjects: dict[str, tuple[str, str]]) -> None:
    """The path's patient is the column's, one to one, and stands in one split."""
    if split not in ("train", "valid"):
        raise DataError(f"{where}: split", got=repr(split[:80]), expected="train or valid")
    if not patient.strip():
        raise DataError(f"{where}: deid_patient_id is empty", expected="the patient of the path")
    known = subjects.setdefault(subject, (patient, split))
    if known[0] != patient:
        raise DataError(f"{where}: deid_patient_id", got=repr(patient[:80]), expected=f"{known[0]!r}, as elsewhere for {subject}")
    if known[1] != split:
        got, hint = f"{known[1]} and {split}", "all films of a patient stand in one split"
        raise DataError(f"{where}: {subject} stands in two splits", got=got, expected="one", hint=hint)


def _order(where: str, text: str) -> int:
    """1, 2 ..; pandas may write them as 1.0."""
    if not re.fullmatch(r"[0-9]{1,6}(\.0)?", text.strip()):
        raise DataError(f"{where}: patient_report_date_order", got=repr(text[:80]), expected="a whole number")
    return int(float(text))


def _view(where: str, text: str) -> str:
    view = _VIEWS.get(text.strip().lower())
    if view is None:
        raise DataError(f"{where}: frontal_lateral", got=repr(text[:80]), expected="Frontal or Lateral")
    return view


def _projection(where: str, text: str) -> str:
    """AP or PA; nothing and other short words (some films lie on their side) are none of the two."""
    told = text.strip().upper()
    if len(told) > 20:
        raise DataError(f"{where}: ap_pa", got=repr(text[:80]), expected="AP, PA or nothing")
    return told if told in _PROJECTIONS else ""


def _take(where: str, study: Study, sections: tuple[str, ...], texts: list[str]) -> None:
    for name, text in zip(sections, texts, strict=True):
        plain = one_line(text)
        if plain and study.sections.setdefault(name, checked_text(f"{where}: section_{name}", plain)) != plain:
            study.differs = True


def earlier(studies: Mapping[str, Study], number: int) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Of each study the ids of up to ``number`` studies of its subject that the table says are earlier, the latest last."""
    of_subject: dict[str, list[Study]] = {}
    for study in studies.values():
        of_subject.setdefault(study.subject, []).append(study)
    for found in of_subject.values():
        found.sort(key=lambda study: study.order)
    for study in studies.values():
        before = [other.study_id for other in of_subject[study.subject] if other.order < study.order]
        yield study.study_id, tuple(before[-number:]) if number else ()
