"""From rows to studies: a row a study, or the rows of its films gathered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from rrgbench import DataError, Split
from rrgbench_datasets.reading import Mistakes, checked_text
from rrgbench_datasets.table.columns import Cells, Names


@dataclass(frozen=True)
class Study:
    """One study as the table tells it; films are names relative to the folder of films, with the view of each."""

    where: str
    study_id: str
    subject_id: str
    films: tuple[tuple[str, str], ...]
    report: str
    context: str
    split: Split | None
    prior_ids: tuple[str, ...]
    labels: Mapping[str, int] | None


@dataclass(frozen=True)
class Reader:
    """Reads rows by a column map. ``image_views``: the view of each column of images; ``prefix``: that of columns of labels."""

    names: Names
    cells: Cells
    image_views: tuple[str, ...]
    prefix: str

    def study(self, where: str, row: Mapping[str, Any], split: Split | None) -> Study:
        """One row.

        Raises:
            DataError: a cell is not what it should be.
        """
        cells, names = self.cells, self.names

        def of(field: str) -> list[Any]:
            return [row[name] for name in getattr(names, field)]

        study_id = cells.name(where, "study_id", of("study_id")[0])
        where = f"{where} ({study_id})"
        subject = cells.name(where, "subject_id", of("subject_id")[0]) if names.subject_id else study_id
        if names.split:
            split = cells.split(where, of("split")[0])
        return Study(
            where=where,
            study_id=study_id,
            subject_id=subject,
            films=self._films(where, row),
            report=cells.text(where, "report", of("report")),
            context=cells.text(where, "context", of("context")),
            split=split,
            prior_ids=tuple(cells.items(where, "prior_ids", of("prior_ids"))),
            labels=self._labels(where, row),
        )

    def _films(self, where: str, row: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
        images, views = self.names.images, self.names.views
        if len(views) <= 1:
            found = self.cells.images(where, [row[name] for name in images])
            told = self.cells.items(where, "views", [row[name] for name in views]) if views else self._column_views(row)
        else:  # a column of views for each of images
            pairs = [(image, view) for image, view in zip(images, views, strict=True) if row[image] not in (None, "")]
            found = self.cells.images(where, [row[image] for image, _ in pairs])
            told = self.cells.items(where, "views", [row[view] or "unknown" for _, view in pairs])
        if not told:
            told = ["unknown"] * len(found)
        if len(told) != len(found):
            raise DataError(f"{where}: field views", got=f"{len(told)} for {len(found)} films", expected="one a film")
        return tuple((name, self.cells.view(where, view)) for name, view in zip(found, told, strict=True))

    def _column_views(self, row: Mapping[str, Any]) -> list[str]:
        """The views that the user gave to the columns of images that this row fills."""
        if not self.image_views:
            return []
        return [view for name, view in zip(self.names.images, self.image_views, strict=True) if row[name] not in (None, "")]

    def _labels(self, where: str, row: Mapping[str, Any]) -> dict[str, int] | None:
        if not self.prefix:
            return None
        names = sorted(name for name in row if name.startswith(self.prefix) and name != self.prefix)
        for name in names:
            checked_text(f"{where}: the name of a field of labels", name)
        return {name.removeprefix(self.prefix): self.cells.label(where, name, row[name]) for name in names}


def gather(studies: Iterable[Study], row: Literal["study", "film"], mistakes: Mistakes) -> list[Study]:
    """Each study once. Rows of films of one study are put together; what they say besides must be the same."""
    found: dict[str, Study] = {}
    for study in studies:
        known = found.get(study.study_id)
        if known is None:
            found[study.study_id] = study
            continue
        if row == "study":
            hint = "give each row its own study_id, or set the option row to film"
            what = f"{study.where}: the study stands twice"
            mistakes.add(DataError(what, got=f"also at {known.where.rpartition(': ')[2]}", expected="each study once", hint=hint))
            continue
        differs = [
            f
            for f in ("subject_id", "report", "context", "split", "prior_ids", "labels")
            if getattr(known, f) != getattr(study, f)
        ]
        twice = {name for name, _ in known.films} & {name for name, _ in study.films}
        if differs:
            expected = f"as at {known.where.rpartition(': ')[2]}"
            mistakes.add(DataError(f"{study.where}: field {differs[0]}", got="another value", expected=expected))
        elif twice:
            mistakes.add(DataError(f"{study.where}: film {min(twice)} stands twice", expected="each film once"))
        else:
            found[study.study_id] = replace(known, films=known.films + study.films)
    return list(found.values())
