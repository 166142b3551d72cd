"""Floors ``constant``, ``most_frequent`` and ``random``, and what all floors keep to."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest
import torch
from pycocoevalcap.bleu.bleu import Bleu as CocoBleu
from rrgbench_datasets import IUXray
from rrgbench_floors import Constant, MostFrequent, Random, rrgbench_floors
from rrgbench_metrics import Bleu, Cider, Rouge
from rrgbench_protocols import R2GenIU, Raw

from rrgbench import Examples, Inputs, Targets, Texts
from rrgbench.testing import failures

torch.set_num_threads(1)


def examples(reports: list[str]) -> Examples:
    studies = tuple(f"s{place}" for place in range(len(reports)))
    return Examples(
        tuple(Inputs(study, study, (), ()) for study in studies),
        tuple(Targets(study, report) for study, report in zip(studies, reports)),
    )


def toy_reports(number: int, seed: int) -> list[str]:
    draw = random.Random(seed)
    sentences = ["Heart is big.", "Lungs are clear.", "No effusion.", "1. Old rib fracture.", "No effusion or edema.", "Clear."]
    return [" ".join(draw.choices(sentences, k=draw.randint(1, 5))) for _ in range(number)]


def naive(train: list[str], validate: list[str], protocol: R2GenIU | Raw) -> str:
    references = {place: [protocol.prepare(report, "reference")] for place, report in enumerate(validate)}
    best, best_report = -1.0, ""
    for report in train:
        guess = protocol.prepare(report, "prediction")
        scores, _ = CocoBleu(4).compute_score(references, {place: [guess] for place in references}, verbose=0)
        if scores[3] > best:
            best, best_report = scores[3], report
    return best_report


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("cleaned", [True, False])
def test_constant_is_what_scoring_every_train_report_would_choose(seed: int, cleaned: bool) -> None:
    train, validate = toy_reports(40, seed), toy_reports(15, seed + 100)
    protocol = R2GenIU(train, threshold=2, max_length=20) if cleaned else Raw()
    assert Constant(train, examples(validate), protocol).report == naive(train, validate, protocol)


def test_constant_takes_the_first_of_equals() -> None:
    equal = ("Heart is big.", "Lungs are very clear.", "lungs are very clear")
    protocol = R2GenIU(equal, threshold=1)
    assert Constant(equal, examples(["Lungs are very clear."]), protocol).report == equal[1]
    assert Constant(equal[::-1], examples(["Lungs are very clear."]), protocol).report == equal[2]
    floor = Constant(("b a", "a b"), examples(["a b", "b a"]), Raw())
    assert floor.report == "b a"


def test_constant_writes_one_train_report_for_everybody() -> None:
    train = toy_reports(10, 0)
    reports = Constant(train, examples(toy_reports(5, 1)), Raw()).generate(examples(["x"] * 4).inputs)
    assert len(reports) == 4
    assert len(set(reports)) == 1
    assert reports[0] in train


@pytest.mark.parametrize("name", sorted(rrgbench_floors()))
def test_every_floor_keeps_its_contract(name: str) -> None:
    assert failures("floors", rrgbench_floors()[name]) == {}


def test_most_frequent_counts_what_the_protocol_makes_equal_and_gives_it_as_it_stands() -> None:
    train = ("Heart is big.", "Lungs are clear.", "heart is big", "Lungs are clear.", "Heart is BIG.")
    floor = MostFrequent(train, R2GenIU(train, threshold=1))
    assert floor.generate(examples(["x"] * 3).inputs) == ["Heart is big."] * 3
    assert MostFrequent(train, Raw()).report == "Lungs are clear."


def test_most_frequent_takes_the_first_of_equals() -> None:
    assert MostFrequent(("b", "a", "a", "b"), Raw()).report == "b"
    assert MostFrequent(("c", "a", "b", "b", "a"), Raw()).report == "a"


def test_random_hangs_on_seed_and_study_and_not_on_order() -> None:
    train = [f"report {place}" for place in range(50)]
    studies = examples(["x"] * 30).inputs
    reports = Random(train, 3).generate(studies)
    assert set(reports) <= set(train)
    assert len(set(reports)) > 15
    assert Random(train, 3).generate(studies[::-1]) == reports[::-1]
    assert Random(train, 3).generate(studies[5:6]) == reports[5:6]
    assert Random(train, 4).generate(studies) != reports


def test_floors_say_whether_they_draw() -> None:
    assert Random.draws
    assert not Constant.draws
    assert not MostFrequent.draws


def test_most_frequent_on_the_real_data_gives_its_known_figures() -> None:
    root = Path(os.environ.get("RRGBENCH_DATA", "absent")) / "iu_xray"
    if not root.is_dir():
        pytest.skip("RRGBENCH_DATA holds no iu_xray")
    data = IUXray(root)
    train = tuple(target.report for target in data.targets("train"))
    protocol = R2GenIU(train)
    report = protocol.prepare(MostFrequent(train, protocol).report, "prediction")
    targets = data.targets("test")
    references = tuple(protocol.prepare(target.report, "reference") for target in targets)
    texts = Texts(tuple(target.study_id for target in targets), (report,) * len(targets), references)
    values = Bleu().aggregate(Bleu().score(texts)) | Rouge().aggregate(Rouge().score(texts))
    golden = {"bleu_1": 0.2415, "bleu_2": 0.1466, "bleu_3": 0.1055, "bleu_4": 0.0810, "rouge_l": 0.3122}
    assert {name: round(value, 4) for name, value in values.items()} == golden


def test_constant_on_the_real_data_gives_the_published_floor() -> None:
    root = Path(os.environ.get("RRGBENCH_DATA", "absent")) / "iu_xray"
    if not root.is_dir():
        pytest.skip("RRGBENCH_DATA holds no iu_xray")
    data = IUXray(root)
    train = tuple(target.report for target in data.targets("train"))
    protocol = R2GenIU(train)
    start = time.perf_counter()
    floor = Constant(train, Examples(data.inputs("validate"), data.targets("validate")), protocol)
    assert time.perf_counter() - start < 5.0
    test = data.inputs("test")
    texts = Texts(
        tuple(study.study_id for study in test),
        tuple(protocol.prepare(report, "prediction") for report in floor.generate(test)),
        tuple(protocol.prepare(target.report, "reference") for target in data.targets("test")),
    )
    values = {
        name: value for metric in (Bleu(), Rouge(), Cider()) for name, value in metric.aggregate(metric.score(texts)).items()
    }
    golden = {"bleu_1": 0.5000, "bleu_2": 0.3376, "bleu_3": 0.2400, "bleu_4": 0.1721, "rouge_l": 0.3628, "cider": 0.2850}
    assert {name: round(value, 4) for name, value in values.items()} == golden
    cleaned = IUXray(root, text="r2gen", context="none")
    reports = tuple(target.report for target in cleaned.targets("train"))
    again = Constant(reports, Examples(cleaned.inputs("validate"), cleaned.targets("validate")), protocol)
    assert protocol.prepare(again.report, "prediction") == texts.predictions[0]
