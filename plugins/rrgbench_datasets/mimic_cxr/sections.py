"""The sections of a MIMIC-CXR report, by the official rules (MIT-LCP/mimic-cxr, ``txt/section_parser.py``).

Kept as they are, oddities included, since published test sets hang on them: ``NDICATION`` is an impression, ``PFI`` (provisional
findings) is history, and a header that looks like the name of an examination is findings.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from rrgbench_datasets.mimic_cxr.custom import NAMES, RANGES
from rrgbench_datasets.reading import one_line

_HEADER = re.compile(r"\n ([A-Z ()/,-]+):\s")

_SPELT: dict[str, str] = {
    "impression": (
        "impression, conclusion, findings and impression, findings/impression, findings/ impression, ndication, impresson, "
        "imprression, imoression, impressoin, imprssion, impresion, imperssion, mpression, impession"
    ),
    "findings": "findings, finding, findins, findindgs, findgings, findngs, findnings, finidngs, reference findings",
    "comparison": (
        "comparison, comparisons, reference exam, comparison exam, comparison film, comparision, "
        "comparsion, comparrison, comparisions"
    ),
    "indication": "indication, reason for examination, reason for exam, clinical indication, idication",
    "history": "history, clinical history, clinical information, patient history, pfi",
    "examination": "examination, exam, type of examination",
    "recommendations": "recommendations, recommendation, recommendation(s)",
    "wet read": "wet read, wetread",
    **{name: name for name in ("preamble", "technique", "notification", "addendum", "date", "comment")},
}
SPELLINGS: dict[str, str] = {
    **{spelling: name for name, spellings in _SPELT.items() for spelling in spellings.split(", ")},
    "chest, two views": "findings",
}
"""Header as written, in lower case -> the name of the section."""

_WITHIN = ("impression", "findings", "history", "comparison", "addendum")
"""A header that holds one of these words is that section; the first that fits."""

_VIEWS = re.compile(
    "chest|portable|pa and lateral|lateral and pa|ap and lateral|lateral and ap|frontal and|two views|frontal view|pa view"
    "|ap view|one view|lateral view|bone window|frontal upright|frontal semi-upright|ribs|pa and lat"
)
"""A header that speaks of the films stands before what is seen on them."""

_LEAKING = ("pfi",)
"""Headers that the rules take for history, though a reading of these films stands below them."""


@dataclass(frozen=True)
class Section:
    """A part of a report: its name by the rules, its header as written (in lower case) and its text as it stands."""

    name: str
    header: str
    text: str


def section_name(header: str) -> str:
    """The name of a section by its header."""
    header = header.lower().strip()
    if header in SPELLINGS:
        return SPELLINGS[header]
    for name in _WITHIN:
        if name in header:
            return name
    return "findings" if _VIEWS.search(header) else header


def split_report(text: str) -> list[Section]:
    """The sections of a report in their order.

    What stands before the first header is the ``preamble``, a report without headers one ``full report``; empty findings and
    impressions are left out. Where neither is there, what follows the first paragraph of the last section is the
    ``last_paragraph``.
    """
    found = []
    match = _HEADER.search(text)
    if match is None:
        found.append(Section("full report", "full report", text))
    else:
        found.append(Section("preamble", "preamble", text[: match.start(1)]))
    while match is not None:
        header, start = match[1].lower().strip(), match.end()
        # A line that begins behind a header's own is no header.
        end_of_line = text.find("\n", start)
        match = _HEADER.search(text, start if end_of_line == -1 else end_of_line)
        found.append(Section(section_name(header), header, text[start : len(text) if match is None else match.start()]))
    found = [part for part in found if part.name not in ("impression", "findings") or part.text.strip()]
    if not any(part.name in ("impression", "findings") for part in found):
        first, blank, rest = found[-1].text.partition("\n \n")
        if blank:
            found[-1] = Section(found[-1].name, found[-1].header, first)
            found.append(Section("last_paragraph", "last_paragraph", rest))
    return found


def last_section(sections: list[Section], name: str) -> str:
    """The text of the last section of a name, on one line; empty where there is none."""
    return next((one_line(part.text) for part in reversed(sections) if part.name == name), "")


def context_section(sections: list[Section], name: str) -> str:
    """As ``last_section``, but a section that tells what these films show never is context, whatever the rules call it."""
    return last_section([part for part in sections if part.header not in _LEAKING], name)


def is_custom(study_id: str) -> bool:
    """Whether the official rules name the text of a study's conclusion by hand."""
    return study_id in NAMES or study_id in RANGES


def custom_text(study_id: str, text: str) -> str:
    """The conclusion of a study whose report the rules cannot part, as it was marked by hand; empty where it has none."""
    if study_id in RANGES:
        start, end = RANGES[study_id]
        return one_line(text[start:end])
    return last_section(split_report(text), NAMES[study_id])
