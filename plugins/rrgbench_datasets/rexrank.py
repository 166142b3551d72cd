"""ReXrank's public test sets, or any file in their format: a benchmark that is a file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Literal

from rrgbench import SPLITS, ConfigError, Count, DataError, Inputs, License, Split, Targets
from rrgbench.text import Placeholders
from rrgbench_datasets.preparing import Preparation, TextRule
from rrgbench_datasets.reading import Films, inside
from rrgbench_datasets.rexrank_file import Study, read_studies

_FOLDERS = ("images", "PNG", "files")
_NAMES = {"findings": "Findings", "impression": "Impression"}


class ReXrank:
    """ReXrank's JSON (rajpurkarlab/ReXrank): studies by id with films, context, findings and impression.

    ReXrank publishes test sets (and one validate set), and no train. So each split is a file, and a split without file is not
    there (``splits``): predictions can be scored without train; who trains, or asks for a floor, names a file for it. A file of
    train may hold everything there is: the studies and subjects of validate and test are left out of it, and those of test out
    of validate.

    A section that is missing (null, NaN, empty, or the bare word None) is missing: it never becomes the word, as in references
    made by ReXrank's script. Sections stand on one line.

    Args:
        root: the folder of the files and the films.
        test: the file of the test split in the root.
        validate: the file of the validate split, where there is one.
        train: the file of the train split, where there is one.
        images: the folder in the root that film paths begin at; ``images``, ``PNG`` or ``files`` where it is not given.
        target: the section to write; ``both`` is ReXrank's form ``Findings: .. Impression: ..``, of what is there.
        text: how the reports of the train split are cleaned, by R2Gen's rule for one; those that are judged stay verbatim.
        placeholders, context_placeholders: what becomes of ``XXXX`` and ``___`` in train reports, and in contexts.
        context: ``none`` leaves the context empty.
        films: ``key`` gives the one film that ReXrank gives to models of a single film.
        missing_images: ``drop`` leaves out films that are not there, and studies that have none.

    Raises:
        ConfigError: options that contradict each other.
        DataError: a file is missing, cannot be read, or is not what it should be.
    """

    license: ClassVar[License] = "credentialed"
    access: ClassVar[str] = (
        "ReXrank's files are at https://github.com/rajpurkarlab/ReXrank (data/); the films are those of MIMIC-CXR-JPG, CheXpert "
        "Plus (apply there) and IU X-ray; the folder holds the files and images/, PNG/ or files/ with the films"
    )

    def __init__(
        self,
        root: Path,
        *,
        test: str = "test.json",
        validate: str | None = None,
        train: str | None = None,
        images: str | None = None,
        target: Literal["findings", "impression", "both"] = "both",
        text: TextRule = "raw",
        placeholders: Placeholders = "keep",
        context_placeholders: Placeholders = "keep",
        context: Literal["given", "none"] = "given",
        films: Literal["all", "key"] = "all",
        missing_images: Literal["error", "drop"] = "error",
    ) -> None:
        names: dict[Split, str | None] = {"test": test, "validate": validate, "train": train}
        paths = {split: root / inside(f"option {split}", name, ConfigError) for split, name in names.items() if name is not None}
        _check_paths(paths)
        self.splits: tuple[Split, ...] = tuple(split for split in SPLITS if split in paths)
        self._sources = tuple(paths.values())
        self._counts: list[Count] = []
        wanted = ("findings", "impression") if target == "both" else (target,)
        found = Films(_film_folder(root, images), missing_images)
        studies, subjects = self._read(paths, wanted)
        self._inputs: dict[Split, tuple[Inputs, ...]] = {}
        self._targets: dict[Split, tuple[Targets, ...]] = {}
        for split in self.splits:
            shown = {"key": films == "key", "told": context == "given"}
            inputs = [_input(study, subjects[study.study_id], found, **shown) for study in studies[split]]
            there = [item for item in inputs if item.images]
            left = sum(len(item.images) for item in there)
            if left != sum(len(study.films) for study in studies[split]):
                rule = "key films that are there" if films == "key" else "films that are there"
                self._counts.append(Count(f"{split}: {rule}", len(there), left))
            self._inputs[split], kept = tuple(there), {item.study_id for item in there}
            self._targets[split] = tuple(
                Targets(study.study_id, _report(study, target)) for study in studies[split] if study.study_id in kept
            )
        found.tell()
        prepare = Preparation(text, "mimic", placeholders, context_placeholders)
        self._inputs, self._targets = prepare.inputs(self._inputs), prepare.targets(self._targets)

    def inputs(self, split: Split) -> tuple[Inputs, ...]:
        """The films, views and context of each study."""
        return self._inputs[split]

    def targets(self, split: Split) -> tuple[Targets, ...]:
        """The target sections of each study, in the order of ``inputs``."""
        return self._targets[split]

    def sources(self) -> tuple[Path, ...]:
        """The files that were read."""
        return self._sources

    def counts(self) -> tuple[Count, ...]:
        """What is left after each rule, split by split."""
        return tuple(self._counts)

    def _read(self, paths: Mapping[Split, Path], wanted: Sequence[str]) -> tuple[dict[Split, list[Study]], dict[str, str]]:
        """The studies of each split that have a section to write, none of them of a later split's subjects; and the subjects."""
        studies: dict[Split, list[Study]] = {}
        subjects: dict[str, str] = {}
        held: set[str] = set()
        for split, path in paths.items():
            here = read_studies(path)
            self._count(f"{split}: studies of {path.name}", here.values())
            own = _subjects(here)
            free = [study for study in here.values() if study.study_id not in subjects and own[study.study_id] not in held]
            if len(free) < len(here):
                self._count(f"{split}: without subjects of {' and '.join(studies)}", free)
            if told := sum(study.nones for study in free):
                self._count(f"{split}: the bare word None is a missing section ({told} sections)", free)
            if told := sum(study.unpaired for study in free):
                self._count(f"{split}: views that are not one a film are unknown ({told} studies)", free)
            studies[split] = [study for study in free if any(section in study.sections for section in wanted)]
            self._count(f"{split}: with {' or '.join(wanted)}", studies[split])
            if not studies[split]:
                got = f"{len(here)} studies, {len(free)} not of other splits, 0 with {' or '.join(wanted)}"
                raise DataError(f"{path}: no study is left for the split {split}", got=got, expected="at least one")
            subjects |= own
            held |= set(own.values())
        return studies, subjects

    def _count(self, rule: str, studies: Iterable[Study]) -> None:
        films = [len(study.films) for study in studies]
        self._counts.append(Count(rule, len(films), sum(films)))


