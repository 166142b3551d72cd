"""The child process of ``check``: reads the data set, looks at it and writes what it saw; progress goes to standard output."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rrgbench.catalogue.building import build
from rrgbench.checking import films
from rrgbench.checking.findings import from_errors, from_numbers
from rrgbench.checking.numbers import Checked, Finding, Pairs, numbers
from rrgbench.data import errors_told
from rrgbench.errors import ConfigError, DataError, ManyErrors, RRGBenchError
from rrgbench.rules import check_split
from rrgbench.types import SPLITS, Inputs, Split, Targets

_SECONDS_BETWEEN = 0.2
_TOLD = 20


def look(request: Mapping[str, Any]) -> Checked:
    """Everything that ``check`` was asked for.

    Raises:
        ConfigError: an option is wrong.
    """
    wanted = request["component"]["$component"]
    about = {"name": wanted["name"], "folder": request["root"]}
    cache = Path(request["cache_dir"])
    cache.mkdir()
    values = {"root": Path(request["root"]) if request["root"] else None, "cache_dir": cache}
    sides: dict[Split, tuple[Sequence[Inputs], Sequence[Targets]]] = {}
    try:
        dataset = build(request["component"], values.__getitem__)
        for split in SPLITS:
            sides[split] = (tuple(dataset.inputs(split)), tuple(dataset.targets(split)))
        rules = tuple(dataset.counts()) if hasattr(dataset, "counts") else ()
    except RRGBenchError as error:
        if isinstance(error, ConfigError) or (isinstance(error, ManyErrors) and all_config(error)):
            raise
        return Checked(**about, license=request["license"], findings=tuple(from_errors(error)))
    sound, mistakes = _check(wanted["name"], sides)
    told = numbers(sound)
    findings = [*mistakes, *_crossing(sound), *from_numbers(told)]
    seen = None
    if request["films"]:
        seen, more = films.look(sound, _Ticker())
        findings += more
    return Checked(**about, license=dataset.license, rules=rules, splits=told, films=seen, findings=tuple(findings))


def all_config(error: ManyErrors) -> bool:
    """Whether only options are wrong, and no file."""
    return all(isinstance(one, ConfigError) for one in error.errors)


class _Ticker:
    """Tells how far it is, a few times a second."""

    def __init__(self) -> None:
        self._last = 0.0

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._last >= _SECONDS_BETWEEN or done == total:
            self._last = now
            sys.stdout.write(f"{done}/{total}\n")
            sys.stdout.flush()


def _check(name: str, sides: Mapping[Split, tuple[Sequence[Inputs], Sequence[Targets]]]) -> tuple[Pairs, list[Finding]]:
    """The studies that are what they should be, and what is wrong with the others and with the splits."""
    sound: dict[Split, list[tuple[Inputs, Targets]]] = {}
    findings: list[Finding] = []
    wrong = 0
    for split, (inputs, targets) in sides.items():
        where = f"data set {name}, split {split}"
        whole = _mistake(where, inputs, targets)
        sound[split] = []
        for asked, judged in zip(inputs, targets):
            mistake = None if whole is None else _mistake(where, (asked,), (judged,))
            if mistake is None:
                sound[split].append((asked, judged))
                continue
            wrong += 1
            if wrong <= _TOLD:
                findings += from_errors(mistake)
        # What is no study's own mistake: an empty split, a study twice, sides that differ.
        if whole is not None and len(sound[split]) == min(len(inputs), len(targets)):
            findings += from_errors(whole)
    if wrong > _TOLD:
        what = f"{wrong - _TOLD} more studies are not what they should be"
        findings.append(Finding(level="error", what=what, repair="mend these first, and check again"))
    return sound, findings


def _mistake(where: str, inputs: Sequence[Inputs], targets: Sequence[Targets]) -> DataError | None:
    try:
        check_split(where, inputs, targets)
    except DataError as error:
        return error
    return None


def _crossing(pairs: Pairs) -> list[Finding]:
    """Subjects and studies of two splits."""
    splits: dict[tuple[str, str], dict[Split, None]] = {}
    for split, studies in pairs.items():
        for asked, _ in studies:
            for key in (("subject", asked.subject_id), ("study", asked.study_id)):
                splits.setdefault(key, {})[split] = None
    found = [(what, name, " and ".join(where)) for (what, name), where in splits.items() if len(where) > 1]
    repair = "put all studies of a subject into one split, each study once"
    told = [Finding(level="error", what=f"{what} {name} is in {where}", repair=repair) for what, name, where in found[:_TOLD]]
    if len(found) > _TOLD:
        more = Counter(what for what, _, _ in found[_TOLD:])
        what = " and ".join(f"{count} more of kind {name}" for name, count in more.items()) + " are in two splits"
        told.append(Finding(level="error", what=what, repair=repair))
    return told


def main() -> int:
    """Read a request from standard input."""
    request = json.loads(sys.stdin.read())
    out = Path(request["out"])
    try:
        text = look(request).model_dump_json()
    except RRGBenchError as error:
        text = json.dumps({"mistakes": errors_told(error)})
    out.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
