"""What the numbers of a data set mean for its user, each with what to do about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rrgbench.checking.numbers import Finding, SplitNumbers
from rrgbench.errors import ManyErrors, RRGBenchError
from rrgbench.types import Split

_FEW = 50
_SHORT = 2
_MUCH = 0.2
_LEAKS = 0.01

_ASK = "ask whoever made the data set, or look at the file that the message names"


def from_errors(error: RRGBenchError) -> list[Finding]:
    """Mistakes as findings; their hints are the repairs."""
    if isinstance(error, ManyErrors):
        return [finding for one in error.errors for finding in from_errors(one)]
    bare = type(error)(error.what, got=error.got, expected=error.expected)
    return [Finding(level="error", what=str(bare), repair=str(RRGBenchError(error.hint or _ASK)))]


def from_numbers(splits: Mapping[Split, SplitNumbers]) -> Iterator[Finding]:
    """What is worth a look in the numbers."""
    for split, one in splits.items():
        if one.studies:
            yield from _of_texts(split, one)
            yield from _of_studies(split, one)
    yield from _of_labels(splits)
    studies = sum(one.studies for one in splits.values())
    if studies and all(set(one.views) <= {"unknown"} for one in splits.values()):
        yield _warn("no film has a known view", "give views, if the data set can read them: models embed them")
    if studies and all(one.contexts.empty == one.studies for one in splits.values()):
        yield _warn("no study has a context", "choose one by the data set's options, or leave encoders.text out")


def _of_texts(split: Split, one: SplitNumbers) -> Iterator[Finding]:
    if one.leaks:
        what = f"{split}: {one.leaks} of {one.studies} contexts hold the report of their own study"
        level = one.leaks > max(1, _LEAKS * one.studies)
        repair = "choose another context: a model would copy what it should write"
        yield Finding(level="error" if level else "warning", what=what, repair=repair)
    for name, count in one.reports.placeholders.items():
        if count:
            repair = "models learn to write them; see the data set's options for what is done to texts"
            yield _warn(f"{split}: {count} of {one.studies} reports hold {name} where something was taken out", repair)
    if one.reports.words and one.reports.words["min"] <= _SHORT:
        short = one.reports.words["min"]
        yield _warn(f"{split}: the shortest report has {short} words", "look whether such reports are whole")
    if one.in_train > _MUCH * one.studies:
        what = f"{split}: {one.in_train} of {one.studies} reports stand word for word in train"
        yield _warn(what, "read scores beside the floors: whoever learns frequent sentences by heart scores here too")


def _of_studies(split: Split, one: SplitNumbers) -> Iterator[Finding]:
    if split != "train" and one.studies < _FEW:
        yield _warn(f"{split}: only {one.studies} studies", "give it more: intervals over so few say little")
    if one.unknown_priors:
        what = f"{split}: {one.unknown_priors} studies name an earlier study that the data set does not have"
        yield _warn(what, "leave such names out, or add those studies")


def _of_labels(splits: Mapping[Split, SplitNumbers]) -> Iterator[Finding]:
    names = sorted({name for one in splits.values() for name in one.labels})
    for split, one in splits.items():
        bare = [name for name in names if not one.labels.get(name)]
        if bare and one.studies:
            told = ", ".join(bare[:5]) + (f" and {len(bare) - 5} more" if len(bare) > 5 else "")
            yield _warn(f"{split}: no study has {told}", "nothing can be learnt or told of a finding that is never there")


def _warn(what: str, repair: str) -> Finding:
    return Finding(level="warning", what=what, repair=repair)
