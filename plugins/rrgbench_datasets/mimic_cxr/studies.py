"""Studies out of films, and the rules by which studies and films are left out, each counted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from rrgbench import Count
from rrgbench_datasets.mimic_cxr.records import Film
from rrgbench_datasets.reading import Films


@dataclass(frozen=True)
class Study:
    """One study with the films that are left of it; ``files`` are those films' files, once they were looked for."""

    films: tuple[Film, ...]
    files: Mapping[str, Path] = field(default_factory=dict)

    @property
    def study_id(self) -> str:
        """The study's name, as ``s50414267``."""
        return self.films[0].study_id

    @property
    def subject_id(self) -> str:
        """The subject's name, as ``p10000032``."""
        return self.films[0].subject_id

    @property
    def taken(self) -> str:
        """When its first film was taken; sorts by time."""
        return min(film.taken for film in self.films)


class Rules:
    """The studies that are left, and how many there were after each rule."""

    def __init__(self, films: Iterable[Film], origin: str) -> None:
        groups: dict[str, list[Film]] = {}
        for film in films:
            groups.setdefault(film.study_id, []).append(film)
        self.studies: list[Study] = [Study(tuple(group)) for group in groups.values()]
        self.counts: list[Count] = []
        self.count(origin)

    def count(self, rule: str) -> None:
        """Note how many are left."""
        self.counts.append(Count(rule, len(self.studies), sum(len(study.films) for study in self.studies)))

    def keep(self, rule: str, holds: Callable[[Study], bool]) -> None:
        """Leave out the studies for which a rule does not hold."""
        self.studies = [study for study in self.studies if holds(study)]
        self.count(rule)

    def films(self, rule: str, choose: Callable[[Study], Sequence[Film]]) -> None:
        """Leave out films, and the studies that have none then."""
        chosen = [replace(study, films=tuple(choose(study))) for study in self.studies]
        self.studies = [study for study in chosen if study.films]
        self.count(rule)

    def find(self, films: Films) -> None:
        """Look for the files of the films.

        Raises:
            DataError: a film is missing and may not be left out, or is no file.
        """
        found = [replace(study, files=_files(films, study)) for study in self.studies]
        films.tell()
        present = [replace(study, films=tuple(f for f in study.films if f.dicom_id in study.files)) for study in found]
        self.studies = [study for study in present if study.films]
        if films.drops:
            self.count("films that are there")


def _files(films: Films, study: Study) -> dict[str, Path]:
    found = {film.dicom_id: films.find(f"study {study.study_id}", f"{film.path}.jpg") for film in study.films}
    return {dicom_id: path for dicom_id, path in found.items() if path is not None}


def prior_studies(studies: Sequence[Study], limit: int) -> dict[str, tuple[Study, ...]]:
    """The last ``limit`` earlier studies of the same subject, oldest first, by study. Studies of one moment are not earlier."""
    own: dict[str, list[Study]] = {}
    for study in studies:
        own.setdefault(study.subject_id, []).append(study)
    found: dict[str, tuple[Study, ...]] = {}
    for group in own.values():
        group.sort(key=lambda study: (study.taken, study.study_id))
        for study in group:
            found[study.study_id] = tuple(other for other in group if other.taken < study.taken)[-limit:]
    return found
