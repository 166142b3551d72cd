"""One constant report, one data set, four protocols: the figures that docs/metrics.md shows."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from rrgbench_datasets import IUXray
from rrgbench_floors import Constant
from rrgbench_metrics import Bleu, Meteor, Rouge
from rrgbench_protocols import CocoPTB, CvT2DistilGPT2, R2GenIU, Raw

from rrgbench import Examples, ScoringProtocol, Texts

pytestmark = pytest.mark.heavy

NAMES = ("bleu_1", "bleu_4", "rouge_l", "meteor")
TABLE = {
    "r2gen-iu": ("0.500", "0.172", "0.363", "0.224"),
    "raw": ("0.361", "0.100", "0.258", "0.223"),
    "cvt2distilgpt2": ("0.490", "0.166", "0.353", "0.224"),
    "coco-ptb": ("0.457", "0.137", "0.315", "0.214"),
}


@pytest.fixture(scope="module")
def data() -> IUXray:
    root = Path(os.environ.get("RRGBENCH_DATA", "absent")) / "iu_xray"
    if not root.is_dir():
        pytest.skip("RRGBENCH_DATA holds no iu_xray")
    return IUXray(root)


@pytest.fixture(scope="module")
def constant(data: IUXray) -> str:
    """The constant floor's report under r2gen-iu, as it stands in train."""
    reports = tuple(target.report for target in data.targets("train"))
    return Constant(reports, Examples(data.inputs("validate"), data.targets("validate")), R2GenIU(reports)).report


def values(data: IUXray, report: str, protocol: ScoringProtocol) -> dict[str, float]:
    targets = data.targets("test")
    texts = Texts(
        tuple(target.study_id for target in targets),
        tuple(protocol.prepare(report, "prediction") for _ in targets),
        tuple(protocol.prepare(target.report, "reference") for target in targets),
    )
    found = [metric.aggregate(metric.score(texts)) for metric in (Bleu(), Rouge(), Meteor())]
    return {name: value for one in found for name, value in one.items()}


def protocols(data: IUXray) -> dict[str, ScoringProtocol]:
    reports = tuple(target.report for target in data.targets("train"))
    return {"r2gen-iu": R2GenIU(reports), "raw": Raw(), "cvt2distilgpt2": CvT2DistilGPT2(), "coco-ptb": CocoPTB()}


@pytest.mark.parametrize("name", TABLE)
def test_the_same_reports_score_as_the_protocol_goes(data: IUXray, constant: str, name: str) -> None:
    found = values(data, constant, protocols(data)[name])
    assert tuple(f"{found[value]:.3f}" for value in NAMES) == TABLE[name]


def test_meteor_of_the_constant_floor_is_the_published_floors_to_four_digits(data: IUXray, constant: str) -> None:
    assert f"{values(data, constant, protocols(data)['r2gen-iu'])['meteor']:.4f}" == "0.2240"
