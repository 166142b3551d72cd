"""The text room: R2Gen's cleaning with every trap, vocabularies, n-grams, corpus BLEU."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rrgbench.text import (
    UNKNOWN,
    bleu_from_counts,
    clean_cxrmate,
    clean_r2gen_iu,
    clean_r2gen_mimic,
    label_r2gen,
    ngrams,
    vocabulary,
    whole_characters,
    words,
)


@pytest.mark.parametrize(
    ("report", "cleaned"),
    [
        ("No effusion. Heart is normal.", "no effusion . heart is normal ."),
        ("no full stop", "no full stop ."),
        ("wait.. there.... done", "wait . there . done ."),
        ("1. Clear. 2. Normal. 3. Old. 4. New. 5. Last.", "clear . normal . old . new . last ."),
        ("First XXXX 2. second", "first xxxx . second ."),
        ("Mild, stable; (old) * [x] {y} 50%!", "mild stable old  x y 50 ."),
    ],
)
def test_a_report_is_cleaned_as_r2gen_cleans_it(report: str, cleaned: str) -> None:
    assert clean_r2gen_iu(report) == cleaned


def test_the_range_in_the_pattern_removes_more_than_it_looks_and_keeps_the_hyphen() -> None:
    assert clean_r2gen_iu("a <b>=@ x?y;z:w left-sided") == "a b xyzw left-sided ."


def test_an_empty_sentence_leaves_its_full_stop_behind() -> None:
    assert clean_r2gen_iu("a. . b") == "a .  . b ."
    assert clean_r2gen_iu("") == " ."


def test_the_number_one_is_eaten_out_of_l1_and_11() -> None:
    assert clean_r2gen_iu("fracture of L1. old") == "fracture of lold ."
    assert clean_r2gen_iu("rib 11. old") == "rib 1old ."


def test_the_rule_for_numbers_cuts_a_measure() -> None:
    assert clean_r2gen_iu("mass of 2. 5 cm") == "mass of . 5 cm ."


def test_numbers_at_the_start_and_above_five_stay() -> None:
    assert clean_r2gen_iu("2. clear") == "2 . clear ."
    assert clean_r2gen_iu("clear. 6. normal") == "clear . 6 . normal ."


def test_slashes_and_quotes_go_and_glue_words_together() -> None:
    assert clean_r2gen_iu('effusion/edema isn\'t "new" a\\b') == "effusionedema isnt new ab ."


def test_the_unknown_word_loses_its_brackets() -> None:
    assert clean_r2gen_iu(f"mild {UNKNOWN}.") == "mild unk ."


def test_iu_keeps_line_breaks_and_mimic_makes_spaces_of_them_first() -> None:
    assert clean_r2gen_iu("1. a\n2. b") == "a\n2 . b ."
    assert clean_r2gen_mimic("1. a\n2. b") == "a . b ."


def test_mimic_drops_the_blanks_of_de_identification_and_long_rows_of_spaces_and_stops() -> None:
    assert clean_r2gen_mimic("seen by ___ on __________ today") == "seen by  on  today ."
    assert clean_r2gen_mimic("a      b.......... c") == "a b . c ."


ODD = st.text(alphabet="aBL1256. ,;:/'\"_-<>[]@\n\\", max_size=40)


@pytest.mark.parametrize("clean", [clean_r2gen_iu, clean_r2gen_mimic])
@settings(deadline=None)
@given(ODD)
def test_r2gens_cleaning_twice_gives_the_same_words(clean: Callable[[str], str], report: str) -> None:
    once = clean(report)
    assert words(clean(once)) == words(once)


def test_r2gens_cleaning_twice_adds_a_full_stop_and_spaces() -> None:
    assert clean_r2gen_iu("a") == "a ."
    assert clean_r2gen_iu("a .") == "a  ."
    assert clean_r2gen_iu(clean_r2gen_iu("a. b")) == "a . b  ."


def test_mimic_drops_underscores_that_touch_words_too() -> None:
    assert clean_r2gen_mimic("a ___-year-old with __ in room_4") == "a -year-old with  in room4 ."


def test_mimic_keeps_what_its_counted_replacements_do_not_reach() -> None:
    # Seven halvings leave two of 129 underscores, and the pattern takes them; of 300 spaces, six halvings leave five.
    assert clean_r2gen_mimic("a " + "_" * 300 + " b") == "a  b ."
    assert clean_r2gen_mimic("a" + " " * 300 + "b") == "a     b ."
    assert clean_r2gen_mimic("a.b..c...... d") == "abc . d ."


def test_a_label_is_cut_one_word_before_the_length_and_rare_words_are_marked() -> None:
    known = frozenset(vocabulary(["Lungs clear. Heart normal."] * 3, clean_r2gen_iu, 3))
    assert label_r2gen("Lungs hazy. Heart normal.", clean_r2gen_iu, known) == "lungs <unk> . heart normal ."
    assert label_r2gen("Lungs hazy. Heart normal.", clean_r2gen_iu, known, max_length=4) == "lungs <unk> ."
    assert label_r2gen("clear " * 80, clean_r2gen_iu, known).split() == ["clear"] * 59
    # A mark in the text itself loses its brackets and is a rare word.
    assert label_r2gen("<unk> clear", clean_r2gen_iu, known) == "<unk> clear ."


@pytest.mark.parametrize(
    ("report", "cleaned"),
    [
        ("Lungs are\nclear.\n\nNo  effusion,\tXXXX ___.", "Lungs are clear. No effusion, XXXX ___."),
        ("\n a", " a"),
        ("a\r\nb", "a b"),
        ("a\rb\u00a0c\u2028d", "a\rb\u00a0c\u2028d"),
        ("1. L1. 2. 5 cm", "1. L1. 2. 5 cm"),
        ("", ""),
    ],
)
def test_cxrmate_changes_white_space_only(report: str, cleaned: str) -> None:
    assert clean_cxrmate(report) == cleaned


@settings(deadline=None)
@given(st.text())
def test_cxrmates_cleaning_keeps_every_word_and_changes_nothing_the_second_time(report: str) -> None:
    once = clean_cxrmate(report)
    assert words(once) == words(report)
    assert clean_cxrmate(once) == once


def test_half_a_character_becomes_the_replacement_character_and_two_halves_one() -> None:
    assert whole_characters("a\udcffb") == "a\ufffdb"
    assert whole_characters("\ud83d\ude00") == "\U0001f600"
    assert whole_characters("\ude00\ud83d") == "\ufffd\ufffd"


@settings(deadline=None)
@given(st.text())
def test_text_is_whole_already(text: str) -> None:
    assert whole_characters(text) == text


def test_a_vocabulary_holds_words_at_the_threshold_and_the_unknown_word_in_order() -> None:
    reports = ("Lungs clear. Lungs clear.", "lungs big", "10 heart, heart 2-view")
    assert vocabulary(reports, clean_r2gen_iu, 2) == (".", UNKNOWN, "clear", "heart", "lungs")
    assert vocabulary(reports, clean_r2gen_iu, 3) == (".", UNKNOWN, "lungs")
    assert vocabulary((), clean_r2gen_iu, 1) == (UNKNOWN,)


def test_ngrams_are_counted_with_their_copies() -> None:
    assert ngrams(words("a b a b"), 2) == {("a", "b"): 2, ("b", "a"): 1}
    assert not ngrams(words("a b"), 3)


def test_bleu_from_counts_punishes_only_short_texts() -> None:
    assert bleu_from_counts([4, 3], [4, 3], 4, 4) == pytest.approx([1.0, 1.0])
    assert bleu_from_counts([4, 3], [4, 3], 4, 2) == pytest.approx([1.0, 1.0])
    assert bleu_from_counts([2, 1], [2, 1], 2, 4) == pytest.approx([0.36788, 0.36788], abs=1e-5)
    assert bleu_from_counts([0, 0], [0, 0], 0, 3) == [0.0, 0.0]


def test_the_text_room_imports_neither_torch_nor_other_rooms() -> None:
    code = "import sys, rrgbench.text; print(*sorted(m for m in sys.modules if m == 'torch' or m.startswith('rrgbench.')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    rooms = {module.split(".")[1] for module in done.stdout.split()}
    assert rooms <= {"errors", "hookspecs", "identity", "interfaces", "text", "types"}
