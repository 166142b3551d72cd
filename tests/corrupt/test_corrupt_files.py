"""Whatever is wrong with the files of a data set: a mistake of one line that says what, and nothing is written."""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from rrgbench import SPLITS, ManyErrors, RRGBenchError
from rrgbench.rules import check_dataset


def _cases() -> ModuleType:
    spec = importlib.util.spec_from_file_location("rrgbench_corrupt_cases", Path(__file__).with_name("cases.py"))
    assert spec is not None and spec.loader is not None
    if spec.name not in sys.modules:
        sys.modules[spec.name] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[spec.name]


cases = _cases()


@pytest.fixture(scope="module")
def laid(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A right tree of each layout."""
    studies = cases.layouts.phantom_studies(tmp_path_factory.mktemp("phantom"), studies=20)
    found = {}
    for name, layout in cases.LAYOUTS.items():
        found[name] = tmp_path_factory.mktemp(name)
        layout.lay(found[name], studies)
    return found


def read(case: Any, root: Path) -> None:
    """As the platform reads a data set."""
    layout = cases.LAYOUTS[case.layout]
    made = layout.dataset(root, **{**layout.options, **case.options})
    check_dataset(case.layout, {split: (tuple(made.inputs(split)), tuple(made.targets(split))) for split in SPLITS})


def state(root: Path) -> dict[str, str]:
    files = (path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def whole(name: str) -> Any:
    return cases.Case(name, "nothing", lambda root: None, "")


@pytest.mark.parametrize("layout", cases.LAYOUTS)
def test_the_trees_are_right_before_they_are_broken(layout: str, laid: dict[str, Path]) -> None:
    before = state(laid[layout])
    read(whole(layout), laid[layout])
    assert state(laid[layout]) == before


@pytest.mark.parametrize("case", cases.CASES, ids=lambda case: f"{case.layout}: {case.name}")
def test_a_broken_tree_is_one_clear_mistake(case: Any, laid: dict[str, Path], tmp_path: Path) -> None:
    root = tmp_path / "root"
    shutil.copytree(laid[case.layout], root)
    case.change(root)
    before = state(root)
    with pytest.raises(RRGBenchError) as caught:
        read(case, root)
    mistakes = caught.value.errors if isinstance(caught.value, ManyErrors) else (caught.value,)
    assert any(case.told in str(mistake) for mistake in mistakes), str(caught.value)
    assert all(len(str(mistake)) < 1500 and str(mistake).isprintable() for mistake in mistakes)
    assert state(tmp_path) == {f"root/{name}": content for name, content in before.items()}


def test_there_are_cases_of_every_layout_and_none_twice() -> None:
    assert {case.layout for case in cases.CASES} == set(cases.LAYOUTS)
    names = [(case.layout, case.name) for case in cases.CASES]
    assert len(set(names)) == len(names) >= 60
