"""The sections of a report that is written as one text: found by their headers, nothing lost."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

_HEADERS: Mapping[str, tuple[str, ...]] = {
    "examination": ("examination", "exam", "study", "type of exam", "type of examination", "procedure", "examination performed"),
    "indication": (
        *("indication", "indications", "clinical indication", "clinical indications", "reason", "reason for exam"),
        *("reason for examination", "reason for study", "reason for the study", "reason for this examination"),
    ),
    "history": (
        *("history", "clinical history", "patient history", "clinical information", "clinical data", "clinical details"),
        *("medical history", "past medical history"),
    ),
    "comparison": ("comparison", "comparisons", "comparison study", "comparison studies", "compared to", "prior studies"),
    "technique": ("technique", "techniques", "views", "number of views", "protocol"),
    "findings": ("findings", "finding", "chest findings", "report", "observations"),
    "impression": (
        *("impression", "impressions", "conclusion", "conclusions", "opinion", "summary", "interpretation", "assessment"),
        *("findings and impression", "findings/impression", "findings / impression", "impression and findings"),
    ),
    "recommendation": ("recommendation", "recommendations"),
    "notification": ("notification", "notifications"),
    "addendum": ("addendum", "addenda"),
    "wet read": ("wet read", "preliminary report", "preliminary read"),
    "narrative": ("narrative", "narrative history"),
    "end of impression": ("end of impression",),
    "signature": ("signature", "signed by", "electronically signed by", "dictated by", "reported by", "attending"),
}
_NAMES = {header: name for name, headers in _HEADERS.items() for header in headers}
_AT_LINE_START = {
    *("assessment", "attending", "exam", "finding", "interpretation", "observations", "opinion", "procedure", "protocol"),
    *("reason", "report", "signature", "study", "summary", "views"),
}
"""Headers that are also ends of other phrases ("FINAL REPORT:", "PRIOR STUDY:"): inside a line they are text."""

_BLANK = r"[^\S\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]"
_LINE = r"(?:\A|(?<=[\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]))"
_LINE_ENDS = r"(?=[\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]|\Z)"


def _any_of(names: Iterable[str]) -> str:
    return "|".join(re.escape(name).replace(r"\ ", rf"{_BLANK}{{1,8}}") for name in sorted(names, key=len, reverse=True))


_KNOWN, _CLEAR = _any_of(_NAMES), _any_of(_NAMES.keys() - _AT_LINE_START)
_COLON = rf"{_BLANK}{{0,8}}[:\uff1a]"
_HEADER = re.compile(
    # A known header with its colon at the start of a line, in any case; or alone on its line, not in lower case.
    rf"{_LINE}{_BLANK}{{0,40}}(?:(?P<line>(?i:{_KNOWN})){_COLON}|(?P<alone>(?=[A-Z])(?i:{_KNOWN})){_BLANK}{{0,40}}{_LINE_ENDS})"
    # A known header inside a line, after a space: in capitals; or with one capital, where a sentence has ended.
    rf"|(?<=\s)(?P<inside>(?=[A-Z]{{3}})(?i:{_CLEAR})|(?<=[.;!?]\s)(?=[A-Z][a-z])(?i:{_CLEAR})){_COLON}"
)


@dataclass(frozen=True)
class Section:
    """A part of a report. ``header + body`` of all parts, one after the other, is the report, character for character.

    name: the header's name in small letters, one for all its spellings; empty for what stands before the first header.
    """

    name: str
    header: str
    body: str


def split_sections(text: str) -> tuple[Section, ...]:
    """The parts of a report, in order.

    A header is one of the common names (FINDINGS, IMPRESSION, INDICATION, COMPARISON, TECHNIQUE, HISTORY and their usual
    spellings) with a colon, at the start of a line in any case, or inside a line in capitals or after the end of a sentence; or
    alone on its line without a colon. Other words with a colon are text of their section: a structured report has ``HEART:`` and
    ``LUNGS:`` among its findings.
    """
    return tuple(_parts(text))


def _parts(text: str) -> Iterator[Section]:
    name = header = ""
    start = 0
    for found in _HEADER.finditer(text):
        if found.start() or name:
            yield Section(name, header, text[start : found.start()])
        said = " ".join(str(found[str(found.lastgroup)]).lower().split())
        name, header, start = _NAMES.get(said, said), found[0], found.end()
    yield Section(name, header, text[start:])


def sections(text: str) -> dict[str, str]:
    """Name -> what stands under it, without white space at its ends; in order, empty ones left out.

    A name that comes twice has both texts, parted by a line feed. What stands before the first header has the name ``""``.
    """
    found: dict[str, str] = {}
    for part in split_sections(text):
        if body := part.body.strip():
            found[part.name] = f"{found[part.name]}\n{body}" if part.name in found else body
    return found
