"""The data set: options, subjects in splits, and the two sides of every study."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, get_type_hints

from pydantic import Field, TypeAdapter, ValidationError

from rrgbench import ConfigError, Inputs, Split, Targets
from rrgbench_datasets.keeping import keep
from rrgbench_datasets.phantom.anatomy import body_of, exposure_of
from rrgbench_datasets.phantom.canvas import Film
from rrgbench_datasets.phantom.draws import Draws
from rrgbench_datasets.phantom.findings import Plants, Study, studies_of
from rrgbench_datasets.phantom.frontal import frontal
from rrgbench_datasets.phantom.grammar import context_of, report_of
from rrgbench_datasets.phantom.lateral import lateral
from rrgbench_datasets.preparing import TextRule, prepare_reports

VERSION = 1
"""Counts up whenever a film changes, so that no film of an earlier version is taken for a new one."""

Share = Annotated[float, Field(ge=0.0, le=1.0)]


class Phantom:
    """Procedural chest films with reports, whose sources tell what the options say; see docs/phantom.md.

    Args:
        cache_dir: where the films are made; films that are there and whole are used again.
        studies: how many studies; a larger set begins with the smaller one.
        size: height and width of the films in pixels.
        seed: the same seed gives the same bytes on every machine.
        studies_per_subject: each subject has one to this many studies.
        image_plant: the share of findings that are drawn on the films; the others are reported all the same.
        text_plant: the share of indications that tell the history of their own subject; the others tell another's.
        knowledge_plant: how much the findings hang together, at unchanged frequencies; 0 makes them independent.
        interaction_plant: null plants nothing. Else the report begins with the answer to a question that film and indication
            answer together only, and this is the share of indications that name the zone that the answer is of.
        question_alone: with ``interaction_plant``, the indication is the question and the report the answer, nothing else.
        lateral_share: the share of studies with a lateral film beside the frontal one.
        empty_share: the share of studies without an indication.
        text: how the reports of the train split are cleaned, by R2Gen's rule for one; validate and test stay verbatim.

    Raises:
        ConfigError: an option is out of range.
        DataError: ``cache_dir`` cannot be written.
    """

    license: ClassVar[Literal["open", "credentialed"]] = "open"

    def __init__(
        self,
        cache_dir: Path,
        *,
        studies: Annotated[int, Field(ge=10, le=100_000)] = 600,
        size: Annotated[int, Field(ge=32, le=1024)] = 96,
        seed: Annotated[int, Field(ge=0)] = 0,
        studies_per_subject: Annotated[int, Field(ge=1, le=10)] = 3,
        image_plant: Share = 0.9,
        text_plant: Share = 0.9,
        knowledge_plant: Share = 0.8,
        interaction_plant: Share | None = None,
        question_alone: bool = False,
        lateral_share: Share = 0.9,
        empty_share: Share = 0.05,
        text: TextRule = "raw",
    ) -> None:
        options: dict[str, Any] = {
            "studies": studies,
            "size": size,
            "seed": seed,
            "studies_per_subject": studies_per_subject,
            "image_plant": image_plant,
            "text_plant": text_plant,
            "knowledge_plant": knowledge_plant,
            "interaction_plant": interaction_plant,
            "question_alone": question_alone,
            "lateral_share": lateral_share,
            "empty_share": empty_share,
        }
        _check(options)
        self._seed, self._size, self._text, self._question_alone = seed, size, text, question_alone
        plants = Plants(image_plant, text_plant, knowledge_plant, interaction_plant)
        self._studies = _first(
            studies, lambda subject: studies_of(subject, seed, studies_per_subject, plants, lateral_share, empty_share)
        )
        undrawn = ("studies", "text_plant", "empty_share", "interaction_plant", "question_alone")
        drawn = {name: value for name, value in options.items() if name not in undrawn}
        if interaction_plant is not None:
            drawn["markers"] = True
        key = hashlib.sha256(json.dumps([VERSION, studies, drawn], sort_keys=True).encode()).hexdigest()[:16]
        self._folder = Path(cache_dir) / f"phantom-{key}"
        films = {name: draw for study in self._studies for name, draw in self._films(study).items()}
        keep(self._folder, films, "phantom")

    def inputs(self, split: Split) -> Sequence[Inputs]:
        """What a generator may see of the studies of a split, subject by subject, oldest study first."""
        return tuple(self._inputs(study) for study in self._studies if study.split == split)

    def targets(self, split: Split) -> Sequence[Targets]:
        """The reports and labels of the same studies in the same order."""
        studies = [study for study in self._studies if study.split == split]
        reports = tuple(report_of(study, self._draws("report", study), self._question_alone) for study in studies)
        if split == "train":
            reports = prepare_reports(reports, self._text)
        return tuple(Targets(study.study_id, report, study.labels) for study, report in zip(studies, reports))

    def sources(self) -> Sequence[Path]:
        """Nothing outside the films is read."""
        return ()

    def _inputs(self, study: Study) -> Inputs:
        names = tuple(self._films(study))
        return Inputs(
            study_id=study.study_id,
            subject_id=study.subject_id,
            images=tuple(self._folder / name for name in names),
            views=tuple(name.rpartition("-")[2].removesuffix(".png") for name in names),
            context=context_of(study, self._draws("context", study), self._question_alone),
            prior_ids=study.prior_ids,
        )

    def _films(self, study: Study) -> dict[str, Callable[[], Film]]:
        """File name -> how to draw the film."""
        films = {"frontal": frontal, "lateral": lateral} if study.has_lateral else {"frontal": frontal}
        return {f"{study.study_id}-{view}.png": functools.partial(self._film, study, view, draw) for view, draw in films.items()}

    def _film(self, study: Study, view: str, draw: Callable[..., Film]) -> Film:
        exposure = exposure_of(self._seed, study.subject, study.visit, view)
        zones = {"zones": study.question.zones} if view == "frontal" and study.question else {}
        return draw(self._size, body_of(self._seed, study.subject), exposure, study.findings, self._draws(view, study), **zones)

    def _draws(self, purpose: str, study: Study) -> Draws:
        return Draws(purpose, self._seed, study.study_id)


def _first(count: int, studies: Callable[[int], Sequence[Study]]) -> tuple[Study, ...]:
    """The first ``count`` studies of as many subjects as it takes."""
    found: list[Study] = []
    subject = 0
    while len(found) < count:
        found.extend(studies(subject))
        subject += 1
    return tuple(found[:count])


def _check(options: dict[str, Any]) -> None:
    hints = get_type_hints(Phantom.__init__, include_extras=True)
    for name, value in options.items():
        try:
            TypeAdapter(hints[name]).validate_python(value, strict=True)
        except ValidationError as error:
            expected = error.errors()[0]["msg"].removeprefix("Input should be ")
            raise ConfigError(f"option {name} of data set phantom", got=repr(value), expected=expected) from None
    if options["studies"] < 10 * options["studies_per_subject"]:
        raise ConfigError(
            "option studies of data set phantom",
            got=options["studies"],
            expected=f"at least ten subjects of studies_per_subject={options['studies_per_subject']}",
            hint="each split takes its subjects out of every ten",
        )
    if options["question_alone"] and options["interaction_plant"] is None:
        raise ConfigError(
            "option question_alone of data set phantom", got=True, expected="a question", hint="set interaction_plant to 1.0"
        )
