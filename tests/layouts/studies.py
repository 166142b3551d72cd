"""Phantom's studies as plain values, both sides together: a layout writes what it needs of them."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from rrgbench_datasets.phantom import Phantom

from rrgbench import SPLITS, Split


@dataclass(frozen=True)
class PhantomStudy:
    """One study of phantom. ``number`` and ``subject`` count from 0."""

    number: int
    subject: int
    split: Split
    films: tuple[tuple[Path, str], ...]
    context: str
    report: str
    labels: dict[str, int]


def phantom_studies(folder: Path, studies: int = 30, size: int = 32) -> list[PhantomStudy]:
    """The first studies of phantom; the films are made in the folder."""
    made = Phantom(folder, studies=studies, size=size, studies_per_subject=2)
    subjects: dict[str, int] = {}
    found: list[PhantomStudy] = []
    for split in SPLITS:
        for asked, judged in zip(made.inputs(split), made.targets(split), strict=True):
            subject = subjects.setdefault(asked.subject_id, len(subjects))
            films = tuple(zip(asked.images, asked.views, strict=True))
            labels = dict(judged.labels or {})
            found.append(PhantomStudy(len(found), subject, split, films, asked.context, judged.report, labels))
    return found


def copy_film(film: Path, to: Path) -> None:
    """A film at another place, as JPEG where the name says so."""
    to.parent.mkdir(parents=True, exist_ok=True)
    if to.suffix == ".jpg":
        with Image.open(film) as image:
            image.save(to, quality=90)
    else:
        shutil.copyfile(film, to)