def _check_paths(paths: Mapping[Split, Path]) -> None:
    if len(set(paths.values())) < len(paths):
        raise ConfigError("options test, validate and train", got="one file twice", expected="a file for each split")


def _subjects(studies: Mapping[str, Study]) -> dict[str, str]:
    """The subject of each study; where nobody's is known, each is its own.

    Raises:
        DataError: some are known and some are not, so that a subject could stand in two splits unseen.
    """
    unknown = [study for study in studies.values() if study.subject is None]
    if unknown and len(unknown) < len(studies):
        got = f"{len(unknown)} of {len(studies)} studies without, {len(studies) - len(unknown)} with"
        hint = "give every study the field subject_id"
        raise DataError(f"{unknown[0].where}: its subject is not known", got=got, expected="all or none", hint=hint)
    return {name: study.subject or name for name, study in studies.items()}


def _report(study: Study, target: str) -> str:
    if target != "both":
        return study.sections[target]
    return " ".join(f"{_NAMES[section]}: {text}" for section, text in study.sections.items())


def _film_folder(root: Path, images: str | None) -> Path:
    names = _FOLDERS if images is None else (str(inside("option images", images, ConfigError)),)
    found = [root / name for name in names if (root / name).is_dir()]
    if not found:
        looked = ", ".join(str(root / name) for name in names)
        raise DataError("the films are missing", got=f"no folder {looked}", expected="one of them", hint="set the option images")
    return found[0]


def _input(study: Study, subject: str, films: Films, *, key: bool, told: bool) -> Inputs:
    """A study with the films that are there."""
    there = [(films.find(study.where, name), view) for name, view in _film_views(study, key).items()]
    images = tuple(path for path, _ in there if path is not None)
    views = tuple(view for path, view in there if path is not None)
    return Inputs(study.study_id, subject, images, views, study.context if told else "")


def _film_views(study: Study, key: bool) -> dict[str, str]:
    """The views of a study's films, or of its key film alone."""
    views = dict(zip(study.films, study.views, strict=True))
    if not key:
        return views
    if study.key is None:
        hint = "set the option films to all"
        raise DataError(f"{study.where}: field key_image_path is missing", expected="the key film", hint=hint)
    return {study.key: views.get(study.key, "unknown")}
