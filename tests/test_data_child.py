"""The child that reads a data set: started for what is new or changed, and its last words are one line."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from rrgbench import data
from rrgbench.catalogue import Catalogue, Component
from rrgbench.data import DataRecord, load_targets, read_dataset
from rrgbench.errors import ConfigError, DataError, ManyErrors, RRGBenchError, StoreError
from rrgbench.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    place = Store(tmp_path / "store")
    place.create()
    return place


def _digests(record: DataRecord) -> dict[str, str]:
    return {f"{split} {side}": getattr(told, side) for split, told in record.splits.items() for side in ("inputs", "targets")}


@pytest.fixture
def iu(tmp_path: Path, iu_folder: Any) -> Path:
    root: Path = iu_folder(tmp_path / "iu", (4, 2, 2))
    past = time.time() - 100
    for path in root.rglob("*"):
        os.utime(path, (past, past))
    return root


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The child processes that read a data set; what is installed may be described anew beside them."""
    started: list[Any] = []
    run = data.subprocess.run

    def counted(*arguments: Any, **options: Any) -> Any:
        if "rrgbench.data" in arguments[0]:
            started.append(arguments)
        return run(*arguments, **options)

    monkeypatch.setattr("rrgbench.data.subprocess.run", counted)
    return started


def _component(name: str = "iu_xray", **options: Any) -> Component:
    return Catalogue.load().resolve("datasets", {"name": name, **options}, "dataset")


def test_a_child_reads_what_is_new_or_changed_and_nothing_else(store: Store, iu: Path, children: list[Any]) -> None:
    component = _component()
    first = read_dataset(store, component, iu)
    assert len(children) == 1
    assert read_dataset(store, component, iu) == first
    assert len(children) == 1, "unchanged files are not read again"
    os.utime(iu / "annotation.json")
    assert _digests(read_dataset(store, component, iu)) == _digests(first)
    assert len(children) == 2
    film = next((iu / "images").rglob("*.png"))
    film.write_bytes(film.read_bytes())
    read_dataset(store, component, iu)
    assert len(children) == 3
    data.data_path(store, first.splits["test"].targets).unlink()
    with pytest.raises(StoreError, match="run the same command again"):
        load_targets(store, first.splits["test"].targets)
    assert read_dataset(store, component, iu).splits == first.splits
    assert load_targets(store, first.splits["test"].targets)
    next((store.root / "data" / "index").iterdir()).write_text("{")
    read_dataset(store, component, iu)
    assert len(children) == 5


def test_a_corrected_reference_changes_one_digest(store: Store, iu: Path) -> None:
    before = _digests(read_dataset(store, _component(), iu))
    annotation = json.loads((iu / "annotation.json").read_text())
    annotation["test"][0]["report"] = "Read anew: the heart is large."
    (iu / "annotation.json").write_text(json.dumps(annotation))
    after = _digests(read_dataset(store, _component(), iu))
    assert {key for key in before if before[key] != after[key]} == {"test targets"}


PLUGIN = '''
"""Data sets that go wrong."""
import os
import sys
import time
import rrgbench
from rrgbench import DataError, ManyErrors


class Wrong:
    license = "open"

    def __init__(self, cache_dir, *, how: str):
        print("a plugin prints what it likes")
        if how == "raises":
            raise ValueError("my own\\nmistake")
        if how == "dies":
            sys.stderr.write("the last words\\n")
            sys.stderr.flush()
            os._exit(9)
        if how == "sleeps":
            time.sleep(60)
        if how == "many":
            raise ManyErrors([DataError("one", got=1), DataError("two", expected=2)])

    def inputs(self, split):
        return None

    def targets(self, split):
        return []

    def sources(self):
        return []


@rrgbench.hookimpl
def rrgbench_datasets():
    return {"wrong": Wrong}
'''


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("raises", r"^data set wrong could not be read; got .*mistake$"),
        ("dies", "^data set wrong could not be read; got the last words$"),
        ("sleeps", "^data set wrong could not be read; got nothing within 1.5 s$"),
        ("many", "one; got 1 | two; expected 2"),
        ("gives nothing", "^data set wrong could not be read; got TypeError: 'NoneType' object is not iterable$"),
    ],
)
def test_a_data_set_that_fails_in_its_own_way_is_one_line(
    how: str, told: str, store: Store, tmp_path: Path, plugin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = plugin("wrongdata", PLUGIN)["PYTHONPATH"]
    monkeypatch.setenv("PYTHONPATH", site)
    monkeypatch.setenv("RRGBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("RRGBENCH_PLUGINS", "wrongdata")
    monkeypatch.syspath_prepend(site)
    component = _component("wrong", how=how)
    if how == "sleeps":
        monkeypatch.setattr(data, "_CHILD_SECONDS", 1.5)
    with pytest.raises(RRGBenchError, match=told) as caught:
        read_dataset(store, component, None)
    assert isinstance(caught.value, (DataError, ManyErrors))
    assert not list((store.root / "data").rglob("*.json*"))


def test_a_folder_that_is_not_given_or_not_there_is_one_line(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RRGBENCH_DATA", raising=False)
    with pytest.raises(ConfigError, match=r"data set iu_xray: no folder given. Hint: set RRGBENCH_DATA"):
        read_dataset(store, _component(), None)
    with pytest.raises(ConfigError, match="no such folder; got /nowhere/at/all"):
        read_dataset(store, _component(), Path("/nowhere/at/all"))
    monkeypatch.setenv("RRGBENCH_DATA", str(tmp_path))
    with pytest.raises(ConfigError, match=f"no such folder; got {tmp_path}/iu_xray"):
        read_dataset(store, _component(), None)
