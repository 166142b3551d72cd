"""The pages are true: hooks as they are, code that compiles, files that are those of the tests, commands that exist."""

from __future__ import annotations

import inspect
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import typer
import yaml

import rrgbench
from rrgbench import hookspecs
from rrgbench.cli.app import make_app
from rrgbench.interfaces import KINDS, VALUES

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
HOOKS_PAGE = (ROOT / "docs" / "hooks.md").read_text(encoding="utf-8")
HOOKS = [name for name in vars(hookspecs) if name.startswith("rrgbench_")]
TUTORIAL = ROOT / "docs" / "write_a_plugin.md"
"""Its commands are run where its plugin is installed, by tests/test_third_party.py."""


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _blocks(page: Path, *languages: str) -> list[tuple[int, str]]:
    """Line and text of the fenced blocks of these languages."""
    text = page.read_text(encoding="utf-8")
    found = re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [(text[: block.start()].count("\n") + 2, block[2]) for block in found if block[1] in languages]


def _commands() -> Iterator[tuple[Path, int, list[str]]]:
    """Every ``rrgbench ...`` in a shell block: page, line and arguments; comments and variables before it left out."""
    for page in PAGES:
        for first, block in _blocks(page, "sh", "bash", "shell", "console"):
            for number, line in enumerate(block.replace("\\\n", " ").splitlines()):
                words = shlex.split(line.removeprefix("$ "), comments=True)
                while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                    words = words[1:]
                if words and Path(words[0]).name == "rrgbench":
                    yield page, first + number, words[1:]


COMMANDS = [pytest.param(page, words, id=f"{_name(page)}:{line}") for page, line, words in _commands()]


# Commands.


@pytest.fixture(scope="module")
def app() -> Any:
    os.environ["RRGBENCH_NO_PLUGIN_COMMANDS"] = "1"
    try:
        return typer.main.get_command(make_app())
    finally:
        del os.environ["RRGBENCH_NO_PLUGIN_COMMANDS"]


def test_there_are_commands_to_check() -> None:
    assert len(COMMANDS) > 8


@pytest.mark.parametrize(("page", "words"), COMMANDS)
def test_every_command_that_is_shown_exists(app: Any, page: Path, words: list[str]) -> None:
    context = app.make_context("rrgbench", list(words))
    command = app
    while isinstance(command, click.Group) or hasattr(command, "resolve_command"):
        name, command, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        assert command is not None
        context = command.make_context(name, rest, parent=context)


def _runnable(page: Path, words: list[str]) -> list[str] | None:
    """The command in a form that takes no minutes: a run is planned. None where it speaks of something that is not here."""
    if page == TUTORIAL or not words:
        return None
    files = [word for word in words if word.endswith((".yaml", ".yml"))]
    if any(not (ROOT / file).is_file() for file in files):
        return None
    if words[0] in ("run", "plan"):
        keep = [words[index : index + 2] for index, word in enumerate(words) if word == "--set"]
        return ["plan", *files, *(part for pair in keep for part in pair)]
    return words if words[0] == "plugins" else None


@pytest.mark.heavy
@pytest.mark.parametrize(("page", "words"), [param for param in COMMANDS if _runnable(*param.values)])
def test_every_command_that_is_shown_runs(page: Path, words: list[str], tmp_path: Path, shell: Any, monkeypatch: Any) -> None:
    command = _runnable(page, words)
    assert command is not None
    monkeypatch.chdir(ROOT)
    for file in (word for word in command if word.endswith(".yaml")):
        needs = yaml.safe_load((ROOT / file).read_text())["base"]["dataset"]
        name = needs if isinstance(needs, str) else needs["name"]
        if name != "phantom" and not (Path(os.environ.get("RRGBENCH_DATA", "absent")) / name).is_dir():
            pytest.skip(f"RRGBENCH_DATA holds no {name}")
    ran = shell(*command, env={"RRGBENCH_STORE": str(tmp_path / "store")})
    assert ran.code == 0, ran.err


