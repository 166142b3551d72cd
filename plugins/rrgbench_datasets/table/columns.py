"""The column map: which columns hold what of a study, and how their cells are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rrgbench import VIEWS, ConfigError, DataError, Split
from rrgbench_datasets.reading import checked_text, inside, kind_of, one_line

Columns = Mapping[str, str | list[str] | None]
_ONE = ("study_id", "subject_id", "split", "prior_ids")
FIELDS = ("study_id", "subject_id", "images", "views", "report", "context", "split", "prior_ids")
_NEEDED = ("study_id", "subject_id", "images", "report")
_NAME_LENGTH = 200
_LABEL_LENGTH = 20

_VIEW_WORDS = {
    "": "unknown",
    **{view: view for view in VIEWS},
    **dict.fromkeys(("pa", "ap", "front"), "frontal"),
    **dict.fromkeys(("ll", "lat", "side"), "lateral"),
}
_SPLIT_WORDS: Mapping[str, Split] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validate", "validation", "valid", "val", "dev"), "validate"),
    **dict.fromkeys(("test", "testing"), "test"),
}
_TRUTH = {"1": 1, "0": 0, "1.0": 1, "0.0": 0, "true": 1, "false": 0}


@dataclass(frozen=True)
class Names:
    """The columns of each field; empty where the table has none."""

    study_id: tuple[str, ...]
    subject_id: tuple[str, ...]
    images: tuple[str, ...]
    views: tuple[str, ...] = ()
    report: tuple[str, ...] = ()
    context: tuple[str, ...] = ()
    split: tuple[str, ...] = ()
    prior_ids: tuple[str, ...] = ()

    def every(self) -> list[str]:
        """All columns that must be there."""
        return list(dict.fromkeys(name for field in FIELDS for name in getattr(self, field)))


def read_map(columns: Columns, by_column: bool) -> Names:
    """The column map of the user, with what it leaves out: a field's column has its own name, optional ones are not read.

    Raises:
        ConfigError: an unknown field, no column where one is needed, several where one is expected.
    """
    unknown = [name for name in columns if name not in FIELDS]
    if unknown:
        raise ConfigError(f"table: option columns.{unknown[0]}: no such field", expected=", ".join(FIELDS))
    found: dict[str, tuple[str, ...]] = {}
    for field in FIELDS:
        optional = field not in _NEEDED and not (field == "split" and by_column)
        value = columns.get(field, None if optional else field)
        names = (value,) if isinstance(value, str) else tuple(value or ())
        if field in _ONE and len(names) > 1:
            raise ConfigError(f"table: option columns.{field}", got=f"{len(names)} columns", expected="one")
        if not all(names) or len(set(names)) < len(names):
            raise ConfigError(f"table: option columns.{field}", got=list(names), expected="names of columns, each once")
        if not names and not optional and not (field == "subject_id" and field in columns):
            raise ConfigError(f"table: option columns.{field}", got="nothing", expected="a column")
        found[field] = names
    if len(found["views"]) > 1 and len(found["views"]) != len(found["images"]):
        got = f"{len(found['views'])} columns of views, {len(found['images'])} of images"
        raise ConfigError("table: option columns.views", got=got, expected="one, or as many as of images")
    leaks = sorted(set(found["report"]) & set(found["context"]))
    if leaks:
        raise ConfigError("table: option columns.context", got=leaks[0], expected="no column that the report is made of")
    return Names(**found)


@dataclass(frozen=True)
class Cells:
    """How cells are read: what parts a list, and the user's words for views, splits and labels (None leaves a row out)."""

    separator: str
    view_names: Mapping[str, str]
    split_names: Mapping[str, str | None]
    label_values: Mapping[str, int]

    def name(self, where: str, field: str, value: Any) -> str:
        """An identifier: text or a whole number."""
        if isinstance(value, bool) or not isinstance(value, (str, int)):
            raise DataError(f"{where}: field {field}", got=kind_of(value), expected="text or a whole number")
        name = str(value).strip()
        if not name or not name.isprintable() or len(name) > _NAME_LENGTH:
            got = f"{len(name)} characters" if len(name) > _NAME_LENGTH else repr(name)
            raise DataError(f"{where}: field {field}", got=got, expected=f"a name of at most {_NAME_LENGTH} characters")
        return name

    def text(self, where: str, field: str, values: Sequence[Any]) -> str:
        """Texts, joined, on one line; nothing of them is told in a mistake."""
        parts = []
        for value in values:
            if value is None:
                continue
            if not isinstance(value, str):
                raise DataError(f"{where}: field {field}", got=kind_of(value), expected="text")
            parts.append(one_line(checked_text(f"{where}: field {field}", value)))
        return " ".join(filter(None, parts))

    def items(self, where: str, field: str, values: Sequence[Any]) -> list[str]:
        """The entries of cells that hold one or several; a list where the format has lists."""
        found: list[str] = []
        for value in values:
            if value is None:
                continue
            if isinstance(value, (str, int)) and not isinstance(value, bool):
                found += [part.strip() for part in str(value).split(self.separator)] if str(value).strip() else []
            elif isinstance(value, list) and all(isinstance(part, str) for part in value):
                found += [part.strip() for part in value]
            else:
                raise DataError(f"{where}: field {field}", got=kind_of(value), expected="text, or a list of texts")
        return found

    def images(self, where: str, values: Sequence[Any]) -> list[str]:
        """Paths relative to the folder of films."""
        found = self.items(where, "images", values)
        for name in found:
            inside(f"{where}: field images", name)
        if len(set(found)) < len(found):
            raise DataError(f"{where}: field images", got="a film twice", expected="each film once")
        return found

    def view(self, where: str, value: str) -> str:
        """The platform's name of a view."""
        known = self.view_names.get(value, _VIEW_WORDS.get(value.lower()))
        if known is None:
            hint = "name it in the option view_names"
            raise DataError(f"{where}: field views", got=repr(value)[:60], expected=" or ".join(VIEWS), hint=hint)
        return known

    def split(self, where: str, value: Any) -> Split | None:
        """The split of a row; None where the user leaves it out."""
        word = "" if value is None else str(value).strip()
        if word in self.split_names:
            named = self.split_names[word]
            return None if named is None else _SPLIT_WORDS[named]
        if word.lower() not in _SPLIT_WORDS:
            hint = "name it in the option split_names; null leaves such rows out"
            raise DataError(f"{where}: field split", got=repr(word)[:60], expected="train, validate or test", hint=hint)
        return _SPLIT_WORDS[word.lower()]

    def label(self, where: str, field: str, value: Any) -> int:
        """1 or 0. An empty cell is neither: who knows whether it means absent, or that nobody looked?"""
        word = "" if value is None else str(value).strip()
        known = self.label_values.get(word, _TRUTH.get(word.lower()))
        if known is None:
            short = len(word) <= _LABEL_LENGTH  # longer ones may be a report
            got = repr(word) if short else f"{len(word)} characters"
            hint = f"mend the table, or say in the option label_values what {got if short else 'it'} counts as"
            raise DataError(f"{where}: field {field}", got=got, expected="1 or 0", hint=hint)
        return known


def check_words(cells: Cells) -> None:
    """Raise where the user's words mean nothing that the platform knows.

    Raises:
        ConfigError: the option and the word.
    """
    for word, view in cells.view_names.items():
        if view not in VIEWS:
            raise ConfigError(f"table: option view_names[{word!r}]", got=repr(view), expected=" or ".join(VIEWS))
    for word, split in cells.split_names.items():
        if split is not None and split not in _SPLIT_WORDS:
            expected = "train, validate, test or null"
            raise ConfigError(f"table: option split_names[{word!r}]", got=repr(split), expected=expected)
    for word, value in cells.label_values.items():
        if value not in (0, 1):
            raise ConfigError(f"table: option label_values[{word!r}]", got=value, expected="1 or 0")
    if not cells.separator:
        raise ConfigError("table: option separator", got="nothing", expected="what parts a list, as ';'")
