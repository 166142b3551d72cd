"""The benchmarks run, check that both sides give the same, and write what they measured. Their figures are no test."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def _bench(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "benchmarks" / "run.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)


@pytest.mark.heavy
def test_benchmarks_write_every_value_and_the_ratios_between_them(tmp_path: Path) -> None:
    out = tmp_path / "measured.json"
    done = _bench("--quick", "constant_floor", "generation", "sharing", "--json", out)
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(out.read_text())
    assert told["quick"] is True
    assert told["machine"].keys() == {"cores", "processor", "threads", "load", "python", "torch"}
    assert list(told["benchmarks"]) == ["constant_floor", "generation", "sharing"]
    measured = [each for group in told["benchmarks"].values() for each in group]
    for each in measured:
        first, second, ratio = each["first"]["values"], each["second"]["values"], each["ratio"]
        assert len(first) == len(second) == (told["rounds"] if each["unit"] == "s" else 1)
        assert min(first + second) > 0
        assert ratio["least"] == min(b / a for a, b in zip(first, second, strict=True))
        assert ratio["least"] <= ratio["median"] <= ratio["most"]
        assert each["title"] in done.stdout
    assert f"torch {told['machine']['torch']}" in done.stdout


def test_every_benchmark_says_what_it_compares_and_can_be_asked_for_by_name() -> None:
    done = _bench("--help")
    assert done.returncode == 0
    modules = [path for path in (ROOT / "benchmarks").glob("*.py") if "def comparisons(" in path.read_text()]
    assert len(modules) >= 7
    for module in modules:
        assert module.stem in done.stdout
        assert len(ast.get_docstring(ast.parse(module.read_text())) or "") > 100, module.stem


def test_an_unknown_benchmark_is_refused_before_anything_is_measured() -> None:
    done = _bench("speed", "--quick")
    assert done.returncode == 2
    assert "no benchmark speed; there are training_loop, films" in done.stderr


def test_two_sides_that_differ_are_no_comparison() -> None:
    source = (
        "from measuring import Comparison, Second, Side, measure\n"
        "other = Second('sums', Side('two', lambda: 2), lambda a, b: a == b)\n"
        "measure(Comparison(Side('one', lambda: 1), [other]), 3)\n"
    )
    command = [sys.executable, "-c", source]
    done = subprocess.run(command, cwd=ROOT / "benchmarks", capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "sums: one and two do not give the same" in done.stderr
