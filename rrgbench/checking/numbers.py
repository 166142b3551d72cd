"""The numbers of a data set: sizes, views, labels, lengths, repeats, placeholders. Numbers only, never a text."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from rrgbench.text.placeholders import PLACEHOLDER_FORMS
from rrgbench.types import VIEWS, Count, Inputs, License, Split, Targets

Pairs = Mapping[Split, Sequence[tuple[Inputs, Targets]]]
"""Both sides of each study by split."""

QUANTILES = {"min": 0.0, "5 %": 0.05, "median": 0.5, "95 %": 0.95, "max": 1.0}
LEAK_WORDS = 8
"""A report at least so long that stands whole in the context of its study is no coincidence."""

_WORD = re.compile(r"\w+")


class _Told(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Finding(_Told):
    """Something to look at: ``error`` must be repaired before a run, ``warning`` need not be."""

    level: Literal["error", "warning"]
    what: str
    repair: str


class Texts(_Told):
    """Lengths in words of the texts that are not empty, and how many hold a placeholder."""

    empty: int
    words: dict[str, int]
    placeholders: dict[str, int]


class SplitNumbers(_Told):
    """One split.

    ``views``: films by view. ``labels``: studies that have a finding. ``distinct``: different reports; ``commonest``: how often
    the most frequent one stands; ``in_train``: reports that stand word for word in train. ``leaks``: contexts that hold the
    report of their own study, which no earlier study of the subject had.
    """

    studies: int
    subjects: int
    images: int
    views: dict[str, int]
    labels: dict[str, int]
    reports: Texts
    contexts: Texts
    distinct: int
    commonest: int
    in_train: int
    with_prior: int
    unknown_priors: int
    leaks: int


class FilmNumbers(_Told):
    """The films that were opened. ``copies``: films whose bytes another study has too; ``crossing``: those of two splits."""

    opened: int
    unreadable: int
    smallest: tuple[int, int]
    largest: tuple[int, int]
    modes: dict[str, int]
    copies: int
    crossing: int


class Checked(_Told):
    """Everything that was seen. ``splits`` is empty where the data set could not be made."""

    name: str
    license: License
    folder: str | None
    rules: tuple[Count, ...] = ()
    splits: dict[Split, SplitNumbers] = {}
    films: FilmNumbers | None = None
    findings: tuple[Finding, ...] = ()

    @property
    def is_right(self) -> bool:
        """Whether a run can read it."""
        return not any(finding.level == "error" for finding in self.findings)


def numbers(pairs: Pairs) -> dict[Split, SplitNumbers]:
    """The numbers of every split; ``pairs`` are of the right types."""
    train = {judged.report for _, judged in pairs["train"]} if "train" in pairs else set()
    known = {asked.study_id: judged.report for studies in pairs.values() for asked, judged in studies}
    return {split: _split(studies, set() if split == "train" else train, known) for split, studies in pairs.items()}


def _split(studies: Sequence[tuple[Inputs, Targets]], train: set[str], known: Mapping[str, str]) -> SplitNumbers:
    views = Counter(view for asked, _ in studies for view in asked.views)
    labels: Counter[str] = Counter()
    for _, judged in studies:
        labels.update(judged.labels or {})
    reports = Counter(judged.report for _, judged in studies)
    return SplitNumbers(
        studies=len(studies),
        subjects=len({asked.subject_id for asked, _ in studies}),
        images=sum(len(asked.images) for asked, _ in studies),
        views={view: views[view] for view in VIEWS if views[view]},
        labels=dict(sorted(labels.items())),
        reports=_texts([judged.report for _, judged in studies]),
        contexts=_texts([asked.context for asked, _ in studies]),
        distinct=len(reports),
        commonest=max(reports.values(), default=0),
        in_train=sum(judged.report in train for _, judged in studies),
        with_prior=sum(bool(asked.prior_ids) for asked, _ in studies),
        unknown_priors=sum(any(prior not in known for prior in asked.prior_ids) for asked, _ in studies),
        leaks=sum(_leaks(asked, judged, known) for asked, judged in studies),
    )


def _texts(texts: Sequence[str]) -> Texts:
    lengths = [len(text.split()) for text in texts if text.strip()]
    # The smallest length that at least this share of texts does not exceed: a length that some text has.
    values: list[int] = np.quantile(lengths, list(QUANTILES.values()), method="inverted_cdf").tolist() if lengths else []
    return Texts(
        empty=len(texts) - len(lengths),
        words={name: int(value) for name, value in zip(QUANTILES, values)},
        placeholders={name: sum(bool(form.search(text)) for text in texts) for name, form in PLACEHOLDER_FORMS.items()},
    )


def _words(text: str) -> str:
    return " ".join(_WORD.findall(text.lower()))


def _leaks(asked: Inputs, judged: Targets, known: Mapping[str, str]) -> bool:
    """Whether the context says the report. One that an earlier study had word for word was known already."""
    report = _words(judged.report)
    if report.count(" ") + 1 < LEAK_WORDS or f" {report} " not in f" {_words(asked.context)} ":
        return False
    return all(report not in _words(known.get(prior, "")) for prior in asked.prior_ids)
