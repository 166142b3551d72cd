"""How data sets prepare reports for training. The reports that are judged stay verbatim."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from rrgbench import ConfigError, Inputs, Split, Targets
from rrgbench.text import Placeholders, clean_cxrmate, clean_r2gen_iu, clean_r2gen_mimic, label_r2gen, vocabulary, words
from rrgbench.text import treat_placeholders as treat

TextRule = Literal["raw", "r2gen", "cvt2distilgpt2", "cxrmate"]
"""The option ``text``. ``raw``: verbatim. ``r2gen``: R2Gen's rule for the data set's family. ``cvt2distilgpt2``: the same, cut
after 59 words, and words that the train split holds fewer than 3 times as ``<unk>``. ``cxrmate``: white space only."""

Family = Literal["iu", "mimic"]
"""Of which of its two rules R2Gen's is meant."""

_CLEAN: dict[Family, Callable[[str], str]] = {"iu": clean_r2gen_iu, "mimic": clean_r2gen_mimic}
_THRESHOLD, _LENGTH = 3, 60
"""CvT2DistilGPT2's, for both data sets."""


def prepare_report(
    report: str,
    rule: TextRule,
    family: Family = "iu",
    placeholders: Placeholders = "keep",
    known: Container[str] | None = None,
) -> str:
    """A report of the train split as a model learns to write it. Placeholders are treated before the rule, which may eat them.

    Args:
        report: the report.
        rule: how it is cleaned.
        family: whose rule R2Gen's is.
        placeholders: what becomes of ``XXXX`` and ``___``.
        known: the vocabulary of the train split, for the rule ``cvt2distilgpt2``; ``prepare_reports`` makes it.

    Raises:
        ConfigError: a rule that needs the vocabulary is asked for without it.
    """
    report = treat(report, placeholders) or report  # nothing but placeholders: kept, since no report may be empty
    if rule == "raw":
        return report
    if rule == "cxrmate":
        return clean_cxrmate(report)
    if rule == "r2gen":
        return " ".join(words(_CLEAN[family](report)))
    if known is None:
        raise ConfigError(
            "data set: option text",
            got=rule,
            expected="a rule that needs no vocabulary",
            hint="this data set prepares reports one by one: take raw, r2gen or cxrmate",
        )
    return label_r2gen(report, _CLEAN[family], known, _LENGTH)


def prepare_reports(
    reports: Sequence[str], rule: TextRule, family: Family = "iu", placeholders: Placeholders = "keep"
) -> tuple[str, ...]:
    """All reports of the train split, in order, as a model learns to write them: every rule, those that count words too."""
    known = None
    if rule == "cvt2distilgpt2":
        known = frozenset(vocabulary((treat(report, placeholders) for report in reports), _CLEAN[family], _THRESHOLD))
    return tuple(prepare_report(report, rule, family, placeholders, known) for report in reports)


def prepare_context(context: str, placeholders: Placeholders = "keep") -> str:
    """A context as a model reads it, in every split."""
    return treat(context, placeholders)


@dataclass(frozen=True)
class Preparation:
    """What a data set's options say of its texts: ``text``, ``placeholders`` and ``context_placeholders``."""

    rule: TextRule
    family: Family
    placeholders: Placeholders
    context_placeholders: Placeholders

    def inputs(self, sides: Mapping[Split, Sequence[Inputs]]) -> dict[Split, tuple[Inputs, ...]]:
        """Every split with its contexts prepared."""
        if self.context_placeholders == "keep":
            return {split: tuple(studies) for split, studies in sides.items()}
        return {
            split: tuple(replace(one, context=prepare_context(one.context, self.context_placeholders)) for one in studies)
            for split, studies in sides.items()
        }

    def targets(self, sides: Mapping[Split, Sequence[Targets]]) -> dict[Split, tuple[Targets, ...]]:
        """The train split with its reports prepared; the others as they are."""
        made = {split: tuple(studies) for split, studies in sides.items()}
        if "train" in made:
            texts = prepare_reports([one.report for one in made["train"]], self.rule, self.family, self.placeholders)
            made["train"] = tuple(replace(one, report=text) for one, text in zip(made["train"], texts))
        return made
