"""Files of unknown origin, read in bounds: what every data set shares."""

from __future__ import annotations

import gzip
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rrgbench_datasets import reading
from rrgbench_datasets.reading import files

from rrgbench import ConfigError, DataError


def error(call: Callable[[], Any], kind: type[Exception] = DataError) -> str:
    with pytest.raises(kind) as caught:
        call()
    line = str(caught.value)
    assert "\n" not in line
    return line


def put(path: Path, content: bytes) -> Path:
    path.write_bytes(gzip.compress(content) if path.name.endswith(".gz") else content)
    return path


def rows(path: Path, *columns: str, **options: Any) -> list[tuple[str, dict[str, str]]]:
    found = list(reading.csv_rows(path, columns, **options))
    return [(where.removeprefix(f"{path}: "), row) for where, row in found]


# Bytes and text.


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("number", [0, 1, 700, 5000])
def test_a_wrong_byte_is_told_with_its_line_and_place_however_far_it_stands(
    tmp_path: Path, name: str, mark: bytes, number: int
) -> None:
    lines = ["a,é,b\r\n".encode()] * number
    content = mark + b"a,b,c\n" + b"".join(lines)
    path = put(tmp_path / name, content + b"x,\xe9,y\n")
    told = f"{path}: line {number + 2} is not UTF-8; got byte 0xe9 at offset {len(content) + 2}"
    assert error(lambda: list(reading.csv_rows(path, ("a",)))).startswith(told)
    assert error(lambda: reading.read_text(path)).startswith(told)


@pytest.mark.parametrize("number", [0, 3, 5000])
def test_a_nul_byte_is_told_with_its_line(tmp_path: Path, number: int) -> None:
    path = put(tmp_path / "a.csv", b"a,b\n" * number + b"x\0,y\n")
    told = f"{path}: line {number + 1} is not text; got a NUL byte"
    assert error(lambda: list(reading.csv_rows(path, ()))).startswith(told)
    assert error(lambda: reading.read_text(path)).startswith(told)


def test_a_character_that_is_cut_at_the_end_is_told(tmp_path: Path) -> None:
    path = put(tmp_path / "a.csv", b"a,b\nx,\xc3")
    told = "line 2 is not UTF-8; got byte 0xc3 at offset 6"
    assert told in error(lambda: rows(path, "a"))
    assert told in error(lambda: reading.read_text(path))


def test_what_a_small_file_unpacks_to_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(tmp_path / "a.csv.gz", b"a,b\n" * 100_000)
    monkeypatch.setattr(files, "_UNPACKED", 50_000)
    assert path.stat().st_size < 50_000
    assert "is too large; expected at most 50000 bytes, unpacked" in error(lambda: rows(path, "a"))
    assert "is too large; expected at most 1000 bytes, unpacked" in error(lambda: reading.read_text(path, most=1000))
    assert "is too large; got 9 bytes" in error(lambda: reading.read_text(put(tmp_path / "a.txt", b"123456789"), most=8))


def test_what_is_no_file_is_refused_and_nobody_waits_for_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "pipe cannot be read; got a pipe or a device" in error(lambda: reading.read_text(tmp_path / "pipe"))
    assert "cannot be read; got a folder" in error(lambda: rows(tmp_path, "a"))
    assert error(lambda: reading.read_json(tmp_path / "no", hint="look there")).endswith("Hint: look there")


# CSV.


def test_a_row_is_told_by_the_line_where_it_begins(tmp_path: Path) -> None:
    path = put(tmp_path / "a.csv", b'\n a ,b,c\n1,"x\ny\nz",3\n\n4,5,6\r7,8,9\r\n')
    assert rows(path, "a", "b") == [
        ("line 3", {"a": "1", "b": "x\ny\nz"}),
        ("line 7", {"a": "4", "b": "5"}),
        ("line 8", {"a": "7", "b": "8"}),
    ]
    path.write_bytes(path.read_bytes() + b'"1\n2",3\n')
    assert f"{path}: line 9; got 2 cells; expected 3" in error(lambda: rows(path, "a"))
    path.write_bytes(b'a\n1\n"2\n3\n')
    assert f"{path}: line 3 is not CSV" in error(lambda: rows(path, "a"))


def test_only_the_columns_asked_for_are_read_and_only_they_may_not_stand_twice(tmp_path: Path) -> None:
    path = put(tmp_path / "a.csv", b"a,x,x,f_1,b\n1,2,3,4,5\n")
    assert rows(path, "a", optional=("b", "c"), prefix="f_") == [("line 2", {"a": "1", "f_1": "4", "b": "5"})]
    assert rows(path) == [("line 2", {})]
    for options in ({"columns": ("x",)}, {"columns": (), "optional": ("x",)}, {"columns": (), "prefix": "x"}):
        assert "header; got the column 'x' twice" in error(lambda options=options: list(reading.csv_rows(path, **options)))


