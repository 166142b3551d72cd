"""Relations between the entities of one sentence: modify, located_at, suggestive_of. Linear: each looks a few entities around."""

from __future__ import annotations

from dataclasses import dataclass

from rrgbench_annotators.cues import BREAKS, CONJUNCTIONS, CUES, PREPOSITIONS, SUGGESTING, VERBS
from rrgbench_annotators.tokens import Span
from rrgbench_annotators.vocabulary import COMPOUNDS

_NEAR = 4
"""How many groups back the subject of a predicate is looked for."""
_LONGEST = 16
"""Entities of a group: no phrase of a report is longer, and all that follows is linear for it."""
_ARTICLES = frozenset({"the", "a", "an", "xxxx"})
_OTHERS = CONJUNCTIONS | {"versus", "vs"}

Relations = list[list[tuple[str, int]]]


@dataclass(frozen=True)
class Group:
    """Spans ``first`` to ``last`` (places in the sentence's spans) side by side, and how the group hangs on the one before."""

    first: int
    last: int
    gap: str


def relations(tokens: list[str], spans: list[Span]) -> Relations:
    """For each span of a sentence its relations: name and the place of the other span."""
    linked: Relations = [[] for _ in spans]
    groups, words = _groups(tokens, spans), [tokens[span.start] for span in spans]
    for number, group in enumerate(groups):
        _modify(words, spans, group, linked)
        for place in range(group.first, group.last + 1):
            kind = spans[place].kind
            if kind == "observation":
                _locate(spans, groups, number, place, linked)
            elif kind in ("quality", "degree") and not linked[place]:
                _predicate(spans, groups, number, place, linked)
    _share(spans, groups, linked)
    _suggest(tokens, spans, linked)
    return linked


def _groups(tokens: list[str], spans: list[Span]) -> list[Group]:
    groups: list[Group] = []
    first, gap = 0, "break"
    for place in range(1, len(spans) + 1):
        between = _gap(tokens, spans[place - 1].end + 1, spans[place].start) if place < len(spans) else "break"
        if between != "beside" or place - first == _LONGEST:
            groups.append(Group(first, place - 1, gap))
            first, gap = place, between
    return groups if spans else []


def _gap(tokens: list[str], begin: int, end: int) -> str:
    """How two spans hang together by the words between: beside, list, preposition, verb, other or break."""
    if begin == end:
        return "beside"
    between = tokens[begin:end]
    words = set(between)
    if words & BREAKS:
        return "break"
    if words & VERBS:
        return "verb"
    if words & PREPOSITIONS:
        return "preposition"
    if words <= CONJUNCTIONS | _ARTICLES:
        return "list"
    return "other"


def _modify(words: list[str], spans: list[Span], group: Group, linked: Relations) -> None:
    """Degrees modify the next quality, qualities the next observation, places and parts the next part of the body."""
    quality: int | None = None
    observation: int | None = None
    anatomy: int | None = None
    for place in range(group.last, group.first - 1, -1):
        kind = spans[place].kind
        if kind == "observation":
            # "sternotomy wires": the wires, not two things
            if observation == place + 1 and words[place] in COMPOUNDS:
                linked[place].append(("modify", observation))
            quality, observation, anatomy = None, place, None
        elif kind in ("anatomy", "place"):
            if anatomy is not None:
                linked[place].append(("modify", anatomy))
            elif kind == "anatomy" or quality is None:
                anatomy = place
            quality = None if kind == "anatomy" else quality
        else:
            target = quality if kind == "degree" and quality is not None else observation
            if target is not None:
                linked[place].append(("modify", target))
            elif anatomy is not None:
                linked[place].append(("located_at", anatomy))
            quality = place if kind == "quality" else quality


def _where(spans: list[Span], first: int, last: int) -> int | None:
    """The part of the body that spans ``first`` to ``last`` end on: the last part, else the last place word."""
    places = range(last, first - 1, -1)
    found = next((place for place in places if spans[place].kind == "anatomy"), None)
    return found if found is not None else next((place for place in places if spans[place].kind == "place"), None)


def _only(spans: list[Span], group: Group, *kinds: str) -> bool:
    return all(spans[place].kind in kinds for place in range(group.first, group.last + 1))


