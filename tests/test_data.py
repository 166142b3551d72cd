"""Data sets: read once, kept by content a split and side, and refused in one line where they break the rules."""

from __future__ import annotations

import dataclasses
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rrgbench import SPLITS, Inputs, Targets, data
from rrgbench.data import DataRecord, load_inputs, load_targets, materialise, need_splits
from rrgbench.errors import ConfigError, DataError, StoreError
from rrgbench.rules import check_split
from rrgbench.store import Store

Sides = dict[str, tuple[list[Inputs], list[Targets]]]


class Folder:
    """A data set of files that tests write: three splits of two studies with a film each."""

    license = "open"

    def __init__(self, root: Path) -> None:
        self.root = root
        self.sides: Sides = {}
        root.mkdir(parents=True, exist_ok=True)
        (root / "table").write_text("the table")
        for split in SPLITS:
            inputs, targets = [], []
            for number in range(2):
                name = f"{split}{number}"
                (root / f"{name}.png").write_bytes(name.encode())
                inputs.append(Inputs(name, f"p-{name}", (root / f"{name}.png",), ("frontal",), "cough", ("earlier",)))
                targets.append(Targets(name, f"Report of {name}.", {"effusion": number}))
            self.sides[split] = inputs, targets

    def inputs(self, split: str) -> list[Inputs]:
        return self.sides[split][0]

    def targets(self, split: str) -> list[Targets]:
        return self.sides[split][1]

    def sources(self) -> list[Path]:
        return [self.root / "table"]

    def change(self, split: str, number: int, **fields: Any) -> None:
        """Change fields of one study, on the side that has them."""
        for side in self.sides[split]:
            own = {key: value for key, value in fields.items() if hasattr(side[number], key)}
            side[number] = dataclasses.replace(side[number], **own)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    place = Store(tmp_path / "store")
    place.create()
    return place


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    made = Folder(tmp_path / "folder")
    past = time.time() - 100
    for path in made.root.iterdir():
        os.utime(path, (past, past))
    return made


@pytest.fixture
def keep(store: Store, monkeypatch: pytest.MonkeyPatch) -> Callable[[Folder], DataRecord]:
    """Materialises a data set in this process, as the child does."""

    def do(made: Folder) -> DataRecord:
        monkeypatch.setattr(data, "build", lambda component, values: made)
        request = {"component": {"$component": {"name": "toy"}}, "root": str(made.root), "store": str(store.root)}
        return materialise(request)

    return do


def _digests(record: DataRecord) -> dict[str, str]:
    return {f"{split} {side}": getattr(told, side) for split, told in record.splits.items() for side in ("inputs", "targets")}


# Splits.


def test_a_data_set_may_lack_train_and_validate_and_never_test(folder: Folder, keep: Any) -> None:
    folder.splits = ("test",)  # type: ignore[attr-defined]
    record = keep(folder)
    assert list(record.splits) == ["test"]
    need_splits(record, "toy", ["test"], "something to be scored")
    with pytest.raises(ConfigError, match="data set toy has no train and no validate split; got splits test; expected all three"):
        need_splits(record, "toy", SPLITS, "all three")
    folder.splits = ("train", "validate")  # type: ignore[attr-defined]
    with pytest.raises(DataError, match="splits; got train, validate; expected test among them"):
        keep(folder)


# Content.


def test_what_was_read_is_what_is_loaded(folder: Folder, keep: Any, store: Store) -> None:
    folder.change("test", 0, labels=None, context="", prior_ids=(), images=(), views=())
    record = keep(folder)
    for split in SPLITS:
        assert load_inputs(store, record.splits[split].inputs, folder.root) == tuple(folder.inputs(split))
        assert load_targets(store, record.splits[split].targets) == tuple(folder.targets(split))
    told = record.splits["test"]
    assert (told.studies, told.subjects, told.images, told.labels) == (2, 2, 1, ("effusion",))


