"""Precision, recall and F1 from counts."""

from __future__ import annotations


def precision_recall_f1(right: float, wrong: float, missed: float) -> tuple[float, float, float]:
    """Of true positives, false positives and false negatives; 0 where a fraction would be 0/0."""
    precision = right / (right + wrong) if right + wrong else 0.0
    recall = right / (right + missed) if right + missed else 0.0
    f1 = 2 * right / (2 * right + wrong + missed) if right + wrong + missed else 0.0
    return precision, recall, f1
