"""Leases: one holder at a time, whatever dies, stops, wakes up or races."""

from __future__ import annotations

import fcntl
import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rrgbench.store import lease
from rrgbench.store.lease import Lease, acquire

FORK = multiprocessing.get_context("fork")
FOREIGN = {"host": "elsewhere", "boot": "x", "pid": 1, "started": "", "token": "theirs", "counter": 5}


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "leases").mkdir()
    yield tmp_path / "leases" / "step.json"
    lease._seen.clear()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hundredths of seconds in place of seconds."""
    monkeypatch.setattr(lease, "STALE_SECONDS", 0.3)
    monkeypatch.setattr(lease, "BEAT_SECONDS", 0.02)


def _until(holds: Callable[[], Any], seconds: float = 10.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < deadline, "in vain"
        time.sleep(0.01)
    return found


def _in_a_child(function: Callable[..., None], *arguments: Any) -> Any:
    child = FORK.Process(target=function, args=arguments)
    child.start()
    return child


# One holder.


def test_a_lease_says_who_holds_it_and_goes_when_given_back(path: Path) -> None:
    held = acquire(path)
    assert held is not None
    told = json.loads(path.read_text())
    assert told["pid"] == os.getpid()
    assert told["token"] == held.token
    assert acquire(path) is None
    held.release()
    held.release()
    assert list(path.parent.iterdir()) == []


def test_the_counter_moves_while_it_is_held(path: Path, quick: None) -> None:
    with acquire(path) or pytest.fail("free") as held:
        _until(lambda: json.loads(path.read_text())["counter"] > 3)
        assert not held.lost
        for _ in range(40):  # longer than a lease may stand still
            assert acquire(path) is None
            time.sleep(0.02)


ROUNDS = 100


def _race(folder: Path, inside: Any, wins: Any, start: Any) -> None:
    """Take and give back, again and again; ``inside`` counts who is in at the same time."""
    start.wait(30)
    for number in range(ROUNDS):
        path = folder / f"{number}.json"
        for _ in range(1000):
            held = acquire(path)
            if held is not None:
                break
            time.sleep(0.001)
        else:
            os._exit(3)
        with inside.get_lock():
            inside.value += 1
            if inside.value > 1:
                os._exit(4)
        time.sleep(0.0005)
        with inside.get_lock():
            inside.value -= 1
            wins.value += 1
        held.release()
        start.wait(30)
    os._exit(0)


def test_two_processes_never_both_hold_it(path: Path) -> None:
    count = 3
    inside, wins, start = FORK.Value("i", 0), FORK.Value("i", 0), FORK.Barrier(count)
    children = [_in_a_child(_race, path.parent, inside, wins, start) for _ in range(count)]
    for child in children:
        child.join(60)
    assert [child.exitcode for child in children] == [0] * count
    assert wins.value == count * ROUNDS
    assert list(path.parent.iterdir()) == []


def _steal_all(folder: Path, rounds: int, wins: Any, start: Any) -> None:
    for number in range(rounds):
        start.wait(30)
        held = acquire(folder / f"{number}.json")
        if held is not None:
            with wins.get_lock():
                wins[number] += 1
        start.wait(30)  # nobody gives back before all have tried
    os._exit(0)


def test_of_many_thieves_one_gets_the_lease_of_the_dead(path: Path) -> None:
    count, rounds = 4, ROUNDS
    dead = _in_a_child(lambda: None)
    dead.join()
    holder = FOREIGN | {"host": lease.socket.gethostname(), "boot": lease._boot_id(), "pid": dead.pid}
    for number in range(rounds):
        (path.parent / f"{number}.json").write_text(json.dumps(holder))
    wins, start = FORK.Array("i", rounds), FORK.Barrier(count)
    children = [_in_a_child(_steal_all, path.parent, rounds, wins, start) for _ in range(count)]
    for child in children:
        child.join(60)
    assert list(wins) == [1] * rounds


# The dead.


def _hold(path: Path, held: Any) -> None:
    assert acquire(path) is not None
    held.set()
    time.sleep(60)


@pytest.fixture
def holder(path: Path) -> Iterator[Any]:
    """A process that holds the lease until it is killed."""
    held = FORK.Event()
    child = _in_a_child(_hold, path, held)
    assert held.wait(30)
    yield child
    child.kill()
    child.join()


def test_the_lease_of_a_killed_process_is_free_at_once(path: Path, holder: Any) -> None:
    assert acquire(path) is None
    holder.kill()
    holder.join()
    taken = acquire(path)
    assert taken is not None
    taken.release()


def test_a_process_that_nobody_waited_for_is_dead_too(path: Path, holder: Any) -> None:
    os.kill(holder.pid, signal.SIGKILL)
    _until(lambda: lease._state(holder.pid)[0] == "Z")
    taken = acquire(path)
    assert taken is not None
    taken.release()


def test_a_pid_that_was_given_again_is_not_the_holder(path: Path) -> None:
    here = {"host": lease.socket.gethostname(), "boot": lease._boot_id(), "pid": os.getpid()}
    path.write_text(json.dumps(FOREIGN | here | {"started": lease._state(os.getpid())[1]}))
    assert acquire(path) is None
    path.write_text(json.dumps(FOREIGN | here | {"started": "1"}))
    taken = acquire(path)
    assert taken is not None
    taken.release()


def test_a_pid_of_another_boot_or_another_namespace_says_nothing(path: Path) -> None:
    for other in ({"boot": "another"}, {"host": "another"}):
        told = {"host": lease.socket.gethostname(), "boot": lease._boot_id(), "pid": 2**22 + 1} | other
        path.write_text(json.dumps(FOREIGN | told))
        assert acquire(path) is None


def test_a_stopped_process_loses_its_lease_and_notices_when_it_wakes(path: Path, quick: None) -> None:
    lost = FORK.Event()

    def hold(held: Any) -> None:
        own = acquire(path)
        assert own is not None
        held.set()
        _until(lambda: own.lost, 30)
        own.release()
        lost.set()
        os._exit(0)

    held = FORK.Event()
    child = _in_a_child(hold, held)
    assert held.wait(30)
    os.kill(child.pid, signal.SIGSTOP)
    try:
        taken = _until(lambda: acquire(path))
    finally:
        os.kill(child.pid, signal.SIGCONT)
    assert lost.wait(30)
    child.join(30)
    assert json.loads(path.read_text())["token"] == taken.token, "what is not ours is neither written nor removed"
    assert not taken.lost
    taken.release()
    assert list(path.parent.iterdir()) == []


# Other hosts.


def _write(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(FOREIGN | changes))


def test_a_foreign_lease_is_stale_when_its_counter_stood_still_on_our_clock(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(lease.time, "monotonic", lambda: now[0])
    _write(path)
    assert acquire(path) is None, "seen for the first time"
    now[0] += lease.STALE_SECONDS
    assert acquire(path) is None, "not longer than it may"
    _write(path, counter=6)
    now[0] += 1
    assert acquire(path) is None, "the counter moved on"
    now[0] += lease.STALE_SECONDS
    assert acquire(path) is None
    _write(path, token="another", counter=6)
    now[0] += 1
    assert acquire(path) is None, "another holder"
    now[0] += lease.STALE_SECONDS + 1
    os.utime(path, (1, 1))  # clocks of hosts do not count
    taken = acquire(path)
    assert taken is not None
    taken._stop.set()


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "null",
        '"text"',
        json.dumps(FOREIGN | {"pid": "1"}),
        json.dumps(FOREIGN | {"counter": None}),
        json.dumps({key: value for key, value in FOREIGN.items() if key != "token"}),
        "\0\xff",
    ],
)
def test_a_torn_or_foreign_file_is_respected_and_then_taken(content: str, path: Path, quick: None) -> None:
    path.write_bytes(content.encode("latin-1"))
    assert acquire(path) is None
    taken = _until(lambda: acquire(path))
    assert json.loads(path.read_text())["token"] == taken.token
    taken.release()
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("pid", [0, -1, 2**31, 2**80])
def test_a_strange_pid_is_no_accident(pid: int, path: Path) -> None:
    _write(path, host=lease.socket.gethostname(), boot=lease._boot_id(), pid=pid, started="1")
    held = acquire(path)
    if held is not None:
        held.release()


# Thieves.


def test_a_thief_that_comes_too_late_touches_nothing(path: Path) -> None:
    _write(path, token="newer")
    assert lease._steal(path, FOREIGN) is False
    assert json.loads(path.read_text())["token"] == "newer"
    path.unlink()
    assert lease._steal(path, FOREIGN) is True
    assert list(path.parent.iterdir()) == []


def test_without_locks_a_thief_that_moved_the_wrong_one_puts_it_back(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*_: Any) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    _write(path, token="newer")
    looks = iter([FOREIGN])  # what the thief sees before it moves: somebody was faster in between
    read = lease._read
    monkeypatch.setattr(lease, "_read", lambda place: next(looks, None) or read(place))
    assert lease._steal(path, FOREIGN) is False
    assert json.loads(path.read_text())["token"] == "newer"
    assert list(path.parent.iterdir()) == [path]


def test_a_lock_that_never_comes_is_not_waited_for(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "_LOCK_SECONDS", 0.05)
    held = acquire(path)
    assert held is not None
    folder = os.open(path.parent, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    held.release()
    os.close(folder)
    assert list(path.parent.iterdir()) == []


def test_a_holder_removes_only_what_is_its_own(path: Path) -> None:
    held = acquire(path)
    assert held is not None
    path.unlink()
    _write(path)
    held.release()
    assert json.loads(path.read_text()) == FOREIGN


def test_a_beat_never_writes_over_another_holder(path: Path, quick: None) -> None:
    held = acquire(path)
    assert held is not None
    path.unlink()
    _write(path)
    _until(lambda: held.lost)
    assert json.loads(path.read_text()) == FOREIGN
    held.release()


def test_a_lease_that_cannot_be_written_leaves_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        with pytest.raises(OSError, match="No space left"):
            acquire(path)
    assert list(path.parent.iterdir()) == []
    held = acquire(path)
    assert isinstance(held, Lease)
    held.release()


def test_a_full_disk_costs_a_beat_and_not_the_lease(path: Path, quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    held = acquire(path)
    assert held is not None
    failed: list[int] = []

    def full(*_: Any) -> int:
        failed.append(1)
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        _until(lambda: len(failed) > 3)
    before = json.loads(path.read_text())["counter"]
    _until(lambda: json.loads(path.read_text())["counter"] > before)
    assert not held.lost
    held.release()
