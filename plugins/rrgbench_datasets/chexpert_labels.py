"""CheXpert Plus's labels: one JSON object a film, 14 findings as CheXbert read them from a section."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rrgbench import DataError
from rrgbench_datasets.reading import json_objects

FINDINGS = (
    "Enlarged Cardiomediastinum",
    "Cardiomegaly",
    "Lung Opacity",
    "Lung Lesion",
    "Edema",
    "Consolidation",
    "Pneumonia",
    "Atelectasis",
    "Pneumothorax",
    "Pleural Effusion",
    "Pleural Other",
    "Fracture",
    "Support Devices",
    "No Finding",
)

_FOLDERS = ("chexbert_labels", "CheXpert_Labels", "CheXpert Labels", ".")


def find_labels(root: Path, section: str) -> Path:
    """The file of a section's labels.

    Raises:
        DataError: it is in none of the folders where it is published.
    """
    found = [path for folder in _FOLDERS if (path := root / folder / f"{section}_fixed.json").is_file()]
    if not found:
        looked = ", ".join(str(root / folder) for folder in _FOLDERS)
        hint = "unpack the labels there, or set the option labels to none"
        raise DataError(f"{section}_fixed.json is missing", got=f"no such file in {looked}", expected="it in one", hint=hint)
    return found[0]


def read_labels(path: Path, films: Mapping[str, str], uncertain: int) -> dict[str, dict[str, int]]:
    """Labels of studies: 1 where a finding is positive, ``uncertain`` where it is uncertain, else 0.

    Args:
        path: JSON lines (as published) or a JSON list of objects with ``path_to_image`` and the 14 findings: 1, 0, -1
            (uncertain) or null (not mentioned).
        films: the film whose labels are wanted -> its study.
        uncertain: what an uncertain finding counts as.

    Raises:
        DataError: the file is not what it should be, or a wanted film is not in it.
    """
    found: dict[str, dict[str, int]] = {}
    seen: set[str] = set()
    for where, item in json_objects(path, listed=True, nan=True, hint="take the labels that are published with CheXpert Plus"):
        film = item.get("path_to_image")
        if not isinstance(film, str):
            raise DataError(f"{where}: path_to_image", got="nothing or no text", expected="the film's path")
        if film in seen:
            raise DataError(f"{where}: film {film[:200]} stands twice", expected="each film once")
        seen.add(film)
        if film in films:
            found[films[film]] = {name: _label(f"{where}: {name}", item, name, uncertain) for name in FINDINGS}
    missing = [film for film, study in films.items() if study not in found]
    if missing:
        got = f"no {missing[0]}"
        raise DataError(f"{path}: {len(missing)} films have no labels", got=got, expected="an object for each film")
    return found


def _label(where: str, item: Mapping[str, object], name: str, uncertain: int) -> int:
    if name not in item:
        raise DataError(f"{where} is missing", expected=f"all of {', '.join(FINDINGS)}")
    value = item[name]
    if value is None or value != value:  # pandas writes a missing one as null or NaN
        return 0
    if isinstance(value, bool) or value not in (1, 0, -1):
        raise DataError(where, got=repr(value)[:80], expected="1, 0, -1 or null")
    return uncertain if value == -1 else int(value == 1)