def test_a_long_table_is_read_in_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a,b\n" + f"1,{'word ' * 20}\n" * 100_000, encoding="utf-8")
    tracemalloc.start()
    try:
        assert sum(1 for _ in reading.csv_rows(path, ("a", "b"))) == 100_000
        assert tracemalloc.get_traced_memory()[1] < 1 << 21 < path.stat().st_size
    finally:
        tracemalloc.stop()


# JSON.


def test_a_list_of_objects_may_stand_on_one_line_longer_than_a_line_may_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_LINE", 16)
    path = put(tmp_path / "a.json", b' [{"a": 1}, {"a": 2}, {"a": NaN}]')
    found = list(reading.json_objects(path, listed=True, nan=True))
    assert [where for where, _ in found] == [f"{path}: item {place}" for place in range(3)]
    assert [item["a"] for _, item in found][:2] == [1, 2]
    assert "NaN is no JSON" in error(lambda: list(reading.json_objects(path, listed=True)))
    assert "line 1 is too long" in error(lambda: list(reading.json_objects(path)))


def test_lines_of_json_are_told_by_their_numbers_and_blank_ones_are_none(tmp_path: Path) -> None:
    path = put(tmp_path / "a.jsonl.gz", b'\xef\xbb\xbf\n{"a": 1}\n\n[2]\n')
    found = reading.json_objects(path, listed=True)
    assert next(found) == (f"{path}: line 2", {"a": 1})
    assert f"{path}: line 4; got a list; expected an object" in error(lambda: next(found))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "x is empty; expected JSON"),
        (" \n", "x is empty; expected JSON"),
        ('{"a": {"b": 1, "b": 1}}', "x: key 'b' stands twice in one object; expected each key once"),
        ("[" * 50_000, "x is not JSON; got too many levels"),
        ('{"a": ' * 50_000, "x is not JSON; got too many levels"),
        ("9" * 5000, "x is not JSON; got Exceeds the limit"),
        ("{}\n{}", "x is not JSON; got Extra data at line 2, column 1. Hint: the file may be cut short"),
        ('{"a"', "x is not JSON; got Expecting ':' delimiter at character 4"),
        ("-Infinity", "x is not JSON; got -Infinity is no JSON"),
    ],
)
def test_what_is_no_json_is_one_line(text: str, told: str) -> None:
    assert error(lambda: reading.parse_json("x", text)).startswith(told)


# Names, texts and films.


@pytest.mark.parametrize("name", ["", ".", "/a", "..", "a/../b", "a\\b", "a\nb", "a\0", "\ud800", "a" * 1001])
def test_a_name_that_leads_outside_or_is_none_is_refused(name: str) -> None:
    assert error(lambda: reading.inside("x", name)).startswith("x; got ")
    assert error(lambda: reading.inside("option x", name, ConfigError), ConfigError).startswith("option x; got ")


@pytest.mark.parametrize("name", ["a", "a/b.png", "./a", "a..b", "é ü/1.jpg"])
def test_a_name_inside_is_a_path(name: str) -> None:
    assert reading.inside("x", name) == Path(name)


@pytest.mark.parametrize("text", ["a\0b", "\ud800", "x" * ((1 << 17) + 1)])
def test_what_is_no_text_is_refused_and_not_told(text: str) -> None:
    assert text not in error(lambda: reading.checked_text("x", text))


def test_a_film_may_have_another_suffix_and_its_own_comes_first(tmp_path: Path) -> None:
    for name in ("a.png", "a.jpeg", "b.dcm", "c.tar"):
        (tmp_path / name).write_bytes(b"x")
    found = reading.Films(tmp_path, "error")
    names = ("a.jpeg", "a.jpg", "b.png", "b", "c.tar")
    assert [found.find("x", name) for name in names] == [
        tmp_path / name for name in ("a.jpeg", "a.png", "b.dcm", "b.dcm", "c.tar")
    ]
    found.tell()
    assert reading.Films(tmp_path, "drop", suffixes=()).find("x", "a.jpg") is None


def test_missing_films_are_told_together_by_the_first_or_dropped(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"x")
    for missing, tells in (("error", True), ("drop", False)):
        found = reading.Films(tmp_path, missing)  # type: ignore[arg-type]
        assert [found.find(f"study {name}", f"{name}.png") is None for name in "abc"] == [False, True, True]
        assert found.dropped == ["b.png", "c.png"]
        if tells:
            told = (
                f"study b: a film is missing, and 1 more of 3; got no file {tmp_path / 'b.png'}; expected the film, as .jpg, .png"
            )
            assert error(found.tell).startswith(told)
        else:
            found.tell()


@pytest.mark.parametrize("missing", ["error", "drop"])
def test_an_empty_film_is_a_mistake_whatever_may_be_missing(tmp_path: Path, missing: Any) -> None:
    (tmp_path / "a.png").touch()
    (tmp_path / "b.png").mkdir()
    for name in ("a.png", "b.jpg"):
        told = error(lambda name=name: reading.Films(tmp_path, missing).find("study a", name))
        assert told.startswith("study a: film ") and "got an empty file or a folder" in told
