"""The store under faults: whatever call fails, and whenever a process is killed, an artifact is complete or absent."""

from __future__ import annotations

import errno
import io
import multiprocessing
import os
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from rrgbench.errors import StoreError
from rrgbench.store import Done, Failure, Store, damaged_files, read_done, read_json, write_atomically
from rrgbench.store.lease import process_name

ID = "ab" * 32
CALLS = [(os, name) for name in ("open", "fsync", "rename", "replace", "mkdir", "unlink", "rmdir", "link", "scandir")]
CALLS.append((io, "open"))
FORK = multiprocessing.get_context("fork")


@contextmanager
def _at_call(number: int, then: Callable[[], Any], once: bool = False) -> Iterator[list[str]]:
    """Do something at the n-th call that reaches the file system, and at every one after it; gives the calls so far."""
    made: list[str] = []
    originals = [(module, name, getattr(module, name)) for module, name in CALLS]

    def counting(name: str, original: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            made.append(name)
            if len(made) == number + 1 or (len(made) > number and not once):
                then()
            return original(*arguments, **options)

        return call

    for module, name, original in originals:
        setattr(module, name, counting(name, original))
    try:
        yield made
    finally:
        for module, name, original in originals:
            setattr(module, name, original)


def _raise(code: int) -> Callable[[], None]:
    def then() -> None:
        raise OSError(code, os.strerror(code))

    return then


def _done(step_id: str = ID) -> Done:
    return Done(format=1, id=step_id, kind="score", title="t", license="open", seconds=0.0, files={})


def _fill(draft: Path, text: str = "content") -> None:
    (draft / "a.txt").write_text(text)
    (draft / "inner").mkdir()
    (draft / "inner" / "b.bin").write_bytes(b"\0" * 1000)


def _publish(store: Store, text: str = "content") -> None:
    store.create()
    store.write_failure(Failure(id=ID, kind="score", title="t", error="an earlier trial"))
    with store.draft(ID) as draft:
        _fill(draft, text)
        store.publish(draft, _done())


def _calls_of(store: Store) -> int:
    with _at_call(10**9, lambda: None) as made:
        _publish(store)
    return len(made)


def _whole_or_absent(store: Store) -> bool:
    """Whether the artifact is there; it is whole then."""
    if not store.artifact(ID).exists():
        return False
    assert damaged_files(store.artifact(ID)) == []
    assert set(store.done(ID).files) == {"a.txt", "inner/b.bin"}
    return True


@pytest.fixture
def store(tmp_path: Path) -> Store:
    place = Store(tmp_path / "store")
    place.create()
    return place


# Faults.


@pytest.mark.parametrize("once", [True, False], ids=["once", "from then on"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EACCES])
def test_whatever_call_fails_is_one_line_and_leaves_no_half_artifact(code: int, once: bool, tmp_path: Path) -> None:
    total = _calls_of(Store(tmp_path / "counted"))
    assert total > 25
    told = 0
    for number in range(total):
        store = Store(tmp_path / f"store{number}")
        try:
            with _at_call(number, _raise(code), once):
                _publish(store)
        except StoreError as error:
            assert "\n" not in str(error)
            assert os.strerror(code) in str(error)
            told += 1
        except OSError:
            # The step's own write: only a full disk is told by the store, whoever wrote.
            assert code != errno.ENOSPC, traceback.format_exc()
        _whole_or_absent(store)
        _publish(store)
        assert _whole_or_absent(store)
        assert store.failure(ID) is None
        assert not once or not list((store.root / "tmp").iterdir())
    assert told > 15


def _killed(root: Path, number: int) -> None:
    with _at_call(number, lambda: os._exit(9)):
        _publish(Store(root))
    os._exit(0)


def _run_and_be_killed(root: Path, number: int) -> int:
    child = FORK.Process(target=_killed, args=(root, number))
    child.start()
    child.join(30)
    assert child.exitcode is not None
    return child.exitcode


def test_a_process_that_is_killed_at_any_call_leaves_a_whole_artifact_or_none(tmp_path: Path) -> None:
    total = _calls_of(Store(tmp_path / "counted"))
    seen = set()
    for number in range(total):
        store = Store(tmp_path / f"store{number}")
        assert _run_and_be_killed(store.root, number) == 9
        there = _whole_or_absent(store)
        seen.add(there)
        _publish(store)
        assert _whole_or_absent(store)
        assert not list((store.root / "tmp").iterdir()), "what the dead left goes with the next draft of the step"
    assert seen == {True, False}


def test_a_file_that_is_replaced_is_the_old_or_the_new_one_at_any_fault(tmp_path: Path) -> None:
    path = tmp_path / "rows" / "row.json"
    with _at_call(10**9, lambda: None) as made:
        write_atomically(path, b"old")
    for code in (errno.ENOSPC, errno.EIO):
        for number in range(len(made)):
            write_atomically(path, b"old")
            with _at_call(number, _raise(code)), pytest.raises(StoreError, match="cannot write"):
                write_atomically(path, b"new")
            assert path.read_bytes() in (b"old", b"new")
    write_atomically(path, b"newest")
    assert path.read_bytes() == b"newest"


def test_a_write_that_fails_half_way_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "row.json"
    write_atomically(path, b"old")

    class Half:
        """A file on a disk that fills up."""

        def __init__(self, *arguments: Any) -> None:
            self.file = os.fdopen(os.open(arguments[0], os.O_CREAT | os.O_WRONLY), "wb")

        def __enter__(self) -> Half:
            return self

        def __exit__(self, *_: object) -> None:
            self.file.close()

        def write(self, content: bytes) -> None:
            self.file.write(content[:1])
            self.file.flush()
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", lambda self, *arguments: Half(str(self), *arguments))
        with pytest.raises(StoreError, match=r"got No space left on device\. Hint: the disk is full"):
            write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def _publish_now(root: Path, text: str, start: Any) -> None:
    start.wait(30)
    _publish(Store(root), text)
    os._exit(0)


def test_of_many_publishers_one_wins_and_none_fails(store: Store) -> None:
    start = FORK.Barrier(4)
    children = [FORK.Process(target=_publish_now, args=(store.root, f"text {number}", start)) for number in range(4)]
    for child in children:
        child.start()
    for child in children:
        child.join(30)
    assert [child.exitcode for child in children] == [0] * 4
    assert _whole_or_absent(store)
    assert (store.artifact(ID) / "a.txt").read_text() in {f"text {number}" for number in range(4)}
    assert not list((store.root / "tmp").iterdir())


# What a step does in its draft is its own business.


def test_a_full_disk_in_a_step_is_the_store_s_mistake_and_a_plugin_s_own_file_is_not(store: Store) -> None:
    told = r"cannot write /films/x\.npy; got No space left on device\. Hint: the disk is full"
    with pytest.raises(StoreError, match=told), store.draft(ID):
        raise OSError(errno.ENOSPC, "No space left on device", "/films/x.npy")
    with pytest.raises(PermissionError), store.draft(ID):
        raise PermissionError(errno.EACCES, "Permission denied", "/somebody/elses/file")
    with pytest.raises(FileNotFoundError), store.draft(ID):
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", "/films/y.png")
    assert not list((store.root / "tmp").iterdir())


def test_drafts_of_the_living_and_of_other_steps_stay(store: Store) -> None:
    mine = store.root / "tmp" / f"{ID[:16]}-{process_name()}-1"
    foreign = store.root / "tmp" / f"{ID[:16]}-00000000.1.1-2"
    other = store.root / "tmp" / f"{'cd' * 8}-{process_name().partition('.')[0]}.999999999.1-3"
    dead = store.root / "tmp" / f"{ID[:16]}-{process_name().partition('.')[0]}.999999999.1-4"
    strange = store.root / "tmp" / f"{ID[:16]}-x"
    for folder in (mine, foreign, other, dead, strange):
        folder.mkdir()
    with store.draft(ID):
        pass
    assert set((store.root / "tmp").iterdir()) == {mine, foreign, other, strange}


# Damage.


def test_damage_is_told_with_the_folder_that_is_to_be_deleted(store: Store) -> None:
    _publish(store)
    folder = store.artifact(ID)
    assert store.whole(ID) == folder
    (folder / "inner" / "b.bin").write_bytes(b"\0" * 999)
    (folder / "a.txt").unlink()
    with pytest.raises(StoreError) as caught:
        store.whole(ID)
    assert str(caught.value) == (
        f"{folder} is damaged; got a.txt, inner/b.bin not as written. "
        f"Hint: delete the folder {folder} and run the same command again: the step is done anew"
    )
    for read in (lambda: read_json(folder / "score.json"), lambda: read_json(folder / "inner" / "b.bin")):
        with pytest.raises(StoreError, match=r"cannot be read; .* Hint: delete the folder /"):
            read()


@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b'{"id": 3}', b"\xff\xfe"])
def test_an_artifact_without_a_readable_done_is_told(content: bytes | None, store: Store) -> None:
    _publish(store)
    done = store.artifact(ID) / "DONE"
    done.unlink() if content is None else done.write_bytes(content)
    for read in (store.done, store.whole):
        with pytest.raises(StoreError, match=r"DONE cannot be read. Hint: delete the folder"):
            read(ID)


