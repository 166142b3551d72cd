"""Words, vocabularies, n-gram counts and corpus BLEU from counts."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

UNKNOWN = "<unk>"
"""How R2Gen writes a word that its vocabulary lacks."""


def whole_characters(text: str) -> str:
    """The text with U+FFFD for every lone surrogate: half a character, which is no text and which no UTF-8 holds."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


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
