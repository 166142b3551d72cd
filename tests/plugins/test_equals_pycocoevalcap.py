"""BLEU, ROUGE-L, CIDEr and METEOR are pycocoevalcap's own values to the last digit, on 500 made-up pairs of reports."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator

import pytest
from pycocoevalcap.bleu.bleu import Bleu as CocoBleu
from pycocoevalcap.cider.cider import Cider as CocoCider
from pycocoevalcap.meteor.meteor import Meteor as CocoMeteor
from pycocoevalcap.rouge.rouge import Rouge as CocoRouge
from rrgbench_metrics import Bleu, Cider, Meteor, Rouge

from rrgbench import Metric, Texts
from rrgbench.jvm import java

pytestmark = pytest.mark.heavy

PARTS = ("The heart", "The cardiac silhouette", "The mediastinum", "The left lung", "The right base", "The spine", "Lung volume")
STATES = ("normal", "enlarged", "mildly enlarged", "clear", "unremarkable", "low", "stable", "hyperexpanded", "slightly larger")
FINDINGS = ("effusion", "pneumothorax", "focal consolidation", "edema", "a nodule", "opacities", "an opacity", "2.5 cm mass")
PLACES = ("in the left lower lobe", "on the right", "at both bases", "bilaterally", "")


def sentence(draw: random.Random) -> str:
    """A statement, a negation or a finding."""
    return draw.choice(
        [
            f"{draw.choice(PARTS)} is {draw.choice(STATES)}.",
            f"No {draw.choice(FINDINGS)}.",
            f"No {draw.choice(FINDINGS)}, {draw.choice(FINDINGS)} or {draw.choice(FINDINGS)}.",
            f"There is {draw.choice(FINDINGS)} {draw.choice(PLACES)} .",
            f"Stable {draw.choice(FINDINGS)} (XXXX); {draw.choice(STATES)}.",
        ]
    )


def pairs() -> list[tuple[str, str]]:
    """Prediction and reference: unlike ones, ones that share sentences, equal ones, a few empty predictions."""
    draw = random.Random(590)
    found = []
    for _ in range(500):
        reference = [sentence(draw) for _ in range(draw.randint(1, 8))]
        shared = [line if draw.random() < 0.6 else sentence(draw) for line in reference]
        other = [sentence(draw) for _ in range(draw.randint(1, 8))]
        prediction = draw.choices([other, shared, draw.sample(shared, len(shared)), reference, []], [4, 4, 2, 1, 0.2])[0]
        words = " ".join(reference), " ".join(prediction)
        found.append(tuple(text.lower().replace(".", " .") if draw.random() < 0.7 else text for text in words)[::-1])
    return found


@pytest.fixture(scope="module")
def drawn() -> list[tuple[str, str]]:
    return pairs()


@pytest.fixture
def path_with_java(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """pycocoevalcap takes Java from PATH."""
    monkeypatch.setenv("PATH", str(java().parent), prepend=os.pathsep)
    yield


@pytest.mark.usefixtures("path_with_java")
@pytest.mark.parametrize(
    ("metric", "theirs"),
    [(Bleu(), lambda: CocoBleu(4)), (Rouge(), CocoRouge), (Cider(), CocoCider), (Meteor(), CocoMeteor)],
    ids=["bleu", "rouge", "cider", "meteor"],
)
def test_a_metric_is_the_packages_to_the_last_digit(
    drawn: list[tuple[str, str]], metric: Metric, theirs: Callable[[], object]
) -> None:
    predictions, references = zip(*drawn)
    texts = Texts(tuple(f"s{number}" for number in range(len(drawn))), predictions, references)
    gts = {number: [reference] for number, reference in enumerate(references)}
    res = {number: [prediction] for number, prediction in enumerate(predictions)}
    expected, _ = theirs().compute_score(gts, res)
    got = metric.aggregate(metric.score(texts))
    if isinstance(expected, list):
        assert [got[f"bleu_{order}"] for order in (1, 2, 3, 4)] == expected
    else:
        assert list(got.values()) == [float(expected)]


def test_the_pairs_are_what_they_are_said_to_be(drawn: list[tuple[str, str]]) -> None:
    assert len(drawn) == 500
    assert sum(prediction == reference for prediction, reference in drawn) > 10
    assert sum(not prediction for prediction, _ in drawn) > 2
    assert len(set(drawn)) > 450
