"""What the constant floor's way of counting is worth: the best constant report by look-up against scoring every candidate.

The naive side is pycocoevalcap's BLEU of each distinct train report, written for every study of validate. Both must choose the
same report. On all of IU X-ray the naive way takes minutes, so a subset is compared here; the ratio grows with validate.
"""

from __future__ import annotations

from collections.abc import Iterator

from measuring import Comparison, Second, Side
from pycocoevalcap.bleu.bleu_scorer import BleuScorer
from rrgbench_floors import Constant
from rrgbench_protocols import R2GenIU
from world import World

from rrgbench import Examples, ScoringProtocol


def comparisons(world: World) -> Iterator[Comparison]:
    """The train reports as candidates (a part of them where it has to be quick) against the reports of test."""
    reports = [target.report for target in world.phantom.targets("train")][: 40 if world.quick else 150]
    validate, protocol = world.examples("test"), R2GenIU(reports)
    each = Side("pycocoevalcap, each", lambda: naive(reports, validate, protocol))
    looked_up = Side("look-up", lambda: Constant(reports, validate, protocol).report)
    yield Comparison(looked_up, [Second("constant floor", each, lambda one, other: one == other)])


def naive(reports: list[str], validate: Examples, protocol: ScoringProtocol) -> str:
    """The first of the reports with the best corpus BLEU-4 when it is written for every study."""
    references = [protocol.prepare(target.report, "reference") for target in validate.targets]
    best, chosen, seen = -1.0, "", set[str]()
    for report in reports:
        candidate = protocol.prepare(report, "prediction")
        if candidate in seen:
            continue
        seen.add(candidate)
        scorer = BleuScorer(n=4)
        for reference in references:
            scorer += (candidate, [reference])
        bleu_4 = scorer.compute_score(option="closest", verbose=0)[0][-1]
        if bleu_4 > best:
            best, chosen = bleu_4, report
    return chosen