def test_a_folder_that_lost_its_done_is_no_artifact_and_makes_way(store: Store) -> None:
    _publish(store, "old")
    (store.artifact(ID) / "DONE").unlink()
    assert not store.is_done(ID)
    _publish(store, "new")
    assert (store.artifact(ID) / "a.txt").read_text() == "new"
    assert _whole_or_absent(store)
    assert not list((store.root / "tmp").iterdir())


def test_done_names_every_file_by_its_digest(store: Store) -> None:
    _publish(store)
    told = read_done(store.artifact(ID))
    assert set(told.files) == {"a.txt", "inner/b.bin"}
    assert all(len(digest) == 64 for digest in told.files.values())


# Places.


@pytest.mark.parametrize("content", ["2\n", "", "\0", "one", "\x1b[31mred"])
def test_a_store_of_another_format_is_refused_in_one_line(content: str, store: Store) -> None:
    (store.root / "FORMAT").write_text(content)
    with pytest.raises(StoreError, match=r"FORMAT; got .*expected 1. Hint: use another --store") as caught:
        store.create()
    assert str(caught.value).isprintable()


def test_a_store_whose_marker_is_no_text_is_refused_in_one_line(store: Store) -> None:
    marker = store.root / "FORMAT"
    marker.write_bytes(b"\xff\xfe")
    with pytest.raises(StoreError, match="expected 1"):
        store.create()
    marker.unlink()
    marker.mkdir()
    with pytest.raises(StoreError, match="FORMAT cannot be read; got Is a directory"):
        store.create()


def test_a_path_that_can_be_no_store_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for path in (tmp_path / "file", tmp_path / "file" / "below", tmp_path / "loop", tmp_path / ("x" * 300)):
        with pytest.raises(StoreError, match="cannot write"):
            Store(path).create()


def test_making_a_store_again_changes_nothing(store: Store) -> None:
    _publish(store)
    before = sorted((path, path.stat().st_mtime_ns) for path in store.root.rglob("*"))
    Store(store.root).create()
    assert sorted((path, path.stat().st_mtime_ns) for path in store.root.rglob("*")) == before
