"""How published projects clean their reports: each rule as its source has it, traps and all."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable

from rrgbench.text.counting import UNKNOWN, words

# As R2Gen wrote it: ``:-\[`` is a range, from ":" to "[", so it also removes ``; < = > ? @``; the hyphen stays.
_REMOVED = re.compile(r"[.,?;*!%^&_+():-\[\]{}]")
_NUMBERING = (
    ("1. ", ""),
    *((f". {number}. ", ". ") for number in (2, 3, 4, 5)),
    *((f" {number}. ", ". ") for number in (2, 3, 4, 5)),
)
_IU = (("..", "."),) * 3
_MIMIC = (("\n", " "), *((("__", "_"),) * 7), *((("  ", " "),) * 6), *((("..", "."),) * 8))


def _clean_sentence(sentence: str) -> str:
    for quote in ('"', "/", "\\", "'"):
        sentence = sentence.replace(quote, "")
    return _REMOVED.sub("", sentence.strip().lower())


def _clean(report: str, replacements: Iterable[tuple[str, str]]) -> str:
    for old, new in (*replacements, *_NUMBERING):
        report = report.replace(old, new)
    return " . ".join(_clean_sentence(sentence) for sentence in report.strip().lower().split(". ")) + " ."


def clean_r2gen_iu(report: str) -> str:
    """A report as R2Gen cleans it for IU X-ray (``clean_report_iu_xray`` of cuhksz-nlp/R2Gen ``modules/tokenizers.py``).

    Kept as it is, since published figures hang on it: the rule for the number "1." also eats it out of "L1. " and "11. ",
    the rule for " 2. " cuts "2. 5 cm", "pneumothorax/effusion" becomes one word, and an empty sentence leaves its full
    stop behind. Cleaning twice gives the same words as cleaning once, though not the same spaces.
    """
    return _clean(report, _IU)


def clean_r2gen_mimic(report: str) -> str:
    """A report as R2Gen cleans it for MIMIC-CXR (``clean_report_mimic_cxr``); the blanks ``___`` of de-identification go."""
    return _clean(report, _MIMIC)


def label_r2gen(report: str, clean: Callable[[str], str], known: Container[str], max_length: int = 60) -> str:
    """A report as R2Gen writes it back from its ids: cleaned, cut after ``max_length - 1`` words, rare words as ``<unk>``.

    R2Gen scores against it (``decode(ids[1:])`` in ``modules/trainer.py``). CvT2DistilGPT2 (aehrc/cvt2distilgpt2,
    ``format_examples``) makes of every report such a text before anything else, on IU X-ray and on MIMIC-CXR alike with
    ``max_length`` 60 and the words that occur 3 times in train, where R2Gen has 100 and 10 on MIMIC-CXR.

    Args:
        report: the report.
        clean: R2Gen's rule for the data set.
        known: the words of the vocabulary, as ``vocabulary`` gives it.
        max_length: the begin symbol and the words.
    """
    kept = words(clean(report))[: max_length - 1]
    return " ".join(word if word in known else UNKNOWN for word in kept)


def clean_cxrmate(report: str) -> str:
    """A report as CXRMate cleans it (aehrc/cxrmate, ``prepare_data`` of ``modules/lightning_modules/single.py``).

    A line feed and a tab become a space each, then two or more white-space characters one space. Nothing else: case,
    punctuation, ``___``, one space at either end and any other white space that stands alone (a carriage return, a no-break
    space) stay. Cleaning twice changes nothing more.
    """
    return re.sub(r"\s{2,}", " ", report.replace("\n", " ").replace("\t", " "))
