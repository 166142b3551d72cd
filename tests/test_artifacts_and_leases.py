"""Artifacts are complete or absent; a step is worked on by one; a full disk is one line."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rrgbench.errors import StoreError
from rrgbench.store import Done, Failure, Store, damaged_files, lease, write_atomically

ID = "ab" * 32


@pytest.fixture
def store(tmp_path: Path) -> Store:
    place = Store(tmp_path / "store")
    place.create()
    return place


def _done(step_id: str = ID) -> Done:
    return Done(format=1, id=step_id, kind="score", title="t", license="credentialed", seconds=0.0, files={})


def _publish(store: Store, text: str = "content") -> None:
    with store.draft(ID) as draft:
        (draft / "a.txt").write_text(text)
        store.publish(draft, _done())


def test_a_published_artifact_is_whole_and_says_what_it_is(store: Store) -> None:
    _publish(store)
    assert store.is_done(ID)
    done = store.done(ID)
    assert set(done.files) == {"a.txt"}
    assert done.license == "credentialed"
    assert damaged_files(store.artifact(ID)) == []
    assert not list((store.root / "tmp").iterdir())


def test_damage_is_found_by_digest(store: Store) -> None:
    _publish(store)
    (store.artifact(ID) / "a.txt").write_text("changed")
    assert damaged_files(store.artifact(ID)) == ["a.txt"]
    (store.artifact(ID) / "a.txt").unlink()
    assert damaged_files(store.artifact(ID)) == ["a.txt"]


def test_a_second_publisher_changes_nothing(store: Store) -> None:
    _publish(store, "first")
    _publish(store, "second")
    assert (store.artifact(ID) / "a.txt").read_text() == "first"
    assert not list((store.root / "tmp").iterdir())


def test_a_draft_that_is_not_published_leaves_nothing(store: Store) -> None:
    with pytest.raises(RuntimeError), store.draft(ID) as draft:
        (draft / "a.txt").write_text("half")
        raise RuntimeError("killed here")
    assert not store.is_done(ID)
    assert not list((store.root / "tmp").iterdir())


@pytest.mark.parametrize("call", ["os.fsync", "pathlib.Path.rename", "pathlib.Path.replace", "pathlib.Path.mkdir", "os.open"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_fills_up_at_any_call_leaves_no_artifact(
    call: str, code: int, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(call, full)
        with pytest.raises(StoreError, match="free some space"):
            _publish(store)
    assert not store.is_done(ID)
    assert not store.artifact(ID).exists()
    _publish(store)
    assert damaged_files(store.artifact(ID)) == []


def test_an_atomic_write_keeps_the_old_file_when_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "row.json"
    write_atomically(path, b"old")

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="the disk is full"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_store_that_is_a_file_or_of_another_format_is_one_line(tmp_path: Path, store: Store) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot write"):
        Store(tmp_path / "file").create()
    (store.root / "FORMAT").write_text("99\n")
    with pytest.raises(StoreError, match="got 99; expected 1"):
        store.create()


def test_a_failure_is_kept_until_its_step_succeeds(store: Store) -> None:
    store.write_failure(Failure(id=ID, kind="score", title="t", error="e", traceback="tb"))
    assert store.failure(ID) == Failure(id=ID, kind="score", title="t", error="e", traceback="tb")
    _publish(store)
    assert store.failure(ID) is None


def test_a_lease_is_held_by_one_and_given_back(store: Store) -> None:
    first = store.lease(ID)
    assert first is not None
    assert store.lease(ID) is None
    first.release()
    second = store.lease(ID)
    assert second is not None
    second.release()
    assert not list((store.root / "leases").iterdir())


def _die_holding(root: Path) -> None:
    held = Store(root).lease(ID)
    assert held is not None
    os._exit(0)


def test_the_lease_of_a_dead_process_is_free_at_once(store: Store) -> None:
    child = multiprocessing.get_context("fork").Process(target=_die_holding, args=(store.root,))
    child.start()
    child.join()
    assert list((store.root / "leases").iterdir())
    taken = store.lease(ID)
    assert taken is not None
    taken.release()


@pytest.fixture
def foreign(store: Store) -> Iterator[Path]:
    """A lease of another host."""
    path = store.root / "leases" / f"{ID}.json"
    holder = {"host": "elsewhere", "boot": "x", "pid": 1, "started": "", "token": "theirs", "counter": 5}
    path.write_text(json.dumps(holder))
    yield path
    lease._seen.clear()


def test_a_foreign_lease_is_stale_only_after_its_counter_stood_still(
    store: Store, foreign: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "STALE_SECONDS", 0.2)
    assert store.lease(ID) is None
    time.sleep(0.15)
    foreign.write_text(foreign.read_text().replace('"counter": 5', '"counter": 6'))
    assert store.lease(ID) is None, "the counter moved"
    time.sleep(0.1)
    assert store.lease(ID) is None
    time.sleep(0.15)
    taken = store.lease(ID)
    assert taken is not None
    taken.release()


def test_a_thief_that_comes_too_late_puts_the_lease_back(store: Store, foreign: Path) -> None:
    judged = {"token": "somebody earlier"}
    assert lease._steal(foreign, judged) is False
    assert json.loads(foreign.read_text())["token"] == "theirs"
    assert [path.name for path in foreign.parent.iterdir()] == [foreign.name]


def test_a_holder_notices_that_its_lease_was_taken(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "BEAT_SECONDS", 0.02)
    held = store.lease(ID)
    assert held is not None
    held.path.write_text(held.path.read_text().replace(held.token, "another"))
    deadline = time.monotonic() + 5
    while not held.lost and time.monotonic() < deadline:
        time.sleep(0.01)
    assert held.lost
    held.release()
    assert held.path.exists(), "what is not ours is not removed"


def _race(root: Path, rounds: int, wins: Any, barrier: Any) -> None:
    place = Store(root)
    for number in range(rounds):
        if place.lease(f"{number:064d}") is not None:
            with wins.get_lock():
                wins[number] += 1
    barrier.wait(60)  # nobody ends, and so gives up its leases, before all have tried


def test_of_many_racers_one_gets_each_lease(store: Store) -> None:
    context = multiprocessing.get_context("fork")
    rounds, count = 50, 3
    wins, barrier = context.Array("i", rounds), context.Barrier(count)
    racers = [context.Process(target=_race, args=(store.root, rounds, wins, barrier)) for _ in range(count)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join(60)
    assert list(wins) == [1] * rounds