@pytest.mark.parametrize(
    ("fields", "changed"),
    [
        ({"report": "Read anew."}, "targets"),
        ({"labels": {"effusion": 1}}, "targets"),
        ({"labels": None}, "targets"),
        ({"context": "fever"}, "inputs"),
        ({"views": ("lateral",)}, "inputs"),
        ({"prior_ids": ()}, "inputs"),
        ({"subject_id": "another"}, "inputs"),
    ],
    ids=lambda value: str(value),
)
@pytest.mark.parametrize("split", SPLITS)
def test_a_change_changes_one_side_of_one_split(split: str, fields: Any, changed: str, folder: Folder, keep: Any) -> None:
    before = _digests(keep(folder))
    folder.change(split, 0, **fields)
    after = _digests(keep(folder))
    assert {key for key in before if before[key] != after[key]} == {f"{split} {changed}"}


def test_the_bytes_of_a_film_count_and_its_place_does_not(folder: Folder, keep: Any, tmp_path: Path) -> None:
    before = _digests(keep(folder))
    assert _digests(keep(Folder(tmp_path / "elsewhere"))) == before
    (folder.root / "train1.png").write_bytes(b"another film")
    after = _digests(keep(folder))
    assert {key for key in before if before[key] != after[key]} == {"train inputs"}


_texts = st.text(st.characters(exclude_categories=()), min_size=1, max_size=30)
_words = _texts.filter(lambda text: bool(text.strip()))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    report=_texts.filter(lambda text: bool(text.strip())), context=_texts, study=_texts.filter(lambda text: bool(text.strip()))
)
def test_any_text_survives(report: str, context: str, study: str, folder: Folder, keep: Any, store: Store) -> None:
    if study in {"train0", "train1", "validate0", "validate1", "test1"}:
        return
    folder.change("test", 0, study_id=study, report=report, context=context)
    record = keep(folder)
    assert load_inputs(store, record.splits["test"].inputs, folder.root) == tuple(folder.inputs("test"))
    assert load_targets(store, record.splits["test"].targets) == tuple(folder.targets("test"))


def test_strange_texts_survive() -> None:
    for text in ("half \ud800 of a pair", "line\u2028separator\x85\x0b\x1c", "nul \0", "e\u0301 and \u00e9", "\u202eturned"):
        assert json.loads(data.canonical_json({"report": text}))["report"] == text


# Rules.


def _set(split: str, **fields: Any) -> Callable[[Folder], None]:
    return lambda made: made.change(split, 1, **fields)


def _append(split: str, side: int, item: Any) -> Callable[[Folder], None]:
    return lambda made: made.sides[split][side].append(item)


