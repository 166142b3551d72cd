"""``kill -9`` at any moment, then the same command: it goes on, and the predictions are those of an undisturbed run."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from rrgbench.store import lease

pytestmark = pytest.mark.heavy

CHANGES = {
    "base.stages": {"fusion": {"epochs": 30, "rung": 10, "batch_size": 4}},
    "select": {"metric": "bleu_4"},
    "floors": ["constant", "random"],
    "seeds": [0, 1],
}


def _start(path: Path, store: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "rrgbench", "run", str(path), "--store", str(store), "--json"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _workers(driver: int) -> list[int]:
    """The worker processes of a driver."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, IndexError, ValueError):
            if int(stat.read_text().rpartition(")")[2].split()[1]) == driver:
                found.append(int(stat.parent.name))
    return found


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _bytes(store: Path) -> dict[str, bytes]:
    """Everything that a step wrote, but for DONE and its times."""
    steps = store / "steps"
    return {
        str(path.relative_to(steps)): path.read_bytes() for path in steps.rglob("*") if path.is_file() and path.name != "DONE"
    }


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds worker processes in /proc")
def test_killed_drivers_and_workers_change_no_byte(tmp_path: Path, shell: Any, write_experiment: Any) -> None:
    path = write_experiment(tmp_path, CHANGES)
    undisturbed = shell("run", path, "--store", tmp_path / "undisturbed", "--json")
    assert undisturbed.code == 0, undisturbed.err

    rng = random.Random(0)
    store = tmp_path / "disturbed"
    killed = []
    for attempt in range(6):
        driver = _start(path, store)
        time.sleep(rng.uniform(2.5, 6.5))
        if driver.poll() is not None:
            break
        workers = _workers(driver.pid)
        victim = rng.choice(workers) if workers and attempt % 2 else driver.pid
        _kill(victim)
        killed.append("driver" if victim == driver.pid else "worker")
        if victim != driver.pid:
            time.sleep(rng.uniform(0.1, 2.0))
            _kill(driver.pid)
        driver.wait()
    assert len(killed) >= 3, "the run was over before it could be disturbed"

    last = shell("run", path, "--store", store, "--json")
    assert last.code == 0, last.err
    assert _bytes(store) == _bytes(tmp_path / "undisturbed")
    values = [{row["id"]: row["values"] for row in ran.json["rows"]} for ran in (undisturbed, last)]
    assert values[0] == values[1]
    assert not any((store / "leases").iterdir())


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds worker processes in /proc")
def test_workers_end_with_their_driver(tmp_path: Path, write_experiment: Any) -> None:
    driver = _start(write_experiment(tmp_path, CHANGES), tmp_path / "store")
    deadline = time.monotonic() + 60
    while not (workers := _workers(driver.pid)) and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(1.0)
    workers = _workers(driver.pid)
    assert workers
    _kill(driver.pid)
    driver.wait()
    while any(Path(f"/proc/{pid}").exists() for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not [pid for pid in workers if Path(f"/proc/{pid}").exists()]


def test_two_drivers_of_one_experiment_share_the_work(tmp_path: Path, write_experiment: Any, shell: Any) -> None:
    path = write_experiment(tmp_path)
    first = _start(path, tmp_path / "store")
    second = shell("run", path, "--store", tmp_path / "store", "--json")
    first.wait()
    assert second.code == 0, second.err
    assert len(second.json["rows"]) == 2
    assert not list((tmp_path / "store" / "tmp").iterdir())


def test_a_lease_of_a_finished_step_goes_with_its_dead_holder(tmp_path: Path, shell: Any, write_experiment: Any) -> None:
    """A worker may be killed after it has published and before it lets go; nobody asks for that step again."""
    path, store = write_experiment(tmp_path), tmp_path / "store"
    assert shell("run", path, "--store", store, "--json").code == 0
    done = sorted((store / "steps").glob("*/*/DONE"))[0].parent.name
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    holder = {"host": socket.gethostname(), "boot": lease._boot_id(), "pid": gone.pid, "started": "1", "token": "t", "counter": 3}
    (store / "leases" / f"{done}.json").write_text(json.dumps(holder))
    again = shell("run", path, "--store", store, "--json")
    assert again.code == 0, again.err
    assert again.json["executed"] == {}
    assert not any((store / "leases").iterdir())
