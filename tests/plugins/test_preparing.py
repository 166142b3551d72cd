"""How data sets prepare reports for training."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest
from rrgbench_datasets import IUXray, Phantom
from rrgbench_datasets.preparing import TextRule, prepare_context, prepare_report, prepare_reports

import rrgbench

REPORTS = ("Lungs are clear, as on XXXX.",) * 3 + ("Heart is big.\n\n1. Old ___ fracture.",)


def test_the_old_call_forms_stay() -> None:
    assert prepare_report("1. Lungs/heart", "r2gen") == "lungsheart ."
    assert prepare_report("a\n2. b ___", "r2gen", "mimic") == "a . b ."
    assert prepare_report("A  b ", "raw", "mimic") == "A  b "


def test_every_rule_prepares_every_report_in_order() -> None:
    assert prepare_reports(REPORTS, "raw") == REPORTS
    assert prepare_reports(REPORTS, "cxrmate")[3] == "Heart is big. 1. Old ___ fracture."
    assert prepare_reports(REPORTS, "r2gen", "mimic")[3] == "heart is big . old fracture ."
    assert prepare_reports(REPORTS, "cvt2distilgpt2") == (
        "lungs are clear as on xxxx .",
        "lungs are clear as on xxxx .",
        "lungs are clear as on xxxx .",
        "<unk> <unk> <unk> <unk> <unk> .",
    )
    assert [len(report.split()) for report in prepare_reports(["word " * 90] * 3, "cvt2distilgpt2", "mimic")] == [59] * 3


def test_a_rule_that_counts_words_is_refused_where_one_report_is_prepared_alone() -> None:
    with pytest.raises(rrgbench.ConfigError, match=r"option text; got cvt2distilgpt2; .*take raw, r2gen or cxrmate"):
        prepare_report("a", "cvt2distilgpt2")


def test_placeholders_are_treated_before_a_rule_can_eat_them() -> None:
    assert prepare_report("seen ___ today", "r2gen", "mimic", "token") == "seen xxxx today ."
    assert prepare_report("seen XXXX today", "r2gen", "iu", "drop") == "seen today ."
    assert prepare_reports(["seen ___ today"] * 3, "cvt2distilgpt2", "mimic", "token")[0] == "seen xxxx today ."
    assert prepare_context("XXXX-year-old with cough", "drop") == "-year-old with cough"
    assert prepare_context("XXXX") == "XXXX"


def test_a_report_of_placeholders_alone_is_kept_since_none_may_be_empty() -> None:
    assert prepare_report("___ XXXX", "raw", "mimic", "drop") == "___ XXXX"


@pytest.mark.parametrize("rule", get_args(TextRule))
def test_data_sets_prepare_train_and_leave_what_is_judged(rule: TextRule, tmp_path: Path, iu_folder: Any) -> None:
    root = iu_folder(tmp_path / "iu")
    raw, prepared = IUXray(root), IUXray(root, text=rule)
    expected = prepare_reports([target.report for target in raw.targets("train")], rule)
    assert tuple(target.report for target in prepared.targets("train")) == expected
    assert all(prepared.targets(split) == raw.targets(split) for split in ("validate", "test"))
    raw_phantom, phantom = (Phantom(tmp_path, studies=30, size=32, text=each) for each in ("raw", rule))
    expected = prepare_reports([target.report for target in raw_phantom.targets("train")], rule)
    assert tuple(target.report for target in phantom.targets("train")) == expected
    assert phantom.targets("test") == raw_phantom.targets("test")


def test_contexts_and_reports_have_options_of_their_own(tmp_path: Path, iu_folder: Any) -> None:
    import json

    root = iu_folder(tmp_path / "iu")
    path = root / "annotation.json"
    annotation = json.loads(path.read_text())
    for items in annotation.values():
        items[0]["report"] = "Unchanged since XXXX."
    path.write_text(json.dumps(annotation))
    dropped = IUXray(root, placeholders="drop")
    assert dropped.targets("train")[0].report == "Unchanged since."
    assert dropped.targets("test")[0].report == "Unchanged since XXXX."
    assert dropped.inputs("test") == IUXray(root).inputs("test")