RULES: dict[str, tuple[Callable[[Folder], Any], str]] = {
    "empty split": (
        lambda made: made.sides.update(validate=([], [])),
        "split validate is empty; got 0 studies; expected",
    ),
    "study twice": (
        lambda made: [side.append(side[0]) for side in made.sides["train"]],
        "split train: study train0 stands twice; got 1 such studies; expected each study once",
    ),
    "study in two splits": (_set("test", study_id="train0"), "study train0 is in two splits; got train and test; expected one"),
    "subject in two splits": (_set("test", subject_id="p-train0"), "subject p-train0 is in two splits; got train and test"),
    "order": (lambda made: made.sides["test"][1].reverse(), "in their order; got test1 at place 0; expected test0"),
    "a target more": (_append("test", 1, Targets("more", "x")), "in their order; got 3 targets; expected 2"),
    "an input more": (_append("test", 0, Inputs("more", "x", (), ())), "in their order; got 2 targets; expected 3"),
    "empty report": (_set("test", report=" \n"), "split test: study test1 has an empty report"),
    "no report": (_set("test", report=None), "split test: targets[1], study test1: report; got None; expected a text"),
    "report a number": (_set("train", report=7), "split train: targets[1], study train1: report; got 7; expected a text"),
    "report bytes": (_set("train", report=b"x"), "targets[1], study train1: report; got b'x'; expected a text"),
    "study id a number": (_set("test", study_id=7), "split test: inputs[1]: study_id; got 7; expected a text that is not empty"),
    "study id empty": (_set("test", study_id=""), "split test: inputs[1]: study_id; got ''; expected a text that is not empty"),
    "subject id none": (_set("test", subject_id=None), "inputs[1], study test1: subject_id; got None; expected a text"),
    "no context": (_set("test", context=None), "inputs[1], study test1: context; got None; expected a text"),
    "images as text": (
        _set("test", images=("x.png",)),
        "study test1: images; got ('x.png',); expected a tuple of Path",
    ),
    "one image": (_set("test", images="x.png"), "inputs[1], study test1: images; got 'x.png'; expected a tuple of Path"),
    "prior a number": (_set("test", prior_ids=(3,)), "inputs[1], study test1: prior_ids; got (3,); expected a tuple of str"),
    "views and images": (_set("test", views=("frontal", "lateral")), "study test1; got 2 views; expected 1, one an image"),
    "unknown view": (_set("test", views=("sideways",)), "study test1: view; got 'sideways'; expected unknown or frontal"),
    "missing image": (_set("test", images=(Path("/nowhere/x.png"),)), "study test1: no such image; got /nowhere/x.png"),
    "a folder as image": (_set("test", images=(Path("/"),)), "study test1: no such image; got /"),
    "label 2": (
        _set("test", labels={"effusion": 2}),
        "labels; got {'effusion': 2}; expected None, or findings with the int",
    ),
    "label -1": (_set("test", labels={"effusion": -1}), "study test1: labels; got {'effusion': -1}"),
    "label true": (_set("test", labels={"effusion": True}), "study test1: labels; got {'effusion': True}"),
    "label none": (_set("test", labels={"effusion": None}), "study test1: labels; got {'effusion': None}"),
    "label of numpy": (_set("test", labels={"effusion": np.int64(1)}), "study test1: labels; got {'effusion': "),
    "label of a number": (_set("test", labels={3: 1}), "study test1: labels; got {3: 1}"),
    "labels a list": (_set("test", labels=["effusion"]), "study test1: labels; got ['effusion']"),
    "targets as inputs": (_append("test", 0, Targets("x", "y")), "split test: inputs[2]; got Targets; expected Inputs"),
    "plain data": (_append("test", 1, {"study_id": "x"}), "split test: targets[2]; got dict; expected Targets"),
    "licence": (lambda made: setattr(made, "license", "secret"), "license; got 'secret'; expected open or credentialed"),
}


@pytest.mark.parametrize("rule", RULES)
def test_a_data_set_that_breaks_a_rule_is_one_line_and_nothing_is_kept(
    rule: str, folder: Folder, keep: Any, store: Store
) -> None:
    spoil, told = RULES[rule]
    spoil(folder)
    with pytest.raises(DataError) as caught:
        keep(folder)
    assert str(caught.value).startswith("data set toy")
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list((store.root / "data").rglob("*.*"))


def test_studies_without_films_and_priors_of_anywhere_are_no_mistake() -> None:
    check_split("x", [Inputs("a", "p", (), (), prior_ids=("unknown",))], [Targets("a", "Report.")])


def test_a_film_that_may_not_be_read_is_the_data_s_mistake_and_not_the_store_s(
    folder: Folder, keep: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(data, "file_digest", refuse)
    with pytest.raises(DataError, match=r"data set toy: image .*\.png cannot be read; got Permission denied"):
        keep(folder)


def test_a_film_that_changes_while_it_is_read_is_read_again_next_time(folder: Folder, keep: Any) -> None:
    assert keep(folder).state == data._state(keep(folder).files)

    class Slow(Folder):
        def targets(self, split: str) -> list[Targets]:
            (self.root / "test0.png").write_bytes(b"still being copied")
            return self.sides[split][1]

    slow = Slow.__new__(Slow)
    slow.__dict__.update(folder.__dict__)
    assert keep(slow).state == ""


def test_a_full_disk_while_a_data_set_is_kept_is_the_store_s_mistake(
    folder: Folder, keep: Any, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StoreError, match=r"No space left on device\. Hint: the disk is full"):
            keep(folder)
    assert not list((store.root / "data").rglob("*.json*"))
    assert keep(folder).splits