def _locate(spans: list[Span], groups: list[Group], number: int, place: int, linked: Relations) -> None:
    """An observation lies where the words before it in its group say, or those behind it, or the subject."""
    group, found = groups[number], []
    first = place
    while first > group.first and spans[first - 1].kind != "observation":
        first -= 1
    found.append(_where(spans, first, place - 1))
    last = place
    while last < group.last and spans[last + 1].kind in ("anatomy", "place"):
        last += 1
    # "effusion left lung clear": what stands behind belongs to the next word, unless the group ends with it.
    found.append(_where(spans, place + 1, last) if last == group.last else None)
    if last == group.last and number + 1 < len(groups) and groups[number + 1].gap == "preposition":
        behind = groups[number + 1]
        end = behind.first
        while end <= behind.last and spans[end].kind != "observation":
            end += 1
        if end > behind.last:
            found.append(_where(spans, behind.first, behind.last))
    targets = list(dict.fromkeys(target for target in found if target is not None))
    if not targets and group.gap in ("verb", "other", "preposition"):
        targets = _subject(spans, groups, number, ("verb", "other", "preposition"))
    linked[place].extend(("located_at", target) for target in targets)


def _subject(spans: list[Span], groups: list[Group], number: int, gaps: tuple[str, ...]) -> list[int]:
    """The parts of the body that the nearest groups before are about, with those they are listed with."""
    targets: list[int] = []
    for back in range(number - 1, max(-1, number - 1 - _NEAR), -1):
        if groups[back + 1].gap not in ((*gaps, "list") if targets else gaps):
            break
        if _only(spans, groups[back], "anatomy", "place", "quality", "degree"):
            target = _where(spans, groups[back].first, groups[back].last)
            targets.extend([target] if target is not None else [])
            gaps = ("list",) if targets else gaps
        elif targets:
            break
    return targets[::-1]


def _predicate(spans: list[Span], groups: list[Group], number: int, place: int, linked: Relations) -> None:
    """A quality that nothing follows says something of the observation or the part of the body before it."""
    group = groups[number]
    before = next((one for one in range(place - 1, group.first - 1, -1) if spans[one].kind in ("observation", "anatomy")), None)
    if before is None and group.gap in ("verb", "list", "other") and number:
        back = number - 1
        observations = [one for one in range(groups[back].last, groups[back].first - 1, -1) if spans[one].kind == "observation"]
        if observations and (group.gap != "list"):
            linked[place].append(("modify", observations[0]))
            return
        targets = _subject(spans, groups, number, (group.gap, "verb", "other", "preposition"))
        linked[place].extend(("located_at", target) for target in targets)
        return
    if before is not None:
        linked[place].append(("modify" if spans[before].kind == "observation" else "located_at", before))


def _share(spans: list[Span], groups: list[Group], linked: Relations) -> None:
    """In "atelectasis and effusion at the left base" the first lies where the last does."""
    for number in range(len(groups) - 2, -1, -1):
        here, behind = groups[number], groups[number + 1]
        if behind.gap != "list" or spans[here.last].kind != "observation" or spans[behind.last].kind != "observation":
            continue
        targets = [target for name, target in linked[behind.last] if name == "located_at" and target > behind.last]
        if targets and not any(name == "located_at" for name, _ in linked[here.last]):
            linked[here.last].extend(("located_at", target) for target in targets)


def _suggest(tokens: list[str], spans: list[Span], linked: Relations) -> None:
    """An observation before "may represent" or "consistent with" is suggestive of the next, and of those listed with it."""
    before, source = None, None
    for place, span in enumerate(spans):
        if span.kind != "observation":
            continue
        if before is not None:
            between = tokens[spans[before].end + 1 : span.start]
            if _suggests(between):
                source = before
            elif source is not None and (set(between) & (VERBS | BREAKS | PREPOSITIONS) or not set(between) & _OTHERS):
                source = None
            if source is not None:
                linked[source].append(("suggestive_of", place))
        before = place


def _suggests(between: list[str]) -> bool:
    for place in range(len(between)):
        for size in range(1, 6):
            words = tuple(between[place : place + size])
            if words in SUGGESTING or CUES.get(words) == "suggest":
                return True
    return False
