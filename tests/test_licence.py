"""What derives from a credentialed file is marked so, up to the row; what does not is not."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Literal

import pytest

_spec = importlib.util.spec_from_file_location("toy_catalogue", Path(__file__).with_name("toy_catalogue.py"))
assert _spec is not None and _spec.loader is not None
toy = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(toy)


class Filed:
    identity = "filed 1"

    def __init__(self, *, license: Literal["open", "credentialed"] = "credentialed") -> None: ...  # noqa: A002


STAGES = {"unimodal": {"losses": {"seen": 1.0}, "epochs": 1}, "fusion": {"epochs": 1}}


@pytest.mark.parametrize("licence", ["open", "credentialed"])
def test_the_option_license_of_a_component_marks_what_is_made_with_it(licence: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(toy.OFFERED["annotators"], "filed", Filed)
    changes = {"base.labels": {"name": "filed", "license": licence}, "base.stages": STAGES}
    made = toy.plan(monkeypatch, changes)
    kinds = {kind: {step.license for step in made.steps.values() if step.kind == kind} for kind in ("labels", "pixels", "floor")}
    assert kinds == {"labels": {licence}, "pixels": {"open"}, "floor": {"open"}}
    assert {step.license for step in made.steps.values() if step.kind in ("train", "generate", "auroc")} == {licence}
    assert {row.kind: row.record.license for row in made.rows} == {"cell": licence, "floor": "open"}
    ids = {step.id for step in toy.plan(monkeypatch, changes).steps.values()}
    assert ids == set(made.steps)


def test_a_credentialed_data_set_stays_so_whatever_a_component_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(toy.OFFERED["annotators"], "filed", Filed)
    changes = {"base.labels": {"name": "filed", "license": "open"}, "base.stages": STAGES}
    made = toy.plan(monkeypatch, changes, toy.make_record("credentialed"))
    assert {step.license for step in made.steps.values()} == {"credentialed"}
