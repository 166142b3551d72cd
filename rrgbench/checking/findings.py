"""What the numbers of a data set mean for its user, each with what to do about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rrgbench.checking.numbers import PLACEHOLDERS, Finding, SplitNumbers
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
    given = {split: one for split, one in splits.items() if one.studies}
    yield from _of_texts(given)
    yield from _of_studies(given)
    yield from _of_labels(given)
    if given and all(set(one.views) <= {"unknown"} for one in given.values()):
        yield _warn("no film has a known view", "give views, if the data set can read them: models embed them")
    if given and all(one.contexts.empty == one.studies for one in given.values()):
        yield _warn("no study has a context", "choose one by the data set's options, or leave encoders.text out")


def _shares(splits: Mapping[Split, SplitNumbers], counts: Mapping[Split, int], least: float = 0.0) -> str:
    """``train 3 of 20, test 1 of 5``: the splits of which more than the least share is counted."""
    much = {split: many for split, many in counts.items() if many > least * splits[split].studies}
    return ", ".join(f"{split} {many} of {splits[split].studies}" for split, many in much.items())


def _of_texts(splits: Mapping[Split, SplitNumbers]) -> Iterator[Finding]:
    if told := _shares(splits, {split: one.leaks for split, one in splits.items()}):
        level = any(one.leaks > max(1, _LEAKS * one.studies) for one in splits.values())
        repair = "choose another context: a model would copy what it should write"
        what = f"contexts hold the report of their own study: {told}"
        yield Finding(level="error" if level else "warning", what=what, repair=repair)
    for name in PLACEHOLDERS:
        if told := _shares(splits, {split: one.reports.placeholders[name] for split, one in splits.items()}):
            repair = "models learn to write it; see the data set's options for what is done to texts"
            yield _warn(f"reports hold {name} where something was taken out: {told}", repair)
    short = [split for split, one in splits.items() if one.reports.words.get("min", _SHORT + 1) <= _SHORT]
    if short:
        what = f"the shortest report has at most {_SHORT} words in {', '.join(short)}"
        yield _warn(what, "look whether such reports are whole")
    if told := _shares(splits, {split: one.in_train for split, one in splits.items()}, _MUCH):
        what = f"reports stand word for word in train: {told}"
        yield _warn(what, "read scores beside the floors: whoever learns frequent sentences by heart scores here too")


def _of_studies(splits: Mapping[Split, SplitNumbers]) -> Iterator[Finding]:
    few = [f"{split} {one.studies}" for split, one in splits.items() if split != "train" and one.studies < _FEW]
    if few:
        yield _warn(f"few studies: {', '.join(few)}", "add some: intervals over so few say little")
    if told := _shares(splits, {split: one.unknown_priors for split, one in splits.items()}):
        what = f"studies name an earlier study that the data set does not have: {told}"
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
