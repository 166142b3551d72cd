"""Public: the text of reports. Published cleaning rules, placeholders, sections, word tokens and vocabularies, n-gram counts.

What data sets, tokenizers, protocols, floors and metrics share, so that they agree on it. A word is what ``str.split()`` gives.
"""

from rrgbench.text.cleaning import clean_cxrmate, clean_r2gen_iu, clean_r2gen_mimic, label_r2gen
from rrgbench.text.counting import UNKNOWN, bleu_from_counts, ngrams, vocabulary, whole_characters, words
from rrgbench.text.placeholders import PLACEHOLDER, Placeholders, placeholders, treat_placeholders
from rrgbench.text.sections import Section, sections, split_sections

__all__ = [
    "PLACEHOLDER",
    "UNKNOWN",
    "Placeholders",
    "Section",
    "bleu_from_counts",
    "clean_cxrmate",
    "clean_r2gen_iu",
    "clean_r2gen_mimic",
    "label_r2gen",
    "ngrams",
    "placeholders",
    "sections",
    "split_sections",
    "treat_placeholders",
    "vocabulary",
    "whole_characters",
    "words",
]
