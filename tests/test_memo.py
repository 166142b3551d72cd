"""The annotation memo: nothing is annotated twice, and nothing depends on it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rrgbench import Entity, PluginError, ReportGraph
from rrgbench.memo import Remembered


class Words:
    """Each word is an entity related to the next; counts the texts that it is given."""

    identity = "words 1"

    def __init__(self) -> None:
        self.given: list[str] = []

    def __call__(self, reports: Sequence[str]) -> list[ReportGraph]:
        self.given += reports
        return [graph(report) for report in reports]


def graph(report: str) -> ReportGraph:
    words = report.split()
    last = len(words) - 1
    entities = [Entity(w, "OBS-DP", n, n, (("modify", n + 1),) if n < last else ()) for n, w in enumerate(words)]
    return ReportGraph(" ".join(words), tuple(entities))


class Lowered(Words):
    def normal_form(self, text: str) -> str:
        return text.lower()


def quiet(done: int, total: int, note: str) -> None: ...


def remembered(folder: Path, inner: Any = None, license: str = "open", **who: Any) -> Remembered:  # noqa: A002
    return Remembered(inner if inner is not None else Words(), {"name": "words", **who}, folder, license, quiet)


def entries(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.txt"))


REPORTS = [f"heart {number} large" for number in range(50)]


def test_a_text_is_annotated_once_in_one_object_and_by_the_next(tmp_path: Path) -> None:
    first, second = Words(), Words()
    memo = remembered(tmp_path, first)
    expected = [graph(report) for report in REPORTS]
    assert memo([*REPORTS, *REPORTS]) == expected * 2 and memo(REPORTS) == expected
    assert remembered(tmp_path, second)(REPORTS[::-1]) == expected[::-1]
    assert sorted(first.given) == sorted(REPORTS) and second.given == []
    assert memo([]) == [] and memo.identity == "words 1"


def test_another_identity_version_or_option_knows_nothing(tmp_path: Path) -> None:
    remembered(tmp_path, version="1")(REPORTS[:1])
    other = Words()
    other.identity = "words 2"
    for memo, inner in (
        (remembered(tmp_path, other, version="1"), other),
        (remembered(tmp_path, two := Words(), version="2"), two),
        (remembered(tmp_path, three := Words(), version="1", options={"depth": 2}), three),
    ):
        memo(REPORTS[:1])
        assert inner.given == REPORTS[:1]
    assert len(entries(tmp_path)) == 4


def test_texts_with_one_normal_form_are_one_text(tmp_path: Path) -> None:
    inner = Lowered()
    memo = remembered(tmp_path, inner)
    assert memo(["The Heart", "the heart"]) == [graph("the heart")] * 2
    memo(["THE HEART"])
    assert inner.given == ["the heart"]


def test_credentialed_texts_lie_apart_and_open_steps_do_not_see_them(tmp_path: Path) -> None:
    remembered(tmp_path)(REPORTS[:2])
    closed = Words()
    remembered(tmp_path, closed, "credentialed")(REPORTS[:4])
    assert sorted(closed.given) == REPORTS[2:4]  # what is open may be read by anybody
    opened = Words()
    remembered(tmp_path, opened)(REPORTS[:4])
    assert sorted(opened.given) == REPORTS[2:4]
    assert [path.parent.name for path in entries(tmp_path)] == ["credentialed", "open"]


def test_a_damaged_entry_is_made_anew_and_the_others_are_kept(tmp_path: Path) -> None:
    remembered(tmp_path)(REPORTS)
    (path,) = entries(tmp_path)
    lines = path.read_bytes().split(b"\n")
    good = [number for number, line in enumerate(lines) if line]
    lines[good[3]] = lines[good[3]].replace(b"large", b"small")
    lines[good[7]] = lines[good[7]][:150]
    lines[good[9]] = b"x" + lines[good[9]]
    path.write_bytes(b"\n".join(lines))
    inner = Words()
    assert remembered(tmp_path, inner)(REPORTS) == [graph(report) for report in REPORTS]
    assert len(inner.given) == 3
    again = Words()
    remembered(tmp_path, again)(REPORTS)
    assert again.given == []


def test_a_line_that_was_broken_off_spoils_no_other(tmp_path: Path) -> None:
    memo = remembered(tmp_path)
    memo(REPORTS[:2])
    (path,) = entries(tmp_path)
    path.write_bytes(path.read_bytes()[:-30])
    memo(REPORTS[2:4])
    inner = Words()
    remembered(tmp_path, inner)(REPORTS[:4])
    assert len(inner.given) == 1


@pytest.mark.parametrize("size", [0, 1, 100])
def test_a_memo_that_is_deleted_or_emptied_under_a_worker_is_begun_anew(tmp_path: Path, size: int) -> None:
    inner = Words()
    memo = remembered(tmp_path, inner)
    memo(REPORTS)
    (path,) = entries(tmp_path)
    if size:
        path.write_bytes(path.read_bytes()[:size])
    else:
        path.unlink()
    assert memo(REPORTS) == [graph(report) for report in REPORTS] and len(inner.given) == 2 * len(REPORTS)
    assert memo(REPORTS) == [graph(report) for report in REPORTS] and len(inner.given) == 2 * len(REPORTS)


def test_a_memo_that_cannot_be_written_costs_time_only(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "open").write_text("a file stands where the folder should")
    assert remembered(tmp_path)(REPORTS) == [graph(report) for report in REPORTS]
    assert "annotations are not kept" in caplog.text


def test_what_was_made_before_an_annotator_fails_is_kept(tmp_path: Path) -> None:
    class Fails(Words):
        def __call__(self, reports: Sequence[str]) -> list[ReportGraph]:
            if len(self.given) >= 16:
                raise RuntimeError("out of memory")
            return super().__call__(reports)

    failing, inner = Fails(), Words()
    with pytest.raises(RuntimeError):
        remembered(tmp_path, failing)(REPORTS)
    remembered(tmp_path, inner)(REPORTS)
    assert sorted(failing.given + inner.given) == sorted(REPORTS) and len(failing.given) == 16


@pytest.mark.parametrize(
    ("gives", "told"),
    [
        ([], "got 0; expected one for each of 2 reports"),
        ([graph("a"), None], "a graph cannot be kept"),
        ([graph("a"), ReportGraph("b", (Entity("b", "OBS-DP", "x", 1),))], "a graph cannot be kept"),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_graph_is_told_with_the_annotators_name(tmp_path: Path, gives: list[Any], told: str) -> None:
    class Odd(Words):
        def __call__(self, reports: Sequence[str]) -> list[ReportGraph]:
            return gives

    with pytest.raises(PluginError, match=f"annotator Odd: .*{told}"):
        remembered(tmp_path, Odd())(["a", "b"])


_ODD = st.text(st.characters(), max_size=30)


@settings(max_examples=60, deadline=None)
@given(st.lists(_ODD, max_size=6), _ODD)
def test_any_text_comes_back_as_it_was(tmp_path_factory: pytest.TempPathFactory, texts: list[str], label: str) -> None:
    class Odd(Words):
        def __call__(self, reports: Sequence[str]) -> list[ReportGraph]:
            return [ReportGraph(report, (Entity(report, label, 0, 2, ((label, 0),)),)) for report in reports]

    folder = tmp_path_factory.mktemp("memo")
    expected = Odd()(texts)
    for _ in range(2):
        assert remembered(folder, Odd())(texts) == expected


def test_memory_holds_places_and_no_graphs(tmp_path: Path) -> None:
    memo = remembered(tmp_path)
    memo([f"{report} {'word ' * 200}" for report in REPORTS])
    (file,) = memo._files
    assert len(file._places) == 50 and all(isinstance(place, tuple) for place in file._places.values())
    assert entries(tmp_path)[0].stat().st_size > 400_000


_WORKER = """
import sys, json, time
from pathlib import Path
from rrgbench import Entity, ReportGraph
from rrgbench.memo import Remembered
given = []
class Slow:
    identity = "slow 1"
    def __call__(self, reports):
        given.extend(reports)
        time.sleep(0.002 * len(reports))
        return [ReportGraph(r, tuple(Entity(w, "OBS-DP", n, n) for n, w in enumerate(r.split()))) for r in reports]
sys.stdin.readline()
memo = Remembered(Slow(), {"name": "slow"}, Path(sys.argv[1]), "open", lambda *told: None)
graphs = memo([f"report {n} " + "long " * 300 for n in range(int(sys.argv[2]))])
print(json.dumps([len(given), [len(g.entities) for g in graphs]]))
"""


@pytest.mark.heavy
def test_two_processes_share_one_memo_and_the_work(tmp_path: Path) -> None:
    count = 400
    command = [sys.executable, "-c", _WORKER, str(tmp_path), str(count)]
    workers = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    told = [json.loads(worker.communicate(timeout=120)[0]) for worker in workers]
    assert all(lengths == [302] * count for _, lengths in told)
    (path,) = entries(tmp_path)
    whole = [line for line in path.read_bytes().split(b"\n") if line]
    assert all(line.count(b"report ") == 1 for line in whole), "two writes were mixed"
    assert len(whole) == sum(given for given, _ in told) < 2 * count, "both did all of the work"
    inner = Words()
    inner.identity = "slow 1"
    again = Remembered(inner, {"name": "slow"}, tmp_path, "open", quiet)
    again([f"report {number} " + "long " * 300 for number in range(count)])
    assert inner.given == []
