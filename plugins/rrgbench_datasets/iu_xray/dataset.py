"""IU X-ray (OpenI) in R2Gen's split: 2,069 studies to train, 296 to validate and 590 to test on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from rrgbench import SPLITS, ConfigError, Count, DataError, Download, Inputs, Split, Targets
from rrgbench.text import Placeholders
from rrgbench_datasets.iu_xray.films import restore
from rrgbench_datasets.iu_xray.layouts import find_layout, read_kaggles, read_openi, read_r2gen
from rrgbench_datasets.iu_xray.study import Collection, Study, count
from rrgbench_datasets.preparing import Preparation, TextRule
from rrgbench_datasets.reading import Films, stem

Section = Literal["indication", "comparison"]
Context = Literal["indication", "comparison", "none"] | Annotated[tuple[Section, ...], Field(min_length=1)]

_TARGETS = {"findings": ("findings",), "impression": ("impression",), "both": ("findings", "impression")}
_OPENI = "https://openi.nlm.nih.gov/imgs/collections"


class IUXray:
    """IU X-ray (OpenI) in R2Gen's split; the report is the FINDINGS section, the context the INDICATION.

    Read from R2Gen's ``annotation.json`` (cuhksz-nlp/R2Gen) beside ``images/``, from OpenI's own ``NLMCXR_reports.tgz`` beside
    ``NLMCXR_png/``, or from Kaggle's ``indiana_reports.csv`` and ``indiana_projections.csv`` beside ``images/``. All three give
    the same studies in the same order with the same reports.

    A subject is a CXR number, since OpenI has one report a patient. Films are looked for here and decoded later; one may be
    named .jpg or .png where the layout has the other suffix. Their views are those of ``manifest.csv`` in R2Gen's layout,
    those of Kaggle's projections elsewhere, and ``unknown`` where none is told.

    Args:
        root: the folder of the data set.
        cache_dir: where films with their shape restored are kept.
        layout: ``auto`` takes the first of r2gen, openi, kaggle whose reports the root holds.
        annotation: the name of R2Gen's annotation file in the root.
        target: the section to write; ``both`` is findings, then impression. A study without the section is left out; one of
            ``both`` keeps the section that it has.
        text: how the reports of the train split are cleaned, by R2Gen's rule for one; those that are judged stay verbatim.
        placeholders, context_placeholders: what becomes of ``XXXX`` in the reports of the train split, and in contexts.
        context: a section of the report; several, each with its name in front and those that are empty left out; or none.
        missing_images: ``drop`` goes on without films that are not there (``dropped_images`` names them), as long as
            each study keeps one.
        unsquash: films that were squashed to a square get the shape back that ``manifest.csv`` tells.

    Raises:
        ConfigError: options that do not go together.
        DataError: a file is missing, cannot be read, or is not what it should be.
    """

    license: ClassVar[Literal["open", "credentialed"]] = "open"
    downloads: ClassVar[tuple[Download, ...]] = (
        Download(
            name="NLMCXR_reports.tgz",
            url=f"{_OPENI}/NLMCXR_reports.tgz",
            sha256="8fb6de7eec73d8c3665067ad4bb003ccd57f971ae316d2642e1627ac7268667a",
            bytes=1_112_632,
        ),
        # Nobody publishes its digest or length; it is some 1.3 GB.
        Download(
            name="NLMCXR_png.tgz",
            url=f"{_OPENI}/NLMCXR_png.tgz",
            folder="NLMCXR_png",
            members=r"CXR[A-Za-z0-9_-]{1,100}\.png",
        ),
    )

    def __init__(
        self,
        root: Path,
        cache_dir: Path | None = None,
        *,
        layout: Literal["auto", "r2gen", "openi", "kaggle"] = "auto",
        annotation: str = "annotation.json",
        target: Literal["findings", "impression", "both"] = "findings",
        text: TextRule = "raw",
        placeholders: Placeholders = "keep",
        context_placeholders: Placeholders = "keep",
        context: Context = "indication",
        missing_images: Literal["error", "drop"] = "error",
        unsquash: bool = False,
    ) -> None:
        known = find_layout(root, annotation) if layout == "auto" else layout
        if known == "r2gen":
            read = read_r2gen(root, annotation, whole=context != "none" or target != "findings")
        else:
            read = read_openi(root) if known == "openi" else read_kaggles(root)
        self._sources = list(read.sources)
        splits = {split: [study for study in read.splits[split] if _report(study, target)] for split in SPLITS}
        self._counts = [*read.counts, *_with_target([study for split in SPLITS for study in splits[split]], target)]
        found = Films(_film_folder(read.folder), missing_images)
        films = _films([study for split in SPLITS for study in splits[split]], found)
        self.dropped_images = tuple(found.dropped)
        if missing_images == "drop":
            self._counts.append(Count("films that are there", len(films), sum(map(len, films.values()))))
        if unsquash:
            films = self._unsquashed(read, films, known, cache_dir)
        prepare = Preparation(text, "iu", placeholders, context_placeholders)
        self._inputs = prepare.inputs(
            {split: [_inputs(study, films[study.study_id], read, context) for study in splits[split]] for split in SPLITS}
        )
        self._targets = prepare.targets(
            {split: [Targets(study.study_id, _report(study, target)) for study in splits[split]] for split in SPLITS}
        )

    def _unsquashed(
        self, read: Collection, films: dict[str, dict[str, Path]], layout: str, cache_dir: Path | None
    ) -> dict[str, dict[str, Path]]:
        if layout != "r2gen" or not read.sizes or cache_dir is None:
            got = (
                f"layout {layout}" if layout != "r2gen" else "no manifest.csv that tells shapes" if cache_dir else "no cache_dir"
            )
            expected = "layout r2gen with dicom_rows and dicom_columns in manifest.csv"
            hint = "films of the other layouts have their own shape"
            raise ConfigError("iu_xray: option unsquash", got=got, expected=expected, hint=hint)
        flat = {name: (path, study) for study, of_study in films.items() for name, path in of_study.items()}
        self._sources += [path for path, _ in flat.values()]
        restored, told = restore(flat, read.sizes, cache_dir)
        self._counts.append(Count("films with their shape restored", len(films), told))
        return {study: {name: restored[name] for name in of_study} for study, of_study in films.items()}

    def inputs(self, split: Split) -> tuple[Inputs, ...]:
        """The films, views and context of each study."""
        return self._inputs[split]

    def targets(self, split: Split) -> tuple[Targets, ...]:
        """The report of each study, in the order of ``inputs``."""
        return self._targets[split]

    def sources(self) -> tuple[Path, ...]:
        """The files of reports and the tables that were read; the squashed films where others stand in their place."""
        return tuple(self._sources)

    def counts(self) -> tuple[Count, ...]:
        """Studies and films after each rule, in order, then those of each split."""
        splits = (Count(split, len(self._inputs[split]), sum(len(one.images) for one in self._inputs[split])) for split in SPLITS)
        return (*self._counts, *splits)


def _report(study: Study, target: str) -> str:
    return " ".join(filter(str.strip, (study.sections.get(section, "") for section in _TARGETS[target])))


def _with_target(studies: Sequence[Study], target: str) -> list[Count]:
    if target == "findings":
        return []
    if target == "impression":
        return [count("with an impression", studies)]
    return [
        count("with findings or impression", studies),
        count(
            "of these with both", [study for study in studies if all(study.sections.get(s, "").strip() for s in _TARGETS["both"])]
        ),
    ]


def _inputs(study: Study, films: dict[str, Path], read: Collection, context: Context) -> Inputs:
    views = tuple(read.views.get(stem(name), "unknown") for name in films)
    return Inputs(study.study_id, f"CXR{study.number}", tuple(films.values()), views, context=_context(study, context))


def _context(study: Study, context: Context) -> str:
    """The sections asked for, on one line."""
    if context == "none":
        return ""
    names = (context,) if isinstance(context, str) else tuple(dict.fromkeys(context))
    texts = {name: text for name in names if (text := " ".join(study.sections.get(name, "").split()))}
    if len(names) == 1:
        return "".join(texts.values())
    return " ".join(f"{name.upper()}: {text}" for name, text in texts.items())


def _films(studies: Sequence[Study], found: Films) -> dict[str, dict[str, Path]]:
    """The files of each study's films by their names."""
    every = {
        study.study_id: {name: path for name in study.films if (path := found.find(study.where, name)) is not None}
        for study in studies
    }
    found.tell()
    for study in studies:
        if not every[study.study_id]:
            raise DataError(f"{study.where}: field image_path", got="no film that is there", expected="at least one")
    return every


def _film_folder(folder: Path) -> Path:
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder", expected="the films, as images/<study>/<k>.jpg or .png")
    return folder
