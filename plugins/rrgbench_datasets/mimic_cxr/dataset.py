"""The data set: options, the rules in their order, and the two sides of every study."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from rrgbench import SPLITS, ConfigError, Count, DataError, Inputs, Split, Targets
from rrgbench.text import Placeholders
from rrgbench_datasets.mimic_cxr.annotation import read_annotation
from rrgbench_datasets.mimic_cxr.records import (
    RANK,
    Film,
    ViewPosition,
    check_owners,
    missing_table,
    ordered,
    read_split,
    records_path,
    table_path,
    view_name,
    with_metadata,
    with_records,
)
from rrgbench_datasets.mimic_cxr.reports import Report, read_files, read_table
from rrgbench_datasets.mimic_cxr.studies import Rules, Study, prior_studies
from rrgbench_datasets.preparing import Preparation, TextRule
from rrgbench_datasets.reading import Films, inside

ContextSection = Literal["indication", "history", "comparison"]
Positive = Annotated[int, Field(ge=1)]


class MIMICCXR:
    """MIMIC-CXR-JPG in its own split, or in R2Gen's ``annotation.json``; the report is the FINDINGS, the IMPRESSION or both.

    Sections are parted by the official rules (MIT-LCP/mimic-cxr). Texts are on one line; nothing else is done to them. Studies
    are named s50414267, subjects p10000032. A study's context never comes from its own findings or impression.

    Args:
        root: holds ``files/`` with films and reports, and the tables; see docs/datasets.md.
        annotation: the name of R2Gen's file in the root; its split and its reports (the findings) are taken then.
        reports: ``sections`` parts the reports (text files); ``sectioned_csv`` reads ``mimic_cxr_sectioned.csv``.
        target: the section to write; ``both`` is findings, then impression, of studies that have both.
        context: the sections to read; where they are several, each begins with its name.
        text: how the reports of the train split are cleaned, by R2Gen's rule for one; those that are judged stay verbatim.
        placeholders, context_placeholders: what becomes of ``___`` in the reports of the train split, and in contexts.
        views: films of these ViewPositions, in this order; the empty one is a film without.
        max_images: of each study the first so many films.
        max_study_images: studies with more films are left out.
        item: ``film`` makes every film a study of its own, as R2Gen does.
        custom: what to do with the 54 studies whose conclusion the official rules mark by hand: ``leave_out``, as the official
            table does, or take it ``as_target``, without context.
        prior_studies: how many earlier studies of the subject are named.
        prior_reports: whether the reports of those stand in the context.
        missing_images: ``drop`` goes on without films that are not there, and without studies that have none.

    Raises:
        ConfigError: options that contradict each other.
        DataError, ManyErrors: a file is missing, cannot be read, or is not what it should be.
    """

    license: ClassVar[Literal["open", "credentialed"]] = "credentialed"
    access: ClassVar[str] = (
        "apply at https://physionet.org/content/mimic-cxr-jpg/ (films and tables) and https://physionet.org/content/mimic-cxr/ "
        "(reports); docs/datasets.md shows the layout"
    )

    def __init__(
        self,
        root: Path,
        *,
        annotation: str | None = None,
        reports: Literal["sections", "sectioned_csv"] = "sections",
        target: Literal["findings", "impression", "both"] = "findings",
        context: tuple[ContextSection, ...] = ("indication", "history"),
        text: TextRule = "raw",
        placeholders: Placeholders = "keep",
        context_placeholders: Placeholders = "keep",
        views: tuple[ViewPosition, ...] = RANK,
        max_images: Positive | None = None,
        max_study_images: Positive | None = None,
        item: Literal["study", "film"] = "study",
        custom: Literal["leave_out", "as_target"] = "leave_out",
        prior_studies: Annotated[int, Field(ge=0)] = 0,
        prior_reports: bool = False,
        missing_images: Literal["error", "drop"] = "error",
    ) -> None:
        self._root, self._annotation = root, annotation
        self._target, self._context, self._item = target, context, item
        self._prepare = Preparation(text, "mimic", placeholders, context_placeholders)
        self._priors, self._prior_reports = prior_studies, prior_reports
        self._check(reports)
        self._sources: list[Path] = []
        given, films = self._films(restricted=set(views) != set(RANK))
        rules = Rules(films, "in the annotation file" if annotation else "in the split table")
        if max_study_images is not None:
            rules.keep(f"studies of at most {max_study_images} films", lambda study: len(study.films) <= max_study_images)
        rules.films("films of the views asked for", lambda study: ordered(study.films, views))
        rules.find(Films(self._folder(), missing_images))
        self._written = self._read(reports, rules, given)
        self._left_out(rules, custom)
        if max_images is not None:
            rules.films(f"at most {max_images} films a study", lambda study: study.films[:max_images])
        self._counts = tuple(rules.counts)
        self._inputs: dict[Split, tuple[Inputs, ...]] = {}
        self._targets: dict[Split, tuple[Targets, ...]] = {}
        self._make(rules.studies)

    def inputs(self, split: Split) -> tuple[Inputs, ...]:
        """The films, views, context and earlier studies of each study."""
        return self._inputs[split]

    def targets(self, split: Split) -> tuple[Targets, ...]:
        """The report of each study, in the order of ``inputs``."""
        return self._targets[split]

    def sources(self) -> tuple[Path, ...]:
        """The tables and the reports that were read."""
        return tuple(dict.fromkeys(self._sources))

    def counts(self) -> tuple[Count, ...]:
        """Studies and films after each rule, over all splits."""
        return self._counts

    def _check(self, reports: str) -> None:
        """Raise what the options contradict each other in."""
        if reports == "sectioned_csv" and (lacking := [name for name in self._context if name != "comparison"]):
            hint = "set context to [comparison] or [], or reports to sections"
            raise ConfigError(
                "mimic_cxr: option context", got=", ".join(lacking), expected="sections that the official table has", hint=hint
            )
        if self._annotation is not None and self._target != "findings":
            expected = "findings: R2Gen's file holds nothing else"
            raise ConfigError("mimic_cxr: option target", got=self._target, expected=expected, hint="leave annotation out")
        if self._annotation is not None:
            inside("mimic_cxr: option annotation", self._annotation, ConfigError)
        if self._prior_reports and not self._priors:
            raise ConfigError("mimic_cxr: option prior_reports", got="no prior_studies", expected="prior_studies of at least 1")
        if self._priors and self._item == "film":
            raise ConfigError("mimic_cxr: option prior_studies", got=self._priors, expected="item: study")
        if len(set(self._context)) < len(self._context):
            raise ConfigError("mimic_cxr: option context", got=", ".join(self._context), expected="each section once")

    def _films(self, restricted: bool) -> tuple[Mapping[str, str], list[Film]]:
        """The reports that R2Gen's file gives, and every film with its view."""
        written: Mapping[str, str] = {}
        if self._annotation is not None:
            path = self._root / self._annotation
            annotated = read_annotation(path)
            written, films = annotated.reports, list(annotated.films)
        else:
            table = table_path(self._root, "split")
            if table is None:
                raise missing_table(self._root, "split", "put it there, or set the option annotation to R2Gen's file")
            path, films = table, list(read_split(table))
        self._sources.append(path)
        check_owners(films, str(path))
        metadata = table_path(self._root, "metadata")
        if metadata is not None:
            self._sources.append(metadata)
            films = list(with_metadata(films, metadata, timed=self._priors > 0))
        elif self._annotation is None or self._priors or restricted:
            raise missing_table(self._root, "metadata", "views and the order of studies are in it")
        records = None if self._annotation else records_path(self._root)
        if records is not None:
            self._sources.append(records)
            films = list(with_records(films, records))
        return written, films

    def _folder(self) -> Path:
        """Where the films are; R2Gen calls the folder images."""
        for name in ("files", *(("images",) if self._annotation else ())):
            if (self._root / name).is_dir():
                return self._root / name
        raise DataError(f"{self._root}: no folder files", expected="films as files/pNN/pNNNNNNNN/sNNNNNNNN/<dicom_id>.jpg")

    def _read(self, reports: str, rules: Rules, given: Mapping[str, str]) -> dict[str, Report]:
        """The report of each study; R2Gen's own are findings, and the text files are for the context then."""
        films = [film for study in rules.studies for film in study.films]
        wanted = {film.study_id for film in films}
        if self._annotation is not None and not self._context:
            return {study: Report(findings=report) for study, report in given.items() if study in wanted}
        if reports == "sectioned_csv":
            found, path = read_table(self._root, wanted)
            self._sources.append(path)
        else:
            found = {}
            for study, report, path in read_files(self._root, films):
                found[study] = report
                self._sources.append(path)
        if self._annotation is None:
            return found
        return {study: Report(given[study], "", found[study].context if study in found else {}) for study in wanted}

    def _left_out(self, rules: Rules, custom: str) -> None:
        """The rules about reports."""
        if self._annotation is None:
            rule = "with a report" if custom == "as_target" else "with a report that the official rules part"
            whole = custom == "as_target"
            rules.keep(rule, lambda s: s.study_id in self._written and (whole or self._written[s.study_id].custom is None))
        name = "findings and impression" if self._target == "both" else self._target
        rules.keep(f"with {name}", lambda study: bool(self._report(study)))

    def _report(self, study: Study) -> str:
        """What is to be written; empty where a section is missing."""
        report = self._written[study.study_id]
        if report.custom is not None:
            return report.custom
        if self._target == "both":
            return f"{report.findings} {report.impression}" if report.findings and report.impression else ""
        return report.findings if self._target == "findings" else report.impression

    def _context_of(self, study: Study, priors: Iterable[Study]) -> str:
        parts = [(name, self._written[study.study_id].context.get(name, "")) for name in self._context]
        parts += [("prior report", self._report(prior)) for prior in priors]
        named = len(self._context) > 1 or self._prior_reports
        return " ".join(f"{name.upper()}: {text}" if named else text for name, text in parts if text)

    def _make(self, studies: list[Study]) -> None:
        priors = prior_studies(studies, self._priors) if self._priors else {}
        for split in SPLITS:
            items: list[tuple[Inputs, Targets]] = []
            for study in (study for study in studies if study.films[0].split == split):
                earlier = priors.get(study.study_id, ())
                context = self._context_of(study, earlier if self._prior_reports else ())
                report = self._report(study)
                for name, films in self._items(study):
                    files = tuple(study.files[film.dicom_id] for film in films)
                    views = tuple(view_name(film.view) for film in films)
                    ids = tuple(other.study_id for other in earlier)
                    items.append((Inputs(name, study.subject_id, files, views, context, ids), Targets(name, report)))
            self._inputs[split] = tuple(asked for asked, _ in items)
            self._targets[split] = tuple(judged for _, judged in items)
        self._inputs, self._targets = self._prepare.inputs(self._inputs), self._prepare.targets(self._targets)

    def _items(self, study: Study) -> Iterator[tuple[str, tuple[Film, ...]]]:
        """What the platform calls studies: one, or as many as it has films."""
        if self._item == "study":
            yield study.study_id, study.films
        else:
            for film in study.films:
                yield film.dicom_id, (film,)
