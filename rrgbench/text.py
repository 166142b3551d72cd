"""Public: the text of reports. R2Gen's cleaning, word tokens and vocabularies, n-gram counts and corpus BLEU from counts.

What tokenizers, protocols, floors and metrics share, so that they agree on it. A word is what ``str.split()`` gives.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

UNKNOWN = "<unk>"
"""How R2Gen writes a word that its vocabulary lacks."""

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


def words(text: str) -> list[str]:
    """The words of a text: what whitespace parts, and nothing else."""
    return text.split()


def vocabulary(reports: Iterable[str], clean: Callable[[str], str], threshold: int) -> tuple[str, ...]:
    """R2Gen's vocabulary: the words with at least ``threshold`` occurrences in the cleaned reports, and ``<unk>``, sorted."""
    counts = Counter(word for report in reports for word in words(clean(report)))
    return tuple(sorted({word for word, count in counts.items() if count >= threshold} | {UNKNOWN}))


def ngrams(tokens: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    """How often each n-gram of one length stands in a text."""
    return Counter(tuple(tokens[start : start + n]) for start in range(len(tokens) - n + 1))


def bleu_from_counts(correct: Sequence[int], guess: Sequence[int], test_length: int, reference_length: int) -> list[float]:
    """Corpus BLEU-1 to BLEU-n from summed counts, with the float operations of pycocoevalcap 1.2, in their order.

    Args:
        correct: clipped n-gram matches, for n = 1, 2, ...
        guess: n-grams of the hypotheses, for n = 1, 2, ...
        test_length: words of the hypotheses.
        reference_length: words of the references (of the closest ones, where a study has several).
    """
    small, tiny = 1e-9, 1e-15
    product, scores = 1.0, []
    for order, (matched, total) in enumerate(zip(correct, guess, strict=True), start=1):
        product *= float(matched + tiny) / (total + small)
        scores.append(product ** (1.0 / order))
    ratio = (test_length + tiny) / (reference_length + small)
    return [score * math.exp(1 - 1 / ratio) for score in scores] if ratio < 1 else scores
