"""The official section rules of MIMIC-CXR, each with its oddity. All texts are invented."""

from __future__ import annotations

import pytest
from rrgbench_datasets.mimic_cxr.custom import NAMES, RANGES
from rrgbench_datasets.mimic_cxr.reports import read_report
from rrgbench_datasets.mimic_cxr.sections import (
    SPELLINGS,
    context_section,
    custom_text,
    is_custom,
    last_section,
    section_name,
    split_report,
)


def parts(text: str) -> list[tuple[str, str]]:
    return [(part.name, " ".join(part.text.split())) for part in split_report(text)]


def test_a_report_is_parted_at_capitals_that_begin_a_line_behind_one_space() -> None:
    text = "FINAL REPORT\n INDICATION:  Cough.\n \n FINDINGS: \n \n Lungs: clear.\n Heart is normal.\n \n IMPRESSION:  Normal.\n"
    assert parts(text) == [
        ("preamble", "FINAL REPORT"),
        ("indication", "Cough."),
        ("findings", "Lungs: clear. Heart is normal."),
        ("impression", "Normal."),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "FINAL REPORT\nFINDINGS: no space before\n",  # not behind one space
        "FINAL REPORT\n Findings: small letters\n",
        "FINAL REPORT\n FINDINGS2: a number\n",
        " FINDINGS: on the first line\n",
    ],
)
def test_what_looks_like_a_header_but_is_none(text: str) -> None:
    assert [name for name, _ in parts(text)] == ["full report"]


def test_spaces_before_a_header_beyond_the_first_are_part_of_it_and_go() -> None:
    assert parts("x\n    FINDINGS:  Clear.\n") == [("preamble", "x"), ("findings", "Clear.")]


def test_a_header_needs_white_space_behind_its_colon_and_may_end_its_line() -> None:
    assert [name for name, _ in parts("x\n FINDINGS:normal\n")] == ["full report"]
    assert parts("x\n FINDINGS:\n normal\n") == [("preamble", "x"), ("findings", "normal")]


def test_the_search_goes_on_behind_the_line_of_a_header() -> None:
    # The newline behind ``CHEST:`` is eaten by the header, and the one behind ``FINDINGS:`` ends the line that is skipped.
    text = "x\n CHEST:\n FINDINGS: a\n IMPRESSION: b\n"
    assert parts(text) == [("preamble", "x"), ("findings", "FINDINGS: a"), ("impression", "b")]


def test_a_header_that_is_the_last_line_without_an_end_is_searched_from_where_it_ends() -> None:
    assert parts("x\n FINDINGS: a") == [("preamble", "x"), ("findings", "a")]


def test_there_are_58_spellings_as_in_the_official_dictionary() -> None:
    assert len(SPELLINGS) == 58
    assert {len(spelling.strip()) == len(spelling) and spelling == spelling.lower() for spelling in SPELLINGS} == {True}


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("CONCLUSION", "impression"),
        ("FINDINGS AND IMPRESSION", "impression"),
        ("FINDINGS/ IMPRESSION", "impression"),
        ("CHEST, TWO VIEWS", "findings"),
        ("PFI", "history"),
        ("NDICATION", "impression"),
        ("IDICATION", "indication"),
        ("REASON FOR EXAM", "indication"),
        ("REFERENCE EXAM", "comparison"),
        ("REFERENCE FINDINGS", "findings"),
        ("RECOMMENDATION(S)", "recommendations"),
        ("WETREAD", "wet read"),
        # Words within a header, the first that fits.
        ("PRELIMINARY FINDINGS AND IMPRESSION", "impression"),
        ("PERTINENT HISTORY AND COMPARISON", "history"),
        ("ADDENDUM BY DR", "addendum"),
        # Views.
        ("PORTABLE AP RADIOGRAPH", "findings"),
        ("SINGLE FRONTAL VIEW", "findings"),
        ("RIBS", "findings"),
        ("DISTRIBUTION", "distribution"),
        ("ABDOMEN", "abdomen"),
    ],
)
def test_names_of_sections(header: str, name: str) -> None:
    assert section_name(header) == name


def test_a_title_without_text_is_no_findings() -> None:
    text = "x\n CHEST, PA AND LATERAL:\n \n INDICATION:  Cough.\n \n FINDINGS:  Clear.\n"
    assert [name for name, _ in parts(text)] == ["preamble", "indication", "findings"]


def test_the_last_of_several_sections_counts() -> None:
    text = "x\n FINDINGS:  First.\n \n FINDINGS:  Second.\n \n IMPRESSION:  Third.\n"
    assert last_section(split_report(text), "findings") == "Second."
    assert last_section(split_report(text), "indication") == ""


def test_the_last_paragraph_is_parted_only_where_neither_findings_nor_impression_is() -> None:
    text = "x\n COMPARISON:  None.\n \n Heart is large.\n \n Lungs are clear.\n"
    assert parts(text) == [("preamble", "x"), ("comparison", "None."), ("last_paragraph", "Heart is large. Lungs are clear.")]
    assert parts("x\n IMPRESSION:  Normal.\n \n COMPARISON:  None.\n \n More.\n")[-1] == ("comparison", "None. More.")
    assert parts("No header.\n \n And a second paragraph.\n") == [
        ("full report", "No header."),
        ("last_paragraph", "And a second paragraph."),
    ]
    assert parts("One paragraph\n only.\n") == [("full report", "One paragraph only.")]


def test_context_is_never_a_provisional_reading() -> None:
    text = "x\n HISTORY:  Cough.\n \n PFI:  Edema.\n \n FINDINGS:  Edema.\n"
    sections = split_report(text)
    assert (last_section(sections, "history"), context_section(sections, "history")) == ("Edema.", "Cough.")


def test_line_ends_of_any_kind_give_the_same_report() -> None:
    text = "x\n INDICATION: Cough.\n FINDINGS:  Heart\n is normal.\n \n IMPRESSION:  Normal.\n"
    expected = read_report("s1", text)
    assert (expected.findings, expected.impression, expected.context["indication"]) == ("Heart is normal.", "Normal.", "Cough.")
    assert read_report("s1", text.replace("\n", "\r\n")) == read_report("s1", text.replace("\n", "\r")) == expected


def test_the_studies_marked_by_hand_are_those_of_the_official_rules() -> None:
    assert (len(NAMES), len(RANGES)) == (23, 31)
    assert sum(span == (0, 0) for span in RANGES.values()) == 8
    assert not set(NAMES) & set(RANGES) and all(0 <= start <= end for start, end in RANGES.values())
    assert {name: sum(value == name for value in NAMES.values()) for name in set(NAMES.values())} == {
        "recommendations": 7,
        "indication": 6,
        "examination": 5,
        "technique": 3,
        "note": 1,
        "history": 1,
    }


def test_a_conclusion_marked_by_hand_is_a_section_or_a_stretch_of_characters() -> None:
    text = ("x\n TECHNIQUE:  Lungs are\n clear.\n \n FINDINGS:  Not this.\n").ljust(292, ".") + "Heart  is\n large.".ljust(339)
    assert is_custom("s59279892") and custom_text("s59279892", text) == "Lungs are clear."
    assert is_custom("s52648681") and custom_text("s52648681", text) == "Heart is large."
    assert custom_text("s52035334", text) == "" and not is_custom("s50000001")
    report = read_report("s59279892", text)
    assert (report.custom, report.findings, report.context) == ("Lungs are clear.", "", {})
    assert custom_text("s56451190", text) == ""  # no section of the name
