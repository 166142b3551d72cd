"""``rrgbench search`` whole: a third party's options among the dimensions, killed once and resumed, its best cell run on test."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.heavy

HERE = Path(__file__).parent
QUICK = HERE.parent / "experiments" / "search_quick.yaml"
SMALLER = [
    *("--set", "base.dataset.studies=60"),
    *("--set", "base.stages.fusion.epochs=2"),
    *("--set", "base.stages.fusion.rung=1"),
    *("--set", "base.decoding.max_new_tokens=12"),
]


@pytest.fixture(scope="module")
def third_party(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment in which pip has installed a distribution from outside that offers the fusion ``gated``."""
    folder = tmp_path_factory.mktemp("third-party")
    shutil.copytree(HERE / "thirdparty" / "gated", folder / "source")
    flags = ["--quiet", "--disable-pip-version-check", "--no-index", "--no-deps", "--no-build-isolation", "--no-cache-dir"]
    command = [sys.executable, "-m", "pip", "install", *flags, "--target", str(folder / "site"), str(folder / "source")]
    subprocess.run(command, check=True, timeout=240)
    paths = os.pathsep.join(filter(None, [str(folder / "site"), os.environ.get("PYTHONPATH", "")]))
    return {"PYTHONPATH": paths, "RRGBENCH_CACHE": str(folder / "cache")}


