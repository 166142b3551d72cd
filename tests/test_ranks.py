"""Several ranks come to what one process comes to; one that dies ends the step with a line, and nobody is left behind."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from rrgbench import ConfigError
from rrgbench.errors import ManyErrors
from rrgbench.runner.ranks import check_ranks
from rrgbench.training import Ranks, numerics_domain, reset_process


def _beside(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"rrgbench_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


toy = _beside("toy_catalogue")
HERE = Path(__file__)


@given(batches=st.integers(0, 40), size=st.integers(1, 8))
def test_every_batch_is_one_rank_s(batches: int, size: int) -> None:
    shares = [number for rank in range(size) for number in Ranks(size, rank).share(batches)]
    assert sorted(shares) == list(range(batches))


def test_batches_that_ranks_cannot_share_are_refused_before_anything_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    stages = {"unimodal": {"losses": {"seen": 1.0}}, "fusion": {"global_batch": 48}}
    plan = toy.plan(monkeypatch, {"base.stages": stages})
    check_ranks(plan.steps.values(), 1)
    with pytest.raises(ManyErrors) as caught:
        check_ranks(plan.steps.values(), 2)
    assert [str(error) for error in caught.value.errors] == [
        "stages.unimodal: a step of the optimiser; got 1 batch of 16 for 2 ranks; expected a multiple of 2."
        " Hint: set stages.unimodal.global_batch to a multiple of 32, or a smaller batch_size",
        "stages.fusion: a step of the optimiser; got 3 batches of 16 for 2 ranks; expected a multiple of 2."
        " Hint: set stages.fusion.global_batch to a multiple of 32, or a smaller batch_size",
    ]
    with pytest.raises(ConfigError, match="3 ranks share the batches of a step of the optimiser; got 4 of them"):
        Ranks(3).check(4)
    Ranks(2).check(4)


def test_how_many_trained_together_is_part_of_the_numerics() -> None:
    assert numerics_domain("cpu", 2) == numerics_domain("cpu") | {"world_size": 2}


@pytest.mark.heavy
@pytest.mark.parametrize(("name", "size"), [("unfrozen", 2), ("stopped", 2), ("one", 3)])
def test_ranks_come_to_what_one_process_comes_to(name: str, size: int, tmp_path: Path) -> None:
    rank = _beside("rank")
    command = [sys.executable, str(HERE.with_name("rank.py")), str(tmp_path / "many"), name, str(size)]
    processes = [subprocess.Popen([*command, str(number)], stdout=subprocess.PIPE) for number in range(size)]
    reset_process(0, 1)
    try:
        one = rank.train(tmp_path / "one", rank.RECIPES[name], Ranks())
    finally:
        torch.use_deterministic_algorithms(False)
    told = [json.loads(process.communicate(timeout=240)[0]) for process in processes]
    assert [process.returncode for process in processes] == [0] * size
    assert len(told[0]) == len(one["epochs"]) == (2 if name == "stopped" else 3)
    for epoch, wanted in zip(told[0], one["epochs"], strict=True):
        assert epoch == pytest.approx(wanted, rel=1e-5)
    assert one["epochs"][0]["loss.cross_entropy.one"] == pytest.approx(1.0)
    for file in ("model.safetensors", "optimizer.safetensors"):
        ours, theirs = (load_file(tmp_path / folder / file) for folder in ("one", "many"))
        assert ours.keys() == theirs.keys()
        for key, tensor in ours.items():
            torch.testing.assert_close(theirs[key], tensor, rtol=1e-4, atol=1e-6, msg=lambda text, key=key: f"{key}: {text}")


@pytest.mark.heavy
def test_who_loses_another_rank_says_so_and_goes_on_later_from_the_epoch_before(tmp_path: Path) -> None:
    def run(name: str, out: str) -> list[tuple[int, str]]:
        command = [sys.executable, str(HERE.with_name("rank.py")), str(tmp_path / out), name, "2"]
        piped = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
        processes = [subprocess.Popen([*command, str(number)], **piped) for number in range(2)]
        told = [process.communicate(timeout=240)[1].decode() for process in processes]
        return [(process.returncode, words) for process, words in zip(processes, told, strict=True)]

    (first, words), (second, _) = run("dying", "cut")
    assert (first, second) == (1, 3)
    assert "RankLost: rank 0 of 2 lost another one" in words.strip().splitlines()[-1]
    assert [path.name for path in (tmp_path / "scratch").iterdir()] == ["epoch-000001"]
    assert [code for code, _ in run("plain", "again")] == [0, 0]
    (tmp_path / "scratch" / "epoch-000002").rename(tmp_path / "second")
    assert [code for code, _ in run("plain", "whole")] == [0, 0]
    for file in ("model.safetensors", "optimizer.safetensors", "state.json"):
        assert (tmp_path / "again" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()


RULE = {"patience": 200}
CHANGES = {
    "base.stages": {"fusion": {"epochs": 16, "rung": 8, "batch_size": 2, "global_batch": 8, "early_stopping": {"patience": 200}}},
    "axes": {},
}


def _children(parent: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, IndexError, ValueError):
            if int(stat.read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(stat.parent.name))
    return found


def _bytes(store: Path) -> dict[str, bytes]:
    steps = store / "steps"
    return {
        str(path.relative_to(steps)): path.read_bytes() for path in steps.rglob("*") if path.is_file() and path.name != "DONE"
    }


def _training(driver: subprocess.Popen[bytes], store: Path) -> tuple[int, int]:
    """The worker and its other rank, once they train: an epoch's state lies in scratch."""
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline and driver.poll() is None:
        workers = [(worker, rank) for worker in _children(driver.pid) for rank in _children(worker)]
        if workers and list((store / "scratch").glob("*/epoch-*")):
            return workers[0]
        time.sleep(0.02)
    raise AssertionError("the run was over before it could be disturbed")