# Code.


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_every_block_of_code_is_code(page: Path) -> None:
    for line, block in _blocks(page, "python", "py"):
        compile(block, f"{_name(page)}:{line}", "exec")
    for line, block in _blocks(page, "yaml", "yml"):
        assert yaml.safe_load(block) is not None, line


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_code_imports_the_public_face_and_what_is_there(page: Path) -> None:
    for _, block in _blocks(page, "python", "py"):
        for module, names in re.findall(r"^from (rrgbench[\w.]*) import (.+)$", block, re.MULTILINE):
            if module == "rrgbench_gated":
                continue
            assert module in ("rrgbench", "rrgbench.findings", "rrgbench.nn", "rrgbench.text", "rrgbench.testing")
            namespace: dict[str, Any] = {}
            exec(f"from {module} import {names}", namespace)
        for name in re.findall(r"\brrgbench\.(\w+)", block):
            assert hasattr(rrgbench, name) or name in ("findings", "nn", "text", "testing"), name


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if not target.startswith(("http://", "https://")):
            assert (page.parent / target).exists(), target


def test_the_files_of_the_tutorial_are_those_that_are_tested() -> None:
    text = TUTORIAL.read_text(encoding="utf-8")
    shown = dict(re.findall(r"^`([\w.]+)`:\n\n```\w+\n(.*?)^```$", text, re.DOTALL | re.MULTILINE))
    folder = ROOT / "tests" / "thirdparty" / "gated"
    assert shown == {
        path.name: path.read_text(encoding="utf-8") for path in folder.iterdir() if path.suffix in (".toml", ".py", ".yaml")
    }


def test_the_data_set_of_the_tutorial_keeps_its_contract(tmp_path: Path) -> None:
    from PIL import Image

    from rrgbench.testing import failures

    namespace: dict[str, Any] = {}
    (block,) = [block for _, block in _blocks(TUTORIAL, "python") if "class OneFolder" in block]
    exec(compile(block, str(TUTORIAL), "exec"), namespace)
    Image.new("L", (8, 8)).save(tmp_path / "film.png")
    for number, split in enumerate(rrgbench.SPLITS):
        (tmp_path / f"{split}.txt").write_text(f"study {number}\tsubject {number}\tfilm.png\tThe heart is normal.\n")
    assert failures("datasets", namespace["OneFolder"], root=tmp_path) == {}
    (tmp_path / "test.txt").write_text("study 2\n")
    with pytest.raises(rrgbench.DataError, match=r"test.txt, line 1; got 1 columns; expected study"):
        namespace["OneFolder"](tmp_path)


def test_the_metric_of_metrics_of_the_tutorial_is_read() -> None:
    from rrgbench.catalogue.schema import words
    from rrgbench.catalogue.signature import read_signature

    namespace: dict[str, Any] = {}
    (block,) = [block for _, block in _blocks(TUTORIAL, "python") if "class Reward" in block]
    exec(compile(block, str(TUTORIAL), "exec"), namespace)
    for name in ("values", "needs", "resampled"):
        setattr(namespace["Reward"], name, {"values": {}, "needs": set(), "resampled": True}[name])
    _, options, _ = read_signature(KINDS["metrics"], namespace["Reward"])
    assert [words(option.tree) for option in options] == [
        "a component of kind metrics",
        "list of a component of kind metrics",
        "mapping of name to a component of kind metrics",
    ]


# Hooks.