def _parameters(trials: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    told = sorted(trials, key=lambda trial: trial["number"])
    return [(t["number"], t["state"], t["value"], t["rungs"], t["parameters"], t["cell"]) for t in told]


def _kill_after(trials: int, command: list[str], environment: Mapping[str, str]) -> str:
    """Start a command, and kill it while it works on the trial after so many; what it said until then."""
    process = subprocess.Popen(
        command, env={**os.environ, **environment}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr
    said = []
    for line in process.stderr:
        said.append(line)
        if line.startswith(f"[{trials}/"):
            time.sleep(0.4)
            break
    assert process.poll() is None, "".join(said)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stderr.close()
    return "".join(said)


def test_the_shipped_search_from_outside_plugin_to_rows_on_test(
    shell: Callable[..., Any], third_party: dict[str, str], tmp_path: Path
) -> None:
    planned = shell("search", QUICK, "--plan", "--json", env=third_party)
    assert planned.code == 0, planned.err
    dimensions = {dimension["name"]: dimension for dimension in planned.json["dimensions"]}
    assert "gated" in dimensions["fusion"]["values"]
    dropout = dimensions["fusion.gated.dropout"]
    assert (dropout["when"], dropout["declared"], dropout["values"][0]) == ({"fusion": "gated"}, True, 0)

    whole = shell("search", QUICK, *SMALLER, "--store", tmp_path / "whole", "--json", env=third_party)
    assert whole.code == 0, whole.err
    trials = whole.json["trials"]
    assert len(trials) == 12
    assert any("fusion.gated.dropout" in trial["parameters"] for trial in trials), "no trial tried it"
    assert not [trial["reason"] for trial in trials if trial["state"] == "failed"]

    store = tmp_path / "killed"
    command = [sys.executable, "-m", "rrgbench", "search", str(QUICK), *SMALLER, "--store", str(store)]
    said = _kill_after(5, command, third_party)
    assert said.count("; best ") == 5
    resumed = shell(*command[3:], "--json", env=third_party)
    assert resumed.code == 0, resumed.err
    assert _parameters(resumed.json["trials"]) == _parameters(trials)
    assert 0 < resumed.json["executed"]["train"] < whole.json["executed"]["train"]
    for name in ("history.csv", "best.yaml"):
        files = [folder / "searches" / "search_quick" / name for folder in (store, tmp_path / "whole")]
        assert files[0].read_bytes() == files[1].read_bytes()
    again = shell(*command[3:], "--json", env=third_party)
    assert again.json["executed"] == {}

    ran = shell("run", resumed.json["exported"], "--store", store, "--json", env=third_party)
    assert ran.code == 0, ran.err
    (row,) = [row for row in ran.json["rows"] if row["kind"] == "cell"]
    assert row["seeds"] == [1, 2]
    assert row["floors"]["constant"]["bleu_4"] > 0
    assert {"bleu_4", "rouge_l"} <= set(row["values"])
    shown = shell("leaderboard", "show", "--store", store, env=third_party)
    assert "phantom test" in shown.out


TINY_SPACE = {"fusion": {"components": ["concat", "gating"]}, "decoder.heads": {"choices": [2, 3]}}


@pytest.fixture
def write_search(tiny: Callable[..., dict[str, Any]], tmp_path: Path) -> Callable[..., Path]:
    """Writes a tiny search with changes to a file."""

    def write(**changes: Any) -> Path:
        raw = {"name": "tiny", "base": tiny()["base"], "space": TINY_SPACE, "trials": 3, "metrics": ["bleu"]}
        path = tmp_path / "search.yaml"
        path.write_text(json.dumps(raw | {"objective": {"metric": "bleu_1"}, "sampler": {"seed": 1}} | changes))
        return path

    return write


def test_trials_that_fail_stand_in_the_table_and_all_of_them_are_exit_1(
    shell: Callable[..., Any], write_search: Callable[..., Path], tmp_path: Path
) -> None:
    store = tmp_path / "store"
    some = shell("search", write_search(trials=5), "--store", store)
    assert some.code == 0, some.err
    assert "heads" in next(line for line in some.out.splitlines() if "failed" in line)
    assert "best cell: rrgbench run" in some.out
    assert some.err.count("; best ") >= 4
    path = write_search(
        name="hopeless", space={"fusion": {"components": ["concat"]}, "decoder.heads": {"choices": [3]}}, trials=2
    )
    every = shell("search", path, "--store", store)
    assert every.code == 1
    assert every.err.splitlines()[-1] == "every trial failed"
    assert "Traceback" not in every.err + every.out
    assert not (store / "searches" / "hopeless" / "best.yaml").exists()
    assert (store / "searches" / "hopeless" / "history.csv").read_text().count("failed") == 2


def test_a_trial_equal_to_a_cell_that_was_run_costs_nothing(
    shell: Callable[..., Any], write_search: Callable[..., Path], write_experiment: Callable[..., Path], tmp_path: Path
) -> None:
    changes = {"select": {"metric": "bleu_1"}, "axes.fusion": ["concat", "gating"]}
    ran = shell("run", write_experiment(tmp_path, changes), "--store", tmp_path / "store", "--json")
    assert ran.code == 0, ran.err
    path = write_search(space={"fusion": {"components": ["concat", "gating"]}})
    told = shell("search", path, "--store", tmp_path / "store", "--export", tmp_path / "mine.yaml", "--json")
    assert told.code == 0, told.err
    assert told.json["executed"] == {}
    assert told.json["exported"] == str(tmp_path / "mine.yaml")
    assert told.err == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["--export", "/no/such/folder/best.yaml"],
            "error: --export; got /no/such/folder/best.yaml; expected a file in a folder",
        ),
        (["--storage", "nonsense"], "error: the storage of the search, --storage, cannot be used"),
        (["--set", "trials=0"], "trials; got 0"),
        (["--set", "objective.metric=bleu_9"], "objective.metric; got 'bleu_9'. Hint: did you mean"),
        (["--set", "base.dataset.studies=-1"], "base.dataset.studies; got -1"),
        (["--executor", "nowhere"], "no executors component of that name; got 'nowhere'"),
    ],
)
def test_a_mistake_is_one_line_and_exit_2(
    shell: Callable[..., Any], write_search: Callable[..., Path], tmp_path: Path, arguments: list[str], said: str
) -> None:
    ran = shell("search", write_search(), "--store", tmp_path / "store", *arguments)
    assert ran.code == 2
    assert ran.out == ""
    assert said in ran.err
    assert len(ran.err.splitlines()) == 1
    assert not list(tmp_path.rglob("best.yaml"))


def test_planning_a_search_imports_no_torch_and_starts_no_database(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom rrgbench.cli import main\nsys.argv = ['rrgbench', *sys.argv[1:]]\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        "heavy = {'torch', 'transformers', 'optuna', 'sqlalchemy'} & set(sys.modules)\nassert not heavy, heavy\n"
    )
    for words in (["search", str(QUICK), "--plan"], ["search", "--help"], ["--help"]):
        done = subprocess.run([sys.executable, "-c", code, *words], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert not list(tmp_path.iterdir())
