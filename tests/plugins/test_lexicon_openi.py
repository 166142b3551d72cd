"""``lexicon`` against the human labels of OpenI's reports; the figures of docs/findings.md."""

from __future__ import annotations

import csv
import json
import os
import re
import tarfile
from pathlib import Path
from xml.etree import ElementTree

import pytest
from rrgbench_annotators import Lexicon

from rrgbench.findings import labels_of

DATA = os.environ.get("RRGBENCH_DATA")
COLUMNS = """Atelectasis Cardiomegaly Effusion Infiltration Mass Nodule Pneumonia Pneumothorax Consolidation Edema Emphysema
Fibrosis Pleural_Thickening Hernia normal"""
NAMES = {column: {"Infiltration": "infiltrate"}.get(column, column.lower()) for column in COLUMNS.split()}


@pytest.fixture(scope="module")
def studies() -> dict[int, tuple[str, dict[str, int]]]:
    """Report number -> findings and impression, and the human labels."""
    if DATA is None or not (Path(DATA) / "openi" / "finding_labels_train_val.csv").exists():
        pytest.skip("RRGBENCH_DATA names no folder with iu_xray/ and openi/")
    root = Path(DATA)
    annotation = json.loads((root / "iu_xray" / "annotation.json").read_text(encoding="utf-8"))
    found = {int(item["id"].split("_")[0][3:]): item["report"] for split in annotation.values() for item in split}
    with (root / "openi" / "finding_labels_train_val.csv").open(encoding="utf-8") as file:
        labels = {int(row["filename"][3:]): {NAMES[key]: int(row[key]) for key in NAMES} for row in csv.DictReader(file)}
    told = {}
    with tarfile.open(root / "openi" / "NLMCXR_reports.tgz") as archive:
        for member in archive:
            match = re.fullmatch(r".*/([0-9]+)\.xml", member.name)
            number = int(match[1]) if match else 0
            if number in found and number in labels:
                content = archive.extractfile(member)
                assert content is not None
                sections = {each.get("Label"): each.text or "" for each in ElementTree.parse(content).iter("AbstractText")}
                told[number] = (f"{found[number]}\n{sections['IMPRESSION']}", labels[number])
    return told


@pytest.mark.heavy
@pytest.mark.parametrize(("parity", "uncertain", "expected"), [(1, 1, 0.897), (1, 0, 0.920), (0, 1, 0.903), (0, 0, 0.920)])
def test_micro_f1_on_openi_is_what_the_page_says(
    studies: dict[int, tuple[str, dict[str, int]]], parity: int, uncertain: int, expected: float
) -> None:
    chosen = [study for number, study in studies.items() if number % 2 == parity]
    assert len(chosen) > 1_100
    right = wrong = 0
    for graph, (_, truth) in zip(Lexicon()([report for report, _ in chosen]), chosen):
        stated = labels_of(graph, uncertain=uncertain)
        right += sum(stated[name] & truth[name] for name in truth)
        wrong += sum(stated[name] != truth[name] for name in truth)
    assert round(2 * right / (2 * right + wrong), 3) == pytest.approx(expected, abs=1e-9)