def _rows(page: str) -> list[list[str]]:
    """The cells of every table row, without their backticks."""
    return [
        [cell.strip().replace("`", "") for cell in line.strip("|").split("|")]
        for line in page.splitlines()
        if line.startswith("| `")
    ]


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_stands_in_the_docs_with_its_arguments(hook: str) -> None:
    arguments = ", ".join(inspect.signature(getattr(hookspecs, hook)).parameters)
    assert f"`{hook}({arguments})`" in HOOKS_PAGE


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_every_hook_in_the_docs_exists(page: Path) -> None:
    packages = {path.name for path in (ROOT / "plugins").iterdir()} | {"rrgbench_gated", "rrgbench_fusion"}
    named = set(re.findall(r"\brrgbench_\w+", page.read_text(encoding="utf-8")))
    assert named <= {*HOOKS, *packages}


def test_every_kind_stands_in_the_docs_as_it_is() -> None:
    def listed(cell: str) -> list[str]:
        return [] if cell == "-" else cell.split(", ")

    rows = [row for row in _rows(HOOKS_PAGE) if len(row) == 4]
    told = {hook: (protocol, listed(values), listed(attributes)) for hook, protocol, values, attributes in rows}
    assert told == {
        f"{kind.hook}()": (kind.protocol.__name__, sorted(kind.values), list(kind.attributes)) for kind in KINDS.values()
    }


def test_every_platform_value_stands_in_the_docs_as_it_is() -> None:
    told = {row[0]: row[1] for row in _rows(HOOKS_PAGE) if len(row) == 2 and row[0] in VALUES}
    assert told == {name: text.replace("`", "") for name, text in VALUES.items()}


def test_what_may_be_limited_stands_in_the_docs() -> None:
    from rrgbench.catalogue.schema import _LIMITS, _TYPES

    for limit in {limit for limits in _LIMITS.values() for limit in limits}:
        assert f"{limit}=.." in HOOKS_PAGE
    for known in set(_TYPES) - {"none", "path"}:
        assert f"`{known}`" in HOOKS_PAGE


@pytest.mark.heavy
def test_the_command_of_the_docs_is_added(shell: Any, plugin: Any, tmp_path: Path) -> None:
    (block,) = [block for _, block in _blocks(ROOT / "docs" / "hooks.md", "python") if "rrgbench_commands" in block]
    environment = plugin("greeting", block) | {"RRGBENCH_PLUGINS": "greeting", "RRGBENCH_CACHE": str(tmp_path / "cache")}
    ran = shell("hello", "world", env=environment)
    assert (ran.code, ran.out) == (0, "hello world\n"), ran.err
    assert "Say hello." in shell("--help", env=environment).out
    assert shell("hello", "world", env=environment | {"RRGBENCH_NO_PLUGIN_COMMANDS": "1"}).code == 2


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("raise ValueError('no')", "rrgbench_commands raised; got ValueError: no"),
        ("cli.command('plan')(lambda: None)", "offers commands that are there; got plan"),
        ("import typer; cli.add_typer(typer.Typer(), name='leaderboard')", "offers commands that are there; got leaderboard"),
        ("cli.nothing()", "rrgbench_commands raised; got AttributeError"),
    ],
)
def test_a_command_that_is_wrong_costs_a_warning(shell: Any, plugin: Any, tmp_path: Path, body: str, said: str) -> None:
    source = f"import rrgbench\n\n\n@rrgbench.hookimpl\ndef rrgbench_commands(cli):\n    {body}\n"
    environment = plugin("wrongcommand", source) | {"RRGBENCH_PLUGINS": "wrongcommand", "RRGBENCH_CACHE": str(tmp_path / "cache")}
    ran = shell("plugins", "list", env=environment)
    assert ran.code == 0
    assert said in ran.err
    assert len(ran.err.splitlines()) == 1
    assert "EXPERIMENT" in shell("plan", "--help", env=environment).out


@pytest.mark.parametrize("variable", sorted(set(re.findall(r"\bRRGBENCH_[A-Z_]+", "\n".join(p.read_text() for p in PAGES)))))
def test_every_variable_in_the_docs_is_read_somewhere(variable: str) -> None:
    sources = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "rrgbench").rglob("*.py"))
    assert f'"{variable}"' in sources
