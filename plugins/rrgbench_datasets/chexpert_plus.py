"""CheXpert Plus (Stanford AIMI): 223,462 films of 187,711 studies with sectioned reports, read from its table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from rrgbench import SPLITS, ConfigError, Count, DataError, Inputs, License, Split, Targets, derive_seed
from rrgbench.text import Placeholders
from rrgbench_datasets.chexpert_labels import find_labels, read_labels
from rrgbench_datasets.chexpert_table import ContextSection, Film, Study, earlier, read_studies
from rrgbench_datasets.preparing import Preparation, TextRule
from rrgbench_datasets.reading import Films, inside, stem

_FOLDERS = ("PNG", "PNG/PNG", ".", "CheXpert-v1.0", "CheXpert-v1.0-small")
_DRAWS = 2**63

Share = Annotated[float, Field(ge=0.0, lt=0.5)]


class CheXpertPlus:
    """CheXpert Plus: frontal and lateral films with sectioned reports (Chambon et al. 2024, arXiv 2405.19538).

    Read from ``df_chexpert_plus_240401.csv``, whose rows are films, and the films beside it: ``PNG/train/..`` or the JPEG tree
    ``train/..`` of CheXpert. The study ``train/patient1/study2`` is called ``patient1_study2``, as ReXrank calls it.

    The table has the splits train and valid. ``valid`` is test here, and ``validate_share`` of the train *subjects* validate,
    chosen by a hash of the patient; with ``test_share`` test is chosen from train so too, and ``valid`` stands in validate.
    Most reports have no findings section: studies without the target are left out, and ``counts`` says how many.

    Args:
        root: the folder of the data set.
        table: the name of the table in the root.
        folder: where ``train/`` and ``valid/`` with the films stand in the root; found where it is not given.
        target: the section to write; ``both`` is findings, then impression, or the one that is there.
        text: how the reports of the train split are cleaned, by R2Gen's rule for one; those that are judged stay verbatim.
        placeholders, context_placeholders: what becomes of ``XXXX`` and ``___`` in train reports, and in contexts.
        context: the sections of the context, in this order.
        views: which films are kept.
        projection: ``ap`` or ``pa`` keeps of the frontal films only those.
        labels: the section whose published CheXbert labels stand in the targets.
        uncertain: what an uncertain label counts as; a finding that is not mentioned is absent.
        prior_studies: how many earlier studies of the subject ``prior_ids`` names.
        validate_share: of the train subjects.
        test_share: of the train subjects; None: test is the table's valid.
        missing_images: ``drop`` leaves out films that are not there, and studies that have none.

    Raises:
        ConfigError: options that contradict each other.
        DataError: a file is missing, cannot be read, or is not what it should be.
    """

    license: ClassVar[License] = "credentialed"
    access: ClassVar[str] = (
        "apply for CheXpert Plus at Stanford AIMI (https://aimi.stanford.edu/datasets/chexpert-plus); the folder holds "
        "df_chexpert_plus_240401.csv, PNG/train, PNG/valid and, for labels, chexbert_labels/"
    )

    def __init__(
        self,
        root: Path,
        *,
        table: str = "df_chexpert_plus_240401.csv",
        folder: str | None = None,
        target: Literal["findings", "impression", "both"] = "findings",
        text: TextRule = "raw",
        placeholders: Placeholders = "keep",
        context_placeholders: Placeholders = "keep",
        context: tuple[ContextSection, ...] = ("clinical_history", "history"),
        views: tuple[Literal["frontal", "lateral"], ...] = ("frontal", "lateral"),
        projection: Literal["any", "ap", "pa"] = "any",
        labels: Literal["none", "findings", "impression", "report"] = "none",
        uncertain: Literal["present", "absent"] = "present",
        prior_studies: Annotated[int, Field(ge=0)] = 1,
        validate_share: Share = 0.01,
        test_share: Annotated[float, Field(gt=0.0, lt=0.5)] | None = None,
        missing_images: Literal["error", "drop"] = "error",
    ) -> None:
        _check_options(context, views, validate_share, test_share)
        path = root / inside("option table", table, ConfigError)
        wanted = ("findings", "impression") if target == "both" else (target,)
        studies = read_studies(path, (*wanted, *context))
        self._sources = [path]
        self._counts = [_count("all rows of the table", studies.values())]
        studies = self._with_films(studies, views, projection)
        tree = _film_folder(root, folder)
        films = Films(tree, missing_images)
        found = {name: there for name, study in studies.items() if (there := _files(study, films, tree))}
        films.tell()
        if films.dropped:
            studies = {name: studies[name] for name in found}
            self._counts.append(Count("films that are there", len(found), sum(map(len, found.values()))))
        studies = self._with_target(studies, wanted)
        truth = self._labels(root, labels, studies, int(uncertain == "present")) if labels != "none" else {}
        splits = _split(studies.values(), validate_share, test_share)
        self._counts += [_count(f"{split}: {_rule(split, validate_share, test_share)}", splits[split]) for split in SPLITS]
        priors = dict(earlier(studies, prior_studies))
        prepare = Preparation(text, "mimic", placeholders, context_placeholders)
        self._inputs = prepare.inputs(
            {
                split: [_inputs(study, context, found[study.study_id], priors[study.study_id]) for study in those]
                for split, those in splits.items()
            }
        )
        judged = {
            split: [_target(study, wanted, truth.get(study.study_id)) for study in those] for split, those in splits.items()
        }
        self._targets = prepare.targets(judged)

    def inputs(self, split: Split) -> tuple[Inputs, ...]:
        """The films, views, context and earlier studies of each study."""
        return self._inputs[split]

    def targets(self, split: Split) -> tuple[Targets, ...]:
        """The target sections of each study, in the order of ``inputs``."""
        return self._targets[split]

    def sources(self) -> tuple[Path, ...]:
        """The table and, where they were read, the labels."""
        return tuple(self._sources)

    def counts(self) -> tuple[Count, ...]:
        """What is left after each rule."""
        return tuple(self._counts)

    def _labels(
        self, root: Path, labels: Literal["findings", "impression", "report"], studies: Mapping[str, Study], uncertain: int
    ) -> Mapping[str, dict[str, int]]:
        """The published labels of each study, those of its first film."""
        file = find_labels(root, labels)
        self._sources.append(file)
        return read_labels(file, {study.films[0].path: name for name, study in studies.items()}, uncertain)

    def _with_films(self, studies: Mapping[str, Study], views: Sequence[str], projection: str) -> dict[str, Study]:
        """The studies that have a film of these views and this projection, with those films."""
        for study in studies.values():
            study.films = [film for film in study.films if _keeps(film, views, projection)]
        kept = {name: study for name, study in studies.items() if study.films}
        if len(views) < 2 or projection != "any":
            those = " and ".join(views) + (f", frontal ones {projection.upper()}" if projection != "any" else "")
            self._counts.append(_count(f"films that are {those}", kept.values()))
        return kept

    def _with_target(self, studies: Mapping[str, Study], wanted: Sequence[str]) -> dict[str, Study]:
        """The studies that have a section to write."""
        differing = sum(study.differs for study in studies.values())
        if differing:
            self._counts.append(_count(f"one text a study, the first row's ({differing} studies have several)", studies.values()))
        kept = {name: study for name, study in studies.items() if any(study.sections.get(section) for section in wanted)}
        self._counts.append(_count(f"studies with {' or '.join(wanted)}", kept.values()))
        return kept


def _check_options(context: Sequence[str], views: Sequence[str], validate_share: float, test_share: float | None) -> None:
    for name, given in (("context", context), ("views", views)):
        if len(set(given)) < len(given):
            raise ConfigError(f"option {name}", got=", ".join(given), expected="each once")
    if not views:
        raise ConfigError("option views", got="none", expected="frontal, lateral or both")
    if not validate_share and test_share is None:
        hint = "validate comes from train: give a share above 0"
        raise ConfigError("option validate_share", got=validate_share, expected="more than 0", hint=hint)


def _keeps(film: Film, views: Sequence[str], projection: str) -> bool:
    return film.view in views and (projection == "any" or film.view != "frontal" or film.projection == projection.upper())


def _count(rule: str, studies: Iterable[Study]) -> Count:
    films = [len(study.films) for study in studies]
    return Count(rule, len(films), sum(films))


def _film_folder(root: Path, folder: str | None) -> Path:
    names = _FOLDERS if folder is None else (str(inside("option folder", folder, ConfigError)),)
    for name in names:
        if any((root / name / split).is_dir() for split in ("train", "valid")):
            return root / name
    looked = ", ".join(str(root / name) for name in names)
    hint = "unpack the films there, or set the option folder"
    raise DataError("the films are missing", got=f"no folder train or valid in {looked}", expected="it in one", hint=hint)


def _files(study: Study, films: Films, folder: Path) -> list[Path]:
    """The files of a study's films, which keeps only those that are there. The table says .jpg, and the PNG tree has .png."""
    suffix = ".png" if "PNG" in folder.parts else ".jpg"
    found = [(film, films.find(f"study {study.study_id}", stem(film.path) + suffix)) for film in study.films]
    study.films = [film for film, path in found if path is not None]
    return [path for _, path in found if path is not None]


