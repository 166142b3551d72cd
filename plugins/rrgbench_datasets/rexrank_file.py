"""ReXrank's JSON: an object of studies by id, with film paths, context and the two sections of the report."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rrgbench import DataError
from rrgbench_datasets.reading import checked_text, inside, kind_of, one_line, read_json

NONE = frozenset({"none", "nan", "null"})
"""A section that holds only such a word was missing when somebody's program wrote it out."""

_VIEWS = {"frontal": "frontal", "lateral": "lateral"}
_SUBJECTS = (
    re.compile(r"(CXR[0-9]{1,9})(?=_)"),
    re.compile(r"(patient[0-9]{1,9})(?=[_/])"),
    re.compile(r"(?:^|/)(p[0-9]{8})(?=/)"),
)
"""How the benchmark's data sets name a patient: in the id, or in the path of a film."""

_MAX_ID = 200


@dataclass(slots=True)
class Study:
    """One checked entry. ``nones``: sections that held a word of ``NONE``; ``unpaired``: its views are not one a film."""

    where: str
    study_id: str
    subject: str | None
    films: tuple[str, ...]
    key: str | None
    views: tuple[str, ...]
    context: str
    sections: Mapping[str, str]
    nones: int
    unpaired: bool


def read_studies(path: Path) -> dict[str, Study]:
    """The studies of a file by id, in its order.

    Raises:
        DataError: the file cannot be read, or an entry is not what it should be.
    """
    hint = "the root should hold ReXrank's JSON; the options test, validate and train name the files"
    content = read_json(path, nan=True, hint=hint)
    if not isinstance(content, dict) or not content:
        got = "no study" if content == {} else kind_of(content)
        raise DataError(f"{path}: top level", got=got, expected="an object of studies by id", hint=hint)
    return {name: _study(f"{path}: study {name[:80]}", name, entry) for name, entry in content.items()}


def _study(where: str, name: str, entry: Any) -> Study:
    if not name.strip() or name != name.strip() or not name.isprintable() or len(name) > _MAX_ID:
        raise DataError(where, got=f"the id {name[:80]!r}", expected=f"at most {_MAX_ID} characters, no blanks around")
    if not isinstance(entry, dict):
        raise DataError(where, got=kind_of(entry), expected="an object with image_path, section_findings and section_impression")
    films = _films(f"{where}: field image_path", entry.get("image_path"))
    key = entry.get("key_image_path")
    if key is not None and not isinstance(key, str):
        raise DataError(f"{where}: field key_image_path", got=kind_of(key), expected="text")
    if key is not None:
        inside(f"{where}: field key_image_path", key)
    sections, nones = {}, 0
    for section in ("findings", "impression"):
        text = _text(f"{where}: field section_{section}", entry.get(f"section_{section}"))
        if text.casefold() in NONE:
            nones += 1
        elif text:
            sections[section] = text
    views, unpaired = _views(f"{where}: field frontal_lateral", entry.get("frontal_lateral"), len(films))
    context = re.sub(r"</?context>", " ", _text(f"{where}: field context", entry.get("context")))
    told = "" if context.strip().casefold() in NONE else one_line(context)
    return Study(where, name, _subject(where, name, entry, films), films, key, views, told, sections, nones, unpaired)


def _text(where: str, value: Any) -> str:
    """A text on one line; null, NaN and a field that is not there are empty."""
    if value is None or (isinstance(value, float) and value != value):
        return ""
    if not isinstance(value, str):
        raise DataError(where, got=kind_of(value), expected="text, or null where it is missing")
    return one_line(checked_text(where, value))


def _films(where: str, value: Any) -> tuple[str, ...]:
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not names:
        got = "nothing" if value is None else "an empty list" if value == [] else kind_of(value)
        raise DataError(where, got=got, expected="a list of at least one path")
    for name in names:
        if not isinstance(name, str):
            raise DataError(where, got=f"a list with {kind_of(name)}", expected="a list of texts")
        inside(where, name)
    if len(set(names)) < len(names):
        raise DataError(where, got=", ".join(names)[:200], expected="each film once")
    return tuple(names)


def _views(where: str, value: Any, films: int) -> tuple[tuple[str, ...], bool]:
    """The view of each film. Labels that are not one a film (some published studies have one for two) tell nothing."""
    labels = [value] if isinstance(value, str) else value
    if labels is None or (isinstance(labels, float) and labels != labels):
        return ("unknown",) * films, False
    if not isinstance(labels, list):
        raise DataError(where, got=kind_of(value), expected="a list of Frontal and Lateral")
    found = [_VIEWS.get(label.strip().lower()) if isinstance(label, str) else None for label in labels]
    views = tuple(view for view in found if view is not None)
    if len(views) < len(labels):
        wrong = labels[found.index(None)]
        got = repr(wrong[:80]) if isinstance(wrong, str) else kind_of(wrong)
        raise DataError(where, got=got, expected="Frontal or Lateral")
    return (views, False) if len(views) == films else (("unknown",) * films, True)


def _subject(where: str, name: str, entry: Mapping[str, Any], films: Sequence[str]) -> str | None:
    """The field ``subject_id``, else the patient that the id or the first film's path names."""
    told = entry.get("subject_id")
    if isinstance(told, bool) or not isinstance(told, (str, int, type(None))):
        raise DataError(f"{where}: field subject_id", got=kind_of(told), expected="text or a whole number")
    if told is not None:
        if not str(told).strip() or len(str(told)) > _MAX_ID:
            raise DataError(f"{where}: field subject_id", got=repr(told)[:80], expected="a name")
        return str(told).strip()
    matches = (pattern.search(text) for text in (name, films[0]) for pattern in _SUBJECTS)
    return next((match[1] for match in matches if match), None)
