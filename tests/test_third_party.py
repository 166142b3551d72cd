"""A distribution from outside, installed by pip: found, checked, run beside first-party components. Broken ones beside it."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from rrgbench.testing import FusionContract

pytestmark = pytest.mark.heavy

HERE = Path(__file__).parent
SOURCES = HERE / "thirdparty"
BROKEN = {
    "absent": "No module named 'broken_absent'",
    "bad_default": "the default of `heads` is 0, which is not int >= 1",
    "hidden": "`**options` hides options from the experiment file",
    "misspelt": "there is no hook rrgbench_fusion. Hint: did you mean 'rrgbench_fusions'",
    "positional": "`heads` is not a platform value",
    "raising": "RuntimeError: the third party's own mistake, on two lines",
    "unannotated": "the option `heads` has no annotation",
    "unmarked": "put @rrgbench.hookimpl above it",
}
"""Entry point of rrgbench-broken -> what is said of it."""


def _pip(target: Path, *names: str) -> None:
    """Install distributions of these tests as a third party's user does, but aside."""
    copies = target.parent / f"{target.name}-sources"
    for name in names:
        shutil.copytree(SOURCES / name, copies / name)
    flags = ["--quiet", "--disable-pip-version-check", "--no-index", "--no-deps", "--no-build-isolation", "--no-cache-dir"]
    command = [sys.executable, "-m", "pip", "install", *flags, "--target", str(target)]
    subprocess.run([*command, *(str(copies / name) for name in names)], check=True, timeout=240)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment in which a sound plugin and every broken one are installed."""
    folder = tmp_path_factory.mktemp("third-party")
    _pip(folder / "site", "gated", "broken", "ending", "nested")
    return {"PYTHONPATH": str(folder / "site"), "RRGBENCH_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def two_of_a_name(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment in which another distribution offers the name of a first-party fusion."""
    folder = tmp_path_factory.mktemp("twice")
    _pip(folder / "site", "twice")
    return {"PYTHONPATH": str(folder / "site"), "RRGBENCH_CACHE": str(folder / "cache")}


def _experiment(folder: Path, **changes: Any) -> Path:
    """The tutorial's experiment with changes by dotted path (``__`` for the dot)."""
    raw = yaml.safe_load((SOURCES / "gated" / "gated.yaml").read_text())
    for path, value in changes.items():
        *parents, last = path.split("__")
        inner = raw
        for parent in parents:
            inner = inner[parent]
        inner[last] = value
    file = folder / "experiment.yaml"
    file.write_text(json.dumps(raw))
    return file


# The sound one.


def test_it_is_found_and_shown(shell: Any, installed: Mapping[str, str]) -> None:
    listed = shell("plugins", "list", env=installed)
    assert listed.code == 0, listed.err
    line = next(line for line in listed.out.splitlines() if "rrgbench-gated/gated" in line)
    assert "fusions" in line
    assert "each scaled by a gate" in line
    shown = shell("plugins", "show", "gated", env=installed)
    assert shown.code == 0
    assert "fusions/gated (rrgbench-gated/gated, version " in shown.out
    assert "asks the platform for: dims, memory_dim" in shown.out
    assert re.search(r"dropout .* float >= 0, < 1 .* 0\.1", shown.out)
    for name in ("fusions/gated", "rrgbench-gated/gated"):
        (spec,) = shell("plugins", "show", name, "--json", env=installed).json
        assert spec["options"][0]["tree"] == {"type": "float", "ge": 0, "lt": 1}


