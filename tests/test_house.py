"""The rules of the house: what the code may not do, checked over every file of the platform and the first-party plugins."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rrgbench.catalogue import Catalogue
from rrgbench.interfaces import KINDS

ROOT = Path(__file__).parent.parent
PLATFORM = sorted((ROOT / "rrgbench").rglob("*.py"))
PLUGINS = sorted((ROOT / "plugins").rglob("*.py"))
FILES = [*PLATFORM, *PLUGINS]

LONG_FILES: dict[str, str] = {}
"""File -> why it is over 400 lines."""

LONG_FUNCTIONS: dict[str, str] = {
    "rrgbench/training/loop.py:train_rung": "the contract of training stands in its docstring: 27 lines are code",
}
"""File and function -> why it is over 50 lines."""

NAMED_COMPONENTS: dict[str, str] = {
    "rrgbench/cell/config.py": "defaults that an experiment may leave out: tokenizer auto, loss cross_entropy",
    "rrgbench/experiment/__init__.py": "the default protocol is raw: nothing is done to a text that nobody asked for",
    "rrgbench/runner/__init__.py": "the default executor is local",
    "rrgbench/runner/worker.py": "names of libraries whose versions are provenance; device auto",
    "rrgbench/cli/app.py": "the default executor is local",
    "rrgbench/text/sections.py": "findings is a section of reports",
    "rrgbench/cli/search.py": "the default executor is local",
    "rrgbench/cli/outside.py": "the default executor is local",
    "rrgbench/cli/graphing.py": "the default executor is local",
    "rrgbench/cli/writing.py": "the executor is local: a report is written where it is asked for",
}
"""File of the platform -> why a component's name may stand in it."""

BLIND: dict[str, str] = {
    "rrgbench/runner/events.py": "a listener of somebody else must not end a run; it is logged",
    "rrgbench/runner/worker.py": "a step may raise anything; it fails alone and its traceback is kept",
}
"""File -> why it may catch Exception and go on; elsewhere it must be raised again, named."""


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _nodes(path: Path) -> Iterator[ast.AST]:
    return ast.walk(ast.parse(path.read_text(encoding="utf-8")))


def _calls(path: Path) -> Iterator[tuple[int, str]]:
    """Line and name of every call: ``eval`` of the builtin, ``.eval`` of a method."""
    for node in _nodes(path):
        if isinstance(node, ast.Call):
            function = node.func
            yield node.lineno, function.id if isinstance(function, ast.Name) else f".{getattr(function, 'attr', '')}"


def test_imports_go_downward_and_torch_stays_in_its_wing() -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]


@pytest.mark.parametrize("path", FILES, ids=_name)
def test_no_file_does_what_the_house_forbids(path: Path) -> None:
    found = [f"{line}: {call}()" for line, call in _calls(path) if call in ("eval", "exec", "print", ".cuda")]
    module_calls = [
        n for n in _nodes(path) if isinstance(n, ast.Attribute) and n.attr == "load" and _is(n.value, "pickle", "torch")
    ]
    found += [f"{node.lineno}: pickle" for node in module_calls]
    for node in _nodes(path):
        if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names):
            found.append(f"{node.lineno}: star import")
        if isinstance(node, (ast.Import, ast.ImportFrom)) and "pickle" in ast.unparse(node):
            found.append(f"{node.lineno}: pickle")
        if isinstance(node, ast.ExceptHandler):
            caught = ast.unparse(node.type) if node.type else "everything"
            raises = any(isinstance(inner, ast.Raise) for inner in ast.walk(node))
            if caught in ("everything", "Exception", "BaseException") and not raises and _name(path) not in BLIND:
                found.append(f"{node.lineno}: except {caught}")
        if isinstance(node, ast.ClassDef) and (
            node.name.lstrip("_").startswith("Base") or node.name.endswith(("Manager", "Helper"))
        ):
            found.append(f"{node.lineno}: class {node.name}")
    assert not found
    assert path.stem not in ("utils", "helpers", "misc", "common")


def _is(node: ast.expr, *names: str) -> bool:
    return isinstance(node, ast.Name) and node.id in names


def test_long_files_and_functions_have_a_reason() -> None:
    files = {_name(path): lines for path in FILES if (lines := len(path.read_text().splitlines())) > 400}
    functions = {
        f"{_name(path)}:{node.name}": length
        for path in FILES
        for node in _nodes(path)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and (length := (node.end_lineno or 0) - node.lineno + 1) > 50
    }
    assert set(files) == set(LONG_FILES), files
    assert set(functions) == set(LONG_FUNCTIONS), functions


def test_the_platform_names_no_component() -> None:
    names = {spec.name for record in Catalogue.load().records for spec in record.specs if record.distribution == "rrgbench"}
    assert len(names) > 15
    found: dict[str, set[str]] = {}
    for path in PLATFORM:
        constants = {n.value for n in _nodes(path) if isinstance(n, ast.Constant) and isinstance(n.value, str)}
        # A component's name that is also a word of the platform tells nothing.
        used = (constants & names) - {"random", "constant"}
        if used and _name(path) not in NAMED_COMPONENTS:
            found[_name(path)] = used
    assert not found


def test_no_class_overrides_a_method_with_a_body() -> None:
    modules = [importlib.import_module(info.name) for info in _all_modules()]
    ours = {
        value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, type) and value.__module__ == module.__name__
    }
    kinds = {kind.protocol for kind in KINDS.values()}
    found = [
        f"{cls.__module__}.{cls.__qualname__}.{name} overrides {base.__qualname__}"
        for cls in ours
        for base in cls.__mro__[1:]
        if base in ours and base not in kinds and not getattr(base, "_is_protocol", False)
        for name, member in vars(cls).items()
        if callable(member) and not name.startswith("__") and name in vars(base)
    ]
    assert not found


def _all_modules() -> Iterator[pkgutil.ModuleInfo]:
    for name in ["rrgbench", *(path.name for path in (ROOT / "plugins").glob("rrgbench_*"))]:
        package = importlib.import_module(name)
        for info in pkgutil.walk_packages(package.__path__, f"{name}."):
            if not info.name.endswith("__main__"):
                yield info


def test_only_the_shell_knows_typer_and_rich() -> None:
    for path in FILES:
        text = path.read_text()
        if "/cli/" not in _name(path):
            direct = [
                line for line in text.splitlines() if line.startswith(("import typer", "from typer", "import rich", "from rich"))
            ]
            assert not direct, _name(path)
        if "/search/" not in _name(path):
            assert not re.search(r"^\s*(import|from) optuna", text, re.MULTILINE), _name(path)


def test_public_functions_and_classes_have_docstrings() -> None:
    bare = [
        f"{_name(path)}:{node.lineno} {node.name}"
        for path in FILES
        for node in ast.parse(path.read_text()).body
        if isinstance(node, (ast.FunctionDef, ast.ClassDef))
        and not node.name.startswith("_")
        and not node.name.startswith("rrgbench_")
        and not ast.get_docstring(node)
    ]
    assert not bare


@pytest.mark.parametrize("tool", ["check", "format"])
def test_ruff_is_content(tool: str) -> None:
    command = [str(Path(sys.executable).with_name("ruff")), tool, *(["--check"] if tool == "format" else []), "."]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]


@pytest.mark.heavy
def test_mypy_is_content() -> None:
    done = subprocess.run([sys.executable, "-m", "mypy"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
