"""R2Gen's split without R2Gen's file: a rule, and the ids that were published for validate and test."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path

from rrgbench import Count, DataError, Split
from rrgbench_datasets.iu_xray.annotation import KEYS
from rrgbench_datasets.iu_xray.study import Study, count
from rrgbench_datasets.openi import Report

Published = Mapping[Split, Sequence[str]]

FILMS = 2
"""R2Gen keeps as many films a study; here they are the first by name."""


def published() -> Published:
    """The ids of R2Gen's studies in their published order. Those of validate and test are its split; of train, the order."""
    text = resources.files(__package__).joinpath("r2gen_split.json").read_text(encoding="ascii")
    return {KEYS[key]: ids for key, ids in json.loads(text).items()}


def rebuild(
    source: Path, reports: Mapping[int, Report], suffix: str, known: Published
) -> tuple[dict[Split, list[Study]], tuple[Count, ...]]:
    """The studies of each split, and what was left after each rule: FINDINGS, at least two films, R2Gen's two of them.

    Validate and test are the published ids; train is what else the rule leaves, in the published order, then by number.

    Args:
        source: where the reports were read, for mistakes.
        reports: all reports by number.
        suffix: what a film's name has behind the name that a report gives it.
        known: the published ids.

    Raises:
        DataError: a published study is not there, or the rule would leave it out.
    """
    every = [_study(f"{source}: report {number}", number, report, suffix) for number, report in sorted(reports.items())]
    with_findings = [study for study in every if study.sections["findings"].strip()]
    with_films = [study for study in with_findings if len(study.films) >= FILMS]
    kept = {study.number: study for study in with_films}
    splits: dict[Split, list[Study]] = {}
    missing: list[str] = []
    for split, ids in known.items():
        for study_id in ids:
            study = kept.pop(int(study_id.removeprefix("CXR").partition("_")[0]), None)
            if study is None:
                missing.append(study_id)
            else:
                splits.setdefault(split, []).append(_as_published(study, study_id))
    if missing:
        raise DataError(
            f"{source}: {len(missing)} studies of R2Gen's split are not there with findings and two films",
            got=f"no {missing[0]}",
            expected=f"all {sum(map(len, known.values()))}",
            hint="fetch the reports again; or is annotation.json of R2Gen missing from the folder?",
        )
    splits["train"] += [_as_published(study, _id(study)) for study in kept.values()]
    counts = (
        count("all reports", every),
        count("with findings", with_findings),
        count("with at least two films", with_films),
        count("their first two films", [study for studies in splits.values() for study in studies]),
    )
    return splits, counts


def _study(where: str, number: int, report: Report, suffix: str) -> Study:
    images = sorted(report.images, key=lambda name: name.removesuffix(".png").removesuffix(".dcm"))
    return Study(where, f"CXR{number}", number, tuple(f"{image}{suffix}" for image in images), report.sections)


def _id(study: Study) -> str:
    """A study's id as R2Gen makes it: that of its first film without the last part."""
    return f"CXR{re.sub('^CXR', '', study.films[0]).rpartition('-')[0]}"


def _as_published(study: Study, study_id: str) -> Study:
    return Study(f"{study.where} ({study_id})", study_id, study.number, study.films[:FILMS], study.sections)