def test_its_test_file_of_one_class_is_the_whole_contract(installed: Mapping[str, str], tmp_path: Path) -> None:
    shutil.copy(SOURCES / "gated" / "test_rrgbench_gated.py", tmp_path)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path / "test_rrgbench_gated.py")]
    done = subprocess.run(command, cwd=tmp_path, env={**os.environ, **installed}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    checks = [name for name in dir(FusionContract) if name.startswith("test_")]
    assert f"{len(checks)} passed" in done.stdout


@pytest.fixture(scope="module")
def grid(installed: dict[str, str], shell: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """The store in which the tutorial's experiment has run, and what the command said."""
    store = tmp_path_factory.mktemp("grid") / "store"
    return store, shell("run", SOURCES / "gated" / "gated.yaml", "--store", store, "--json", env=installed)


def test_it_runs_in_a_grid_beside_first_party_fusions(shell: Any, installed: Mapping[str, str], grid: tuple[Path, Any]) -> None:
    store, ran = grid
    assert ran.code == 0, ran.err
    cells = [row for row in ran.json["rows"] if row["kind"] == "cell"]
    assert len(cells) == 3
    assert {row["config"]["model"]["fusion"]["distribution"] for row in cells} == {"rrgbench", "rrgbench-gated"}
    assert len({row["id"] for row in cells}) == 3
    assert all({"bleu_4", "unique"} <= set(row["values"]) for row in cells)
    assert ran.json["executed"]["train"] == 3
    again = shell("run", SOURCES / "gated" / "gated.yaml", "--store", store, "--json", env=installed)
    assert again.json["executed"] == {}
    shown = shell("leaderboard", "show", "--store", store, env=installed)
    assert shown.out.count("fusion=gated") == 2


def test_the_commands_of_the_tutorial_lead_there(installed: Mapping[str, str], tmp_path: Path) -> None:
    """Every command of the page, in its order; ``pip`` as the fixture has done it."""
    page = (HERE.parent / "docs" / "write_a_plugin.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    commands = [shlex.split(line) for block in blocks for line in block.splitlines()]
    assert [words[0] for words in commands] == ["mkdir", "cd", "pip", "rrgbench", "rrgbench", "python", "rrgbench", "rrgbench"]
    folder = tmp_path / commands[0][1]
    shutil.copytree(SOURCES / "gated", folder)
    programs = {"rrgbench": [sys.executable, "-m", "rrgbench"], "python": [sys.executable]}
    for program, *arguments in commands[3:]:
        done = subprocess.run(
            [*programs[program], *arguments],
            cwd=folder,
            env={**os.environ, **installed},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, (program, arguments, done.stderr, done.stdout)
    assert "fusion=gated" in done.stdout
    assert (folder / "store" / "rows").is_dir()


# The broken ones.


def test_a_broken_plugin_is_listed_with_cause_and_remedy(shell: Any, installed: Mapping[str, str]) -> None:
    listed = shell("plugins", "list", env=installed)
    assert listed.code == 0
    lines = listed.out.splitlines()
    for name, said in BROKEN.items():
        (at,) = [index for index, line in enumerate(lines) if line.startswith(f"broken: rrgbench-broken/{name}: ")]
        assert said in lines[at]
        assert lines[at + 1].endswith(f"RRGBENCH_DISABLE_PLUGINS=rrgbench-broken/{name}")
    (ended,) = [line for line in lines if line.startswith("broken: rrgbench-ending/ending: ")]
    assert "ended the process with 11; its last words: something in native code went wrong" in ended
    assert "Traceback" not in listed.out + listed.err
    records = {(r["distribution"], r["entry_point"]): r for r in shell("plugins", "list", "--json", env=installed).json}
    assert {key[1] for key, record in records.items() if record["error"]} == {*BROKEN, "ending"}
    assert records["rrgbench-ending", "sound"]["specs"][0]["name"] == "shout"


def test_a_broken_plugin_disturbs_no_plan_but_one_that_asks_for_it(
    shell: Any, installed: Mapping[str, str], tmp_path: Path
) -> None:
    fine = shell("plan", _experiment(tmp_path, protocol="shout"), "--store", tmp_path / "store", env=installed)
    assert fine.code == 0, fine.err
    assert fine.err == ""
    for name in (*BROKEN, "ending"):
        distribution = "rrgbench-ending" if name == "ending" else "rrgbench-broken"
        for asked in (name, f"{distribution}/{name}"):
            file = _experiment(tmp_path, axes__fusion=["concat", asked])
            ran = shell("run", file, "--store", tmp_path / "other", env=installed)
            assert ran.code == 2
            assert ran.out == ""
            (line,) = ran.err.splitlines()
            assert line.startswith(f"error: {file}: axes.fusion: ")
            assert f"{distribution}/{name}" in line
    assert not list((tmp_path / "other").rglob("*.json"))


def test_a_blocked_plugin_is_never_imported(shell: Any, installed: Mapping[str, str], tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    fresh = {**installed, "RRGBENCH_CACHE": str(tmp_path / "cache"), "ENDING_MARKER": str(marker)}
    only = {**fresh, "RRGBENCH_PLUGINS": "rrgbench-ending"}
    blocked = shell("plugins", "list", "--json", env={**only, "RRGBENCH_DISABLE_PLUGINS": "rrgbench_ending/ending"})
    assert [(record["entry_point"], record["error"]) for record in blocked.json] == [("sound", "")]
    assert not marker.exists()
    assert shell("plugins", "list", "--json", env={**only, "RRGBENCH_DISABLE_PLUGINS": "rrgbench-ending"}).json == []
    assert not marker.exists()
    assert len(shell("plugins", "list", "--json", env=only).json) == 2
    assert marker.exists()


def test_the_platform_starts_empty(shell: Any, installed: Mapping[str, str], tmp_path: Path) -> None:
    empty = {**installed, "RRGBENCH_PLUGINS": ""}
    listed = shell("plugins", "list", env=empty)
    assert listed.code == 0
    assert listed.out.splitlines() == [
        "no plugin is installed, or RRGBENCH_PLUGINS and RRGBENCH_DISABLE_PLUGINS leave every one out"
    ]
    assert shell("plugins", "list", "--json", env=empty).json == []
    assert shell("--help", env=empty).code == 0
    ran = shell("plan", _experiment(tmp_path), "--store", tmp_path / "store", env=empty)
    assert ran.code == 2
    assert "base.dataset: no datasets component of that name; got 'phantom'. Hint: known: nothing" in ran.err


# Two of a name.


def test_a_name_that_is_offered_twice_is_asked_back(shell: Any, two_of_a_name: Mapping[str, str], tmp_path: Path) -> None:
    ran = shell("plan", _experiment(tmp_path, axes__fusion=["concat"]), "--store", tmp_path / "store", env=two_of_a_name)
    assert ran.code == 2
    (line,) = ran.err.splitlines()
    assert "'concat' is offered twice, by the plugins rrgbench-twice/fusions and rrgbench/fusions" in line
    assert "write one of rrgbench-twice/concat and rrgbench/concat" in line
    shown = shell("plugins", "show", "concat", env=two_of_a_name)
    assert "rrgbench-twice/fusions" in shown.out
    assert "rrgbench/fusions" in shown.out


def test_the_long_name_always_works(shell: Any, two_of_a_name: Mapping[str, str], tmp_path: Path) -> None:
    names = ["rrgbench/concat", "rrgbench-twice/concat", {"name": "rrgbench-twice/concat", "layers": 2}]
    file = _experiment(tmp_path, base__fusion="rrgbench/concat", axes__fusion=names, baseline={"fusion": "rrgbench/concat"})
    ran = shell("plan", file, "--store", tmp_path / "store", "--json", env=two_of_a_name)
    assert ran.code == 0, ran.err
    assert len({cell["id"] for cell in ran.json["cells"]}) == 3


# Components inside components, and factories of every make, through the same door.


def test_components_inside_components_are_built(
    installed: Mapping[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rrgbench.catalogue import Catalogue
    from rrgbench.catalogue.building import build

    monkeypatch.syspath_prepend(installed["PYTHONPATH"])
    monkeypatch.setenv("RRGBENCH_CACHE", installed["RRGBENCH_CACHE"])
    monkeypatch.setenv("RRGBENCH_PLUGINS", "rrgbench-nested,rrgbench")
    catalogue = Catalogue.load()
    words = tmp_path / "words.txt"
    words.write_text("heart\n")
    value = {
        "name": "composed",
        "one": {"name": "length", "factor": 3, "words": str(words)},
        "several": ["bleu", "function"],
        "named": {"left": "partial", "right": {"name": "data", "factor": 0.5}},
        "files": [str(words)],
        "pair": [2, "b"],
    }
    component = catalogue.resolve("metrics", value, "metrics[0]")
    request = json.loads(json.dumps(component.request()))
    made = build(request, lambda name: pytest.fail(f"nobody asked for {name}"))
    assert (made.one.factor, type(made.one.factor), made.one.words) == (3.0, float, words)
    assert made.maybe is None
    assert isinstance(made.several, list)
    assert [type(metric).__name__ for metric in made.several] == ["Bleu", "Length"]
    assert {name: metric.factor for name, metric in made.named.items()} == {"left": 4.0, "right": 0.5}
    assert made.files == (words,)
    assert made.pair == (2, "b")
    assert build(catalogue.resolve("metrics", "classmethod", "").request(), lambda name: name).factor == 2.0
    assert component.identity() != catalogue.resolve("metrics", {**value, "maybe": "length"}, "").identity()


def test_a_metric_of_metrics_scores(shell: Any, installed: Mapping[str, str], tmp_path: Path) -> None:
    metrics = ["bleu", {"name": "composed", "one": "bleu"}]
    file = _experiment(tmp_path, axes__fusion=["concat"], metrics=metrics)
    ran = shell("run", file, "--store", tmp_path / "store", "--json", env=installed)
    assert ran.code == 0, ran.err
    assert all(row["values"]["length"]["value"] > 0 for row in ran.json["rows"])


# What a mended plugin costs.


def test_a_plugin_that_is_changed_runs_its_own_cells_again(shell: Any, installed: Mapping[str, str], tmp_path: Path) -> None:
    _pip(tmp_path / "site", "gated")
    environment = {**installed, "PYTHONPATH": str(tmp_path / "site"), "RRGBENCH_CACHE": str(tmp_path / "cache")}
    command = ("run", _experiment(tmp_path, axes__fusion=["concat", "gated"]), "--store", tmp_path / "store", "--json")
    assert shell(*command, env=environment).json["executed"]["train"] == 2
    module = tmp_path / "site" / "rrgbench_gated.py"
    text = module.read_text()
    module.write_text(text.replace('"""Features', '"""Said otherwise: features'))
    assert shell(*command, env=environment).json["executed"] == {}
    module.write_text(text.replace("torch.sigmoid", "torch.tanh"))
    executed = shell(*command, env=environment).json["executed"]
    assert executed["train"] == 1
    assert executed["score"] == 2


# The question wing stays light.


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        ("--version",),
        ("plugins", "list"),
        ("plugins", "show", "gated"),
        ("plan", "{experiment}", "--store", "{store}"),
        ("plan", "{experiment}", "--store", "{store}", "--json"),
        ("leaderboard", "show", "--store", "{store}"),
    ],
    ids=" ".join,
)
def test_a_question_imports_no_torch(
    arguments: tuple[str, ...], installed: Mapping[str, str], tmp_path: Path, grid: tuple[Path, Any]
) -> None:
    places = {"experiment": str(_experiment(tmp_path)), "store": str(grid[0])}
    words = [word.format(**places) for word in arguments]
    code = (
        "import sys\nfrom rrgbench.cli import main\nsys.argv = ['rrgbench', *sys.argv[1:]]\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        "heavy = {'torch', 'transformers', 'timm', 'accelerate', 'torchvision'} & set(sys.modules)\n"
        "assert not heavy, heavy\nassert not any(name.startswith('rrgbench_') for name in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words], env={**os.environ, **installed}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
