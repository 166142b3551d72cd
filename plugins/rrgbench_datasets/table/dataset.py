"""The data set: options, splits, rules, and the two sides of every study."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from rrgbench import SPLITS, VIEWS, ConfigError, Count, DataError, Inputs, Split, Targets
from rrgbench.text import Placeholders
from rrgbench_datasets.preparing import Preparation, TextRule
from rrgbench_datasets.reading import Films, Mistakes, inside
from rrgbench_datasets.table.columns import Cells, check_words, read_map
from rrgbench_datasets.table.rows import read_rows
from rrgbench_datasets.table.studies import Reader, Study, gather

Share = Annotated[float, Field(ge=0.0, le=1.0)]
_SLICES = 1 << 32


class Table:
    """The user's own studies: a CSV, JSON lines or Parquet with a column map, and films beside it.

    Treated as credentialed: reports from a hospital are nobody's to show, whatever the table says of itself.

    Args:
        root: the folder that holds the table and the films.
        file: the name of the table, or three names by split.
        columns: field -> column, several columns, or null; fields are study_id, subject_id, images, views, report, context,
            split and prior_ids. A field that is left out has the column of its name, if it is needed.
        row: a row is a study, or one film of a study.
        split: ``column`` reads it; ``subject`` draws it for each subject from its name and ``split_seed``.
        fractions: the shares of train, validate and test of the subjects, where the split is drawn.
        split_seed: another number draws another split.
        split_names: further words for splits, as {"0": train}; null leaves such rows out.
        images_folder: what paths of films are relative to, inside the root.
        image_views: the view of each column of images, where no column tells.
        view_names: further words for views, as {"ap erect": frontal}.
        separator: what parts several films, views or studies in one cell.
        labels: the prefix of columns that hold findings; empty where there are none.
        label_values: further words for 1 and 0, as {"": 0}; any other value than 1 and 0 is a mistake.
        delimiter: what parts the cells of a CSV; a tab in .tsv and a comma else.
        encoding: of a CSV or of JSON lines; UTF-8 with or without a byte order mark.
        text: how the reports of the train split are cleaned, by R2Gen's rule for one; those that are judged stay verbatim.
        placeholders, context_placeholders: what becomes of ``XXXX`` and ``___`` in train reports, and in contexts.
        missing_reports: ``drop`` leaves out studies without a report.
        missing_images: ``drop`` leaves out films that are not there, and studies that have none.

    Raises:
        ConfigError: options that say nothing, or contradict each other.
        DataError, ManyErrors: the table or a film is not what it should be.
    """

    license: ClassVar[Literal["open", "credentialed"]] = "credentialed"

    def __init__(
        self,
        root: Path,
        *,
        file: str | dict[str, str] = "table.csv",
        columns: dict[str, str | list[str] | None] = {},  # noqa: B006 - never changed
        row: Literal["study", "film"] = "study",
        split: Literal["column", "subject"] = "column",
        fractions: tuple[Share, Share, Share] = (0.8, 0.1, 0.1),
        split_seed: Annotated[int, Field(ge=0)] = 0,
        split_names: dict[str, str | None] = {},  # noqa: B006
        images_folder: str = ".",
        image_views: tuple[Literal["unknown", "frontal", "lateral", "other"], ...] = (),
        view_names: dict[str, str] = {},  # noqa: B006
        separator: str = ";",
        labels: str = "",
        label_values: dict[str, int] = {},  # noqa: B006
        delimiter: Literal[",", ";", "\t", "|"] | None = None,
        encoding: Literal["utf-8", "utf-16", "cp1252", "latin-1"] = "utf-8",
        text: TextRule = "raw",
        placeholders: Placeholders = "keep",
        context_placeholders: Placeholders = "keep",
        missing_reports: Literal["error", "drop"] = "error",
        missing_images: Literal["error", "drop"] = "error",
    ) -> None:
        files = _files(file, split)
        names = read_map(columns, by_column=split == "column" and len(files) == 1)
        cells = Cells(separator, view_names, split_names, label_values)
        check_words(cells)
        if image_views and (len(image_views) != len(names.images) or names.views):
            got = f"{len(image_views)} for {len(names.images)} columns of images" + (" and columns.views" if names.views else "")
            raise ConfigError("table: option image_views", got=got, expected="one a column of images, and no columns.views")
        self._folder = _inner(root, images_folder)
        self._sources = tuple(root / name for name in files.values())
        self._mistakes, self._counts = Mistakes(), list[Count]()
        reader = Reader(names, cells, image_views, labels)
        how = (delimiter, "utf-8-sig" if encoding == "utf-8" else encoding)
        studies = gather(self._read(root, files, reader, how), row, self._mistakes)
        self._mistakes.tell()
        if labels:
            studies = self._labelled(studies, labels, cells)
        self._count("in the table", studies)
        studies = self._split(studies, split if len(files) == 1 else "column", fractions, split_seed)
        studies = self._reported(studies, missing_reports)
        studies = self._there(studies, Films(self._folder, missing_images, suffixes=()))
        self._check_once(studies)
        self._sides(studies, Preparation(text, "mimic", placeholders, context_placeholders))

    def inputs(self, split: Split) -> tuple[Inputs, ...]:
        """The films, views and context of each study, in the order of the table."""
        return self._inputs[split]

    def targets(self, split: Split) -> tuple[Targets, ...]:
        """The report and labels of each study, in the order of ``inputs``."""
        return self._targets[split]

    def sources(self) -> tuple[Path, ...]:
        """The table, or the three."""
        return self._sources

    def counts(self) -> tuple[Count, ...]:
        """Studies and films after each rule, over all splits."""
        return tuple(self._counts)

    def _count(self, rule: str, studies: Sequence[Study]) -> None:
        self._counts.append(Count(rule, len(studies), sum(len(study.films) for study in studies)))

    def _read(self, root: Path, files: dict[Split | None, str], reader: Reader, how: tuple[str | None, str]) -> Iterator[Study]:
        for split, name in files.items():
            for where, row in read_rows(root / name, reader.names.every(), reader.prefix, *how):
                try:
                    yield reader.study(where, row, split)
                except DataError as error:
                    self._mistakes.add(error)

    def _labelled(self, studies: list[Study], prefix: str, cells: Cells) -> list[Study]:
        """The same studies, all with the same findings: a field that a JSON line leaves out is as null."""
        names = sorted({name for study in studies for name in study.labels or ()})
        if studies and not names:
            raise ConfigError("table: option labels", got=repr(prefix), expected="what names of columns begin with, as finding_")
        found = []
        for study in studies:
            known = study.labels or {}
            try:
                whole = {n: known[n] if n in known else cells.label(study.where, prefix + n, None) for n in names}
                found.append(replace(study, labels=whole))
            except DataError as error:
                self._mistakes.add(error)
        self._mistakes.tell()
        return found

    def _split(
        self, studies: list[Study], how: Literal["column", "subject"], fractions: tuple[float, float, float], seed: int
    ) -> list[Study]:
        if how == "subject":
            if abs(sum(fractions) - 1) > 1e-9:
                got, expected = f"{fractions}, which is {sum(fractions):g} in all", "shares that make 1"
                raise ConfigError("table: option fractions", got=got, expected=expected)
            return [replace(study, split=_drawn(study.subject_id, fractions, seed)) for study in studies]
        kept = [study for study in studies if study.split is not None]
        if len(kept) < len(studies):
            self._count("in a split", kept)
        owners: dict[str, Study] = {}
        told_of: set[str] = set()
        for study in kept:
            first = owners.setdefault(study.subject_id, study)
            if first.split != study.split and study.subject_id not in told_of:
                told_of.add(study.subject_id)
                what = f"{study.where}: subject {study.subject_id} is in two splits"
                hint = "put all studies of a subject into one split, or set the option split to subject"
                self._mistakes.add(DataError(what, got=f"{first.split} and {study.split}", expected="one", hint=hint))
        self._mistakes.tell()
        return kept

    def _reported(self, studies: list[Study], missing: str) -> list[Study]:
        kept = [study for study in studies if study.report]
        if missing == "drop":
            self._count("with a report", kept)
        elif len(kept) < len(studies):
            lacking = [study for study in studies if not study.report]
            what = f"{lacking[0].where}: field report is empty"
            hint = "leave these studies out, or set the option missing_reports to drop"
            raise DataError(what, got=f"{len(lacking)} studies without a report", expected="a text", hint=hint)
        return kept

    def _there(self, studies: list[Study], films: Films) -> list[Study]:
        found = [replace(one, films=tuple(film for film in one.films if films.find(one.where, film[0]))) for one in studies]
        films.tell()
        kept = [study for study in found if study.films]
        if films.drops:
            self._count("with films that are there", kept)
        elif len(kept) < len(studies):
            bare = next(study for study in studies if not study.films)
            raise DataError(f"{bare.where}: field images is empty", expected="at least one film", hint="leave the study out")
        return kept

    def _check_once(self, studies: Sequence[Study]) -> None:
        """No film is of two studies."""
        owners: dict[str, str] = {}
        for study in studies:
            for name, _ in study.films:
                if owners.setdefault(name, study.study_id) != study.study_id:
                    what = f"{study.where}: film {name} is of {owners[name]} too"
                    self._mistakes.add(DataError(what, expected="own films"))
        self._mistakes.tell()

    def _sides(self, studies: Sequence[Study], prepare: Preparation) -> None:
        self._inputs: dict[Split, tuple[Inputs, ...]] = {}
        self._targets: dict[Split, tuple[Targets, ...]] = {}
        for split in SPLITS:
            own = [study for study in studies if study.split == split]
            self._inputs[split] = tuple(
                Inputs(
                    study.study_id,
                    study.subject_id,
                    tuple(self._folder / name for name, _ in study.films),
                    tuple(view for _, view in study.films),
                    study.context,
                    study.prior_ids,
                )
                for study in own
            )
            self._targets[split] = tuple(Targets(study.study_id, study.report, study.labels) for study in own)
        self._inputs, self._targets = prepare.inputs(self._inputs), prepare.targets(self._targets)


def _files(file: str | dict[str, str], split: str) -> dict[Split | None, str]:
    """The tables by split; one table has none of its own."""
    if isinstance(file, str):
        found: dict[Split | None, str] = {None: file}
    else:
        if set(file) != set(SPLITS):
            raise ConfigError(
                "table: option file", got=f"files for {', '.join(file) or 'nothing'}", expected="one for each split"
            )
        if split == "subject":
            raise ConfigError(
                "table: option split", got="subject, and three files", expected="one file, where the split is drawn"
            )
        found = {name: file[name] for name in SPLITS}
    for name in found.values():
        inside("table: option file", name, ConfigError)
    return found


def _inner(root: Path, folder: str) -> Path:
    if folder not in (".", ""):
        inside("table: option images_folder", folder, ConfigError)
    if not (root / folder).is_dir():
        raise DataError(f"{root / folder} is not a folder", expected="the films", hint="the option images_folder names it")
    return root / folder


def _drawn(subject: str, fractions: tuple[float, float, float], seed: int) -> Split:
    """The split of a subject: the same on every machine, and whoever else is in the table."""
    place = int.from_bytes(hashlib.sha256(f"{seed}/{subject}".encode()).digest()[:4], "big") / _SLICES
    train, validate, _ = fractions
    return "train" if place < train else "validate" if place < train + validate else "test"


assert set(VIEWS) == {"unknown", "frontal", "lateral", "other"}, "image_views spells them out"
