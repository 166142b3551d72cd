"""What is said of each token: present, absent, uncertain, or nothing. One pass from left to right, one back; linear."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rrgbench_annotators.cues import (
    ALTERNATIVES,
    BREAKS,
    CUES,
    LONGEST_CUE,
    NEW_STATEMENT,
    PREPOSITIONS,
    VERBS,
    Cue,
)

Status = Literal["DP", "DA", "U", ""]
"""RadGraph's definitely present, definitely absent, uncertain; empty where nothing is stated."""

_ONE = 4
"""How many tokens "not" reaches: "not significantly enlarged"."""


_ASKED = frozenset({"there", "this", "that", "it", "these", "with"})
"""Breaks that do not end what is only asked about: "if there is concern for pneumonia"."""
_OPENINGS = frozenset({",", "and", "the", "a", "an", "now", "with", "of"})


@dataclass(frozen=True)
class Found:
    """A cue at tokens ``start`` to ``end`` (exclusive)."""

    start: int
    end: int
    cue: Cue


def cues(tokens: list[str], begin: int, end: int) -> list[Found]:
    """The cues of a sentence from left to right, the longest first."""
    found, place = [], begin
    while place < end:
        longest = min(LONGEST_CUE.get(tokens[place], 0), end - place)
        for size in range(longest, 0, -1):
            cue = CUES.get(tuple(tokens[place : place + size]))
            if cue is not None:
                # "resolved edema" denies what follows, "edema resolved" what comes before.
                if tokens[place] == "resolved" and (place == begin or tokens[place - 1] in _OPENINGS):
                    cue = "deny"
                found.append(Found(place, place + size, cue))
                place += size
                break
        else:
            place += 1
    return found


def statuses(tokens: list[str], begin: int, end: int, found: list[Found]) -> list[Status]:
    """The status of tokens ``begin`` to ``end`` of one sentence."""
    sentence = tokens[begin:end]
    told = _forward(sentence, [Found(cue.start - begin, cue.end - begin, cue.cue) for cue in found])
    before = 0
    for cue in found:
        start = cue.start - begin
        if cue.cue in ("denied", "doubted", "versus"):
            status: Status = "DA" if cue.cue == "denied" else "U"
            for place in range(_reach_back(sentence, before, start, short=cue.cue == "versus"), start):
                if told[place] in ("DP", "U") and not (status == "U" and told[place] == "DA"):
                    told[place] = status
        before = cue.end - begin if cue.cue not in ("deny", "doubt") else before
    return told


@dataclass
class _Reach:
    """How many tokens each kind of cue still reaches, and where the last cue ends."""

    deny: int = 0
    doubt: int = 0
    dismiss: int = 0
    nothing: int = 0
    inside: int = 0

    def begin(self, cue: Found, everything: int) -> None:
        self.inside, self.nothing = cue.end, cue.end if cue.cue == "nothing" else 0
        if cue.cue == "deny":
            self.deny, self.doubt = everything, 0
        elif cue.cue == "deny one":
            self.deny = _ONE + cue.end - cue.start
        elif cue.cue in ("doubt", "suggest", "versus"):
            self.doubt = everything
        elif cue.cue == "dismiss":
            self.dismiss = everything
        else:
            self.deny = self.doubt = 0

    def end(self, word: str) -> None:
        self.deny = self.doubt = 0
        self.dismiss = 0 if word in BREAKS and word not in _ASKED else self.dismiss

    def status(self, word: str, place: int) -> Status:
        if self.dismiss > 0:
            return ""
        # In "lungs are clear of" the clearness is there.
        if place < self.nothing or (self.deny > 0 and not (word == "clear" and place < self.inside)):
            return "DA"
        return "U" if self.doubt > 0 else "DP"

    def step(self) -> None:
        self.deny, self.doubt, self.dismiss = self.deny - 1, self.doubt - 1, self.dismiss - 1


def _forward(sentence: list[str], found: list[Found]) -> list[Status]:
    """Statuses by the cues that reach forward."""
    starts = {cue.start: cue for cue in found}
    alternatives = _next_alternative(sentence)
    told: list[Status] = []
    reach = _Reach()
    for place, word in enumerate(sentence):
        if place >= reach.inside and _ends(sentence, place, alternatives[place]):
            reach.end(word)
        if place in starts:
            reach.begin(starts[place], len(sentence))
        told.append(reach.status(word, place))
        reach.step()
    return told


def _next_alternative(sentence: list[str]) -> list[bool]:
    """Whether an "or" comes after a place before any verb."""
    ahead, coming = [False] * len(sentence), False
    for place in range(len(sentence) - 1, -1, -1):
        ahead[place] = coming
        if sentence[place] in ALTERNATIVES:
            coming = True
        elif sentence[place] in VERBS:
            coming = False
    return ahead


def _ends(sentence: list[str], place: int, alternative: bool) -> bool:
    """Whether what was denied or doubted before ends at this token."""
    word = sentence[place]
    if word in BREAKS or word in VERBS:
        return True
    before = sentence[place - 1] if place else ""
    return word in NEW_STATEMENT and before not in ALTERNATIVES and before in (",", "and", "/") and not alternative


def _reach_back(sentence: list[str], limit: int, start: int, *, short: bool) -> int:
    """The first token that a cue at ``start`` reaches back to."""
    comma = None
    for place in range(start - 1, limit - 1, -1):
        word = sentence[place]
        if word in BREAKS and word != "this":
            return place + 1
        if short and (word == "," or word in VERBS or word in PREPOSITIONS):
            return place + 1
        if word in VERBS and place < start - 1:
            return comma if comma is not None else place + 1
        if word in (",", "and"):
            comma = place + 1
    return limit