def _gone(pids: list[int]) -> bool:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if not any(Path(f"/proc/{pid}").exists() for pid in pids):
            return True
        time.sleep(0.05)
    return False


@pytest.mark.heavy
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds processes in /proc")
def test_killed_ranks_and_workers_change_no_byte_and_leave_nobody(tmp_path: Path, shell: Any, write_experiment: Any) -> None:
    path = write_experiment(tmp_path, CHANGES)
    arguments = ("run", str(path), "--ranks", "2", "--workers", "1", "--json", "--store")
    undisturbed = shell(*arguments, tmp_path / "undisturbed")
    assert undisturbed.code == 0, undisturbed.err
    domains = {json.loads(done.read_text())["domain"]["world_size"] for done in _done(tmp_path / "undisturbed", "train")}
    assert domains == {2}

    store = tmp_path / "disturbed"
    command = [sys.executable, "-m", "rrgbench", *arguments, str(store)]
    driver = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    worker, rank = _training(driver, store)
    os.kill(rank, signal.SIGKILL)
    _, told = driver.communicate(timeout=200)
    assert driver.returncode == 1
    lines = [line for line in told.decode().splitlines() if "rank 1 of 2" in line]
    assert len(lines) == 1, told.decode()
    assert "rank 1 of 2 died: signal SIGKILL" in lines[0]
    assert _gone([worker, rank])

    driver = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    worker, rank = _training(driver, store)
    os.kill(worker, signal.SIGKILL)
    assert _gone([worker, rank]), "a rank ends with its worker"
    driver.kill()
    driver.wait()

    last = shell(*arguments, store)
    assert last.code == 0, last.err
    assert _bytes(store) == _bytes(tmp_path / "undisturbed")
    other = shell("run", str(path), "--store", store, "--set", "base.decoding.max_new_tokens=5")
    assert other.code == 1
    assert "begun with other numerics (world_size); got world_size 1; expected world_size 2" in other.err


def _done(store: Path, kind: str) -> list[Path]:
    return [done for done in sorted((store / "steps").glob("*/*/DONE")) if json.loads(done.read_text())["kind"] == kind]