def _split(studies: Iterable[Study], validate_share: float, test_share: float | None) -> dict[Split, list[Study]]:
    """Each study's split; those of one subject are in the same."""
    splits: dict[Split, list[Study]] = {split: [] for split in SPLITS}
    for study in studies:
        splits[_split_of(study, validate_share, test_share)].append(study)
    for split, those in splits.items():
        if not those:
            hint = "give larger shares, another target, or a table with more studies"
            raise DataError(f"no study is left in the split {split}", got="0 studies", expected="at least one", hint=hint)
    return splits


def _split_of(study: Study, validate_share: float, test_share: float | None) -> Split:
    if study.split == "valid":
        return "test" if test_share is None else "validate"
    drawn = derive_seed("chexpert_plus", study.subject) / _DRAWS
    if drawn < validate_share:
        return "validate"
    return "test" if test_share is not None and drawn >= 1.0 - test_share else "train"


def _rule(split: Split, validate_share: float, test_share: float | None) -> str:
    """How a split came to be, in a few words."""
    if split == "train":
        return "the table's train without what the others have of it"
    if split == "test":
        return "the table's valid" if test_share is None else f"{test_share:g} of the train subjects"
    return f"{validate_share:g} of the train subjects" + ("" if test_share is None else " and the table's valid")


def _inputs(study: Study, context: Iterable[str], films: Sequence[Path], priors: tuple[str, ...]) -> Inputs:
    told = " ".join(study.sections[name] for name in context if name in study.sections)
    return Inputs(study.study_id, study.subject, tuple(films), tuple(film.view for film in study.films), told, priors)


def _target(study: Study, wanted: Sequence[str], labels: Mapping[str, int] | None) -> Targets:
    return Targets(study.study_id, " ".join(study.sections[name] for name in wanted if name in study.sections), labels)
