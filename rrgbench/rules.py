"""What every data set must hold to, whoever wrote it; checked before anything of it is kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rrgbench.errors import DataError
from rrgbench.types import VIEWS, Inputs, Split, Targets

Sides = tuple[tuple[Inputs, ...], tuple[Targets, ...]]
"""Inputs and targets of one split."""


def check_dataset(name: str, sides: Mapping[Split, Sides]) -> None:
    """Check both sides of all splits.

    Raises:
        DataError: as ``check_split`` says, or a subject or a study in two splits.
    """
    subjects: dict[str, Split] = {}
    studies: dict[str, Split] = {}
    for split, (inputs, targets) in sides.items():
        check_split(f"data set {name}, split {split}", inputs, targets)
        for item in inputs:
            for what, known, key in (("subject", subjects, item.subject_id), ("study", studies, item.study_id)):
                if known.setdefault(key, split) != split:
                    both = f"{known[key]} and {split}"
                    raise DataError(f"data set {name}: {what} {key} is in two splits", got=both, expected="one")


def check_split(where: str, inputs: Sequence[Inputs], targets: Sequence[Targets]) -> None:
    """Check both sides of one split; ``where`` begins every mistake.

    Raises:
        DataError: empty split, wrong types, duplicate studies, sides that differ, empty reports, missing images, unknown views.
    """
    if not inputs:
        raise DataError(f"{where} is empty", got="0 studies", expected="at least one")
    for side, items, kind in (("inputs", inputs, Inputs), ("targets", targets, Targets)):
        for number, item in enumerate(items):
            _check_types(f"{where}: {side}[{number}]", item, kind)
    ids, judged = [item.study_id for item in inputs], [item.study_id for item in targets]
    twice = [study for study, count in Counter(ids).items() if count > 1]
    if twice:
        raise DataError(f"{where}: study {twice[0]} stands twice", got=f"{len(twice)} such studies", expected="each study once")
    if ids != judged:
        what = f"{where}: targets are not of the same studies as inputs, in their order"
        if len(ids) != len(judged):
            raise DataError(what, got=f"{len(judged)} targets", expected=f"{len(ids)}")
        place = next(place for place, pair in enumerate(zip(ids, judged, strict=True)) if pair[0] != pair[1])
        raise DataError(what, got=f"{judged[place]} at place {place}", expected=ids[place])
    for item, target in zip(inputs, targets, strict=True):
        if not target.report.strip():
            raise DataError(f"{where}: study {item.study_id} has an empty report")
        _check_images(f"{where}: study {item.study_id}", item)


def _check_images(where: str, item: Inputs) -> None:
    if len(item.images) != len(item.views):
        raise DataError(where, got=f"{len(item.views)} views", expected=f"{len(item.images)}, one an image")
    for path, view in zip(item.images, item.views, strict=True):
        if view not in VIEWS:
            raise DataError(f"{where}: view", got=repr(view), expected=" or ".join(VIEWS))
        if not path.is_file():
            raise DataError(f"{where}: no such image", got=path)


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _are(kind: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, (tuple, list)) and all(isinstance(item, kind) for item in value)


def _are_labels(value: Any) -> bool:
    return value is None or (
        isinstance(value, Mapping)
        and all(isinstance(name, str) and type(present) is int and present in (0, 1) for name, present in value.items())
    )


_FIELDS: Mapping[type, Mapping[str, tuple[str, Callable[[Any], bool]]]] = {
    Inputs: {
        "study_id": ("a text that is not empty", _is_name),
        "subject_id": ("a text that is not empty", _is_name),
        "images": ("a tuple of Path", _are(Path)),
        "views": ("a tuple of str", _are(str)),
        "context": ("a text", _is_text),
        "prior_ids": ("a tuple of str", _are(str)),
    },
    Targets: {
        "study_id": ("a text that is not empty", _is_name),
        "report": ("a text", _is_text),
        "labels": ("None, or findings with the int 1 or 0", _are_labels),
    },
}
"""What the fields of both sides are, and how it is known."""


def _check_types(where: str, item: Any, kind: type) -> None:
    if not isinstance(item, kind):
        raise DataError(where, got=type(item).__name__, expected=kind.__name__)
    for name, (expected, holds) in _FIELDS[kind].items():
        value = getattr(item, name)
        if not holds(value):
            study = "" if name == "study_id" else f", study {getattr(item, 'study_id', '')}"
            raise DataError(f"{where}{study}: {name}", got=repr(value), expected=expected)
