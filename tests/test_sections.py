"""Sections of reports that are one text."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rrgbench.text import sections, split_sections, words

HEADERS = (
    "FINDINGS:",
    "Findings :",
    "impression:",
    "IMPRESSION\uff1a",
    "Clinical\tHistory:",
    "TECHNIQUE",
    "HEART:",
    "comparison",
    "REPORT:",
)
PIECES = st.sampled_from(
    [*HEADERS, " ", "\n", "\r\n", "\u2028", "\u00a0", ". ", "the lungs are clear", "none", ":", "\x00", "\x1c", "\ud800"]
)
TEXTS = st.lists(PIECES, max_size=14).map("".join)


def test_a_report_with_headers_in_capitals() -> None:
    report = (
        "EXAMINATION:  CHEST (PA AND LAT)\n\nINDICATION:  Cough.  Rule out\n pneumonia.\n\nCOMPARISON:  None.\n\n"
        "FINDINGS: \n\nThe lungs are clear.\n\nIMPRESSION: \n\nNo acute process.\n\nNOTIFICATION:  Told by phone.\n"
    )
    assert sections(report) == {
        "examination": "CHEST (PA AND LAT)",
        "indication": "Cough.  Rule out\n pneumonia.",
        "comparison": "None.",
        "findings": "The lungs are clear.",
        "impression": "No acute process.",
        "notification": "Told by phone.",
    }


@pytest.mark.parametrize(
    ("report", "found"),
    [
        (
            "Clinical History: cough. Findings: Clear. Impression: Normal.",
            {"history": "cough.", "findings": "Clear.", "impression": "Normal."},
        ),
        ("FINDINGS : clear. IMPRESSION\uff1a normal", {"findings": "clear.", "impression": "normal"}),
        ("Findings\r\nclear\r\n  Impression \r\nnormal", {"findings": "clear", "impression": "normal"}),
        ("findings: clear\u2028impression: normal", {"findings": "clear", "impression": "normal"}),
        ("reason  for\u00a0exam: pain\nConclusion: normal", {"indication": "pain", "impression": "normal"}),
        ("FINDINGS AND IMPRESSION: clear", {"impression": "clear"}),
        ("FINDINGS/IMPRESSION: clear", {"impression": "clear"}),
        ("Note.\nFINDINGS:\n\nIMPRESSION: normal", {"": "Note.", "impression": "normal"}),
        ("FINDINGS: one\nADDENDUM: two\nFINDINGS: three", {"findings": "one\nthree", "addendum": "two"}),
        ("Full stop.Impression: x", {"": "Full stop.Impression: x"}),
        ("the lungs are clear", {"": "the lungs are clear"}),
        (" \n ", {}),
    ],
)
def test_case_colon_and_white_space_may_be_odd(report: str, found: dict[str, str]) -> None:
    assert sections(report) == found
    assert list(sections(report)) == list(found)


@pytest.mark.parametrize(
    "text",
    [
        "no history: of note",
        "Findings are unchanged. There is a finding: a nodule.",
        "FINAL REPORT: see below. PRIOR STUDY: none.",
        "findings\nimpression",
        "The impression is that of edema.",
        "Subfindings: none",
    ],
)
def test_words_of_a_sentence_are_no_headers(text: str) -> None:
    assert sections(text) == {"": text}


def test_a_structured_report_keeps_its_own_headings() -> None:
    assert sections("FINDINGS:\nHEART: normal\nLUNGS/AIRWAYS: clear\nIMPRESSION: normal") == {
        "findings": "HEART: normal\nLUNGS/AIRWAYS: clear",
        "impression": "normal",
    }


@settings(deadline=None)
@given(TEXTS)
def test_the_parts_are_the_report_character_for_character(text: str) -> None:
    parts = split_sections(text)
    assert "".join(part.header + part.body for part in parts) == text
    assert [part.name for part in parts if not part.header] == ([""] if parts[0].name == "" else [])


@settings(deadline=None)
@given(TEXTS)
def test_the_dictionary_loses_nothing_but_the_headers(text: str) -> None:
    told = sections(text)
    assert all(body == body.strip() != "" for body in told.values())
    inside = sorted(word for part in split_sections(text) for word in words(part.body))
    assert sorted(word for body in told.values() for word in words(body)) == inside


@settings(deadline=None)
@given(st.text())
def test_any_text_has_sections(text: str) -> None:
    assert "".join(part.header + part.body for part in split_sections(text)) == text


@pytest.mark.parametrize(
    "text", [" " * 200_000, "A" * 200_000, "A " * 100_000, "FINDINGS " * 20_000, "\n" * 200_000, ". Findings" * 20_000]
)
def test_hostile_texts_take_no_time(text: str) -> None:
    began = time.process_time()
    split_sections(text)
    assert time.process_time() - began < 2
