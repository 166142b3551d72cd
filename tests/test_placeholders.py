"""Placeholders of de-identification: counted, kept, dropped, made one word."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rrgbench.text import PLACEHOLDER, clean_r2gen_iu, clean_r2gen_mimic, placeholders, treat_placeholders, words

TEXTS = st.lists(
    st.sampled_from(["XXXX", "XXXXX", "___", "__", "_", "X", "a", "7", ".", ", ", "-", "/", " ", "\n"]), max_size=12
).map("".join)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("The heart is normal.", 0),
        ("XXXX", 1),
        ("XXXX-year-old XXXX/XXXX, AXXXX's", 4),
        ("___ was told on ___ by Dr. ___", 3),
        ("XXX and room_4 in X-ray", 0),
        ("XXXXXXXX and __________", 2),
        ("", 0),
    ],
)
def test_rows_of_x_and_of_underscores_are_counted(text: str, count: int) -> None:
    assert placeholders(text) == count


@pytest.mark.parametrize(
    ("text", "dropped", "token"),
    [
        ("Compared to XXXX, no change.", "Compared to, no change.", "Compared to XXXX, no change."),
        ("___-year-old with cough", "-year-old with cough", "XXXX-year-old with cough"),
        ("seen by ___ on ___", "seen by on", "seen by XXXX on XXXX"),
        ("AXXXX opacities at 4___pm", "A opacities at 4pm", "A XXXX opacities at 4 XXXX pm"),
        ("XXXX/XXXX film", "/ film", "XXXX/XXXX film"),
        ("a\n___\nb", "a\n\nb", "a\nXXXX\nb"),
        ("XXXXXX", "", "XXXX"),
    ],
)
def test_placeholders_are_kept_dropped_or_one_word(text: str, dropped: str, token: str) -> None:
    assert treat_placeholders(text, "keep") == text
    assert treat_placeholders(text, "drop") == dropped
    assert treat_placeholders(text, "token") == token


def test_a_text_without_placeholders_is_left_as_it_is() -> None:
    for rule in ("keep", "drop", "token"):
        assert treat_placeholders("  the heart \n", rule) == "  the heart \n"  # type: ignore[arg-type]


def test_the_one_word_survives_r2gens_rules_for_both_data_sets() -> None:
    for clean in (clean_r2gen_iu, clean_r2gen_mimic):
        assert PLACEHOLDER.lower() in words(clean(treat_placeholders("seen on ___ by XXXX.", "token")))


@settings(deadline=None)
@given(TEXTS)
def test_nothing_but_placeholders_and_spaces_is_lost(text: str) -> None:
    dropped, token = treat_placeholders(text, "drop"), treat_placeholders(text, "token")
    assert placeholders(token) == placeholders(text)
    assert treat_placeholders(token, "token") == token
    count = placeholders(text)
    rest = [character for character in text if not character.isspace()]
    assert sorted("".join(token.split())).count("X") - 4 * count <= rest.count("X")
    for character in "a7.,-/":
        assert dropped.count(character) == token.count(character) == text.count(character)
