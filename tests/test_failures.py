"""A run that fails, fails alone: its traceback is kept, the others finish, and the exit code says so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.heavy

PLUGIN = '''
"""Fusions that go wrong, each in its own way."""
import os
import torch
from torch import nn
import rrgbench
from rrgbench import Features


class Mean(nn.Module):
    def __init__(self, dims, memory_dim):
        super().__init__()
        self.project = nn.ModuleDict({name: nn.Linear(dim, memory_dim) for name, dim in dims.items()})

    def forward(self, features):
        name = next(iter(features))
        return self.go(self.project[name](features[name].hidden_states), features[name].mask)

    def go(self, hidden, mask):
        return Features(hidden, mask)


class NotANumber(Mean):
    def go(self, hidden, mask):
        return Features(hidden * float("nan"), mask)


class Raising(Mean):
    def go(self, hidden, mask):
        raise RuntimeError("the third party's own mistake")


class Dying(Mean):
    def go(self, hidden, mask):
        os._exit(7)


class Noisy(Mean):
    def go(self, hidden, mask):
        print("a plugin prints what it likes")
        return Features(hidden, mask)


@rrgbench.hookimpl
def rrgbench_fusions():
    return {"nan": NotANumber, "raising": Raising, "dying": Dying, "noisy": Noisy}


@rrgbench.hookimpl
def rrgbench_row_written(row):
    raise ValueError("a listener that raises")
'''


def test_what_fails_fails_alone_and_the_others_finish(tmp_path: Path, shell: Any, write_experiment: Any, plugin: Any) -> None:
    environment = plugin("wrongfusions", PLUGIN)
    path = write_experiment(tmp_path, {"axes.fusion": ["nan", "raising", "dying", "noisy", "concat"]})
    ran = shell("run", path, "--store", tmp_path / "store", "--json", env=environment)
    assert ran.code == 1
    told = ran.json
    assert sorted(row["title"] for row in told["rows"]) == ["fusion=concat", "fusion=noisy"]
    errors = {failure["title"].rpartition("fusion=")[2].split(",")[0]: failure for failure in told["failures"]}
    assert set(errors) == {"nan", "raising", "dying"}
    assert "not finite" in errors["nan"]["error"]
    assert "cross_entropy" in errors["nan"]["error"]
    assert "the third party's own mistake" in errors["raising"]["error"]
    assert "wrongfusions.py" in errors["raising"]["traceback"]
    assert "died 2 times" in errors["dying"]["error"]
    assert "exit status 7" in errors["dying"]["error"]
    kept = [json.loads(file.read_text()) for file in (tmp_path / "store" / "failures").glob("*.json")]
    assert {failure["id"] for failure in kept} == {failure["id"] for failure in told["failures"]}
    assert all("fusion=" in title for title in told["blocked"])

    plain = shell("run", path, "--store", tmp_path / "store", env=environment)
    assert plain.code == 1
    assert "Traceback" not in plain.err
    assert plain.err.count("\nfailed: train") == 3
    assert "fusion=noisy" in plain.out


def test_a_mended_plugin_is_a_new_step_and_its_failure_goes(
    tmp_path: Path, shell: Any, write_experiment: Any, plugin: Any
) -> None:
    environment = plugin("wrongfusions", PLUGIN)
    path = write_experiment(tmp_path, {"axes.fusion": ["raising", "concat"]})
    assert shell("run", path, "--store", tmp_path / "store", "--json", env=environment).code == 1
    module = Path(environment["PYTHONPATH"]) / "wrongfusions.py"
    module.write_text(PLUGIN.replace('raise RuntimeError("the third party\'s own mistake")', "return Features(hidden, mask)"))
    ran = shell("run", path, "--store", tmp_path / "store", "--json", env=environment)
    assert ran.code == 0, ran.err
    assert ran.json["executed"]["train"] == 1


def test_fail_fast_begins_nothing_after_a_failure(tmp_path: Path, shell: Any, write_experiment: Any, plugin: Any) -> None:
    environment = plugin("wrongfusions", PLUGIN)
    path = write_experiment(tmp_path, {"axes.fusion": ["raising", "concat", "noisy"]})
    ran = shell("run", path, "--store", tmp_path / "store", "--json", "--fail-fast", "--workers", "1", env=environment)
    assert ran.code == 1
    assert ran.json["rows"] == []
