"""What an experiment file may say in YAML, and how what it may not say is told."""

from __future__ import annotations

import importlib.util
import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rrgbench.errors import ConfigError
from rrgbench.experiment import Experiment
from rrgbench.experiment.yaml import parse_yaml, read_yaml

_spec = importlib.util.spec_from_file_location("rrgbench_toy_catalogue", Path(__file__).with_name("toy_catalogue.py"))
toy = sys.modules.setdefault("rrgbench_toy_catalogue", importlib.util.module_from_spec(_spec))
if not hasattr(toy, "tiny"):
    _spec.loader.exec_module(toy)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("1.", 1.0),
        (".5", 0.5),
        ("-3", -3),
        ("012", 12),
        ("0o7", "0o7"),
        ("0x10", "0x10"),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("no", "no"),
        ("on", "on"),
        ("y", "y"),
        ("true", True),
        ("False", False),
        ("TRUE", "TRUE"),
        ("null", None),
        ("~", None),
        ("2024-01-01", "2024-01-01"),
        (".inf", ".inf"),
        (".nan", ".nan"),
        ('"\\ud83d\\ude00"', "\N{GRINNING FACE}"),
        ("[]", []),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text: str, value: Any) -> None:
    found = parse_yaml(f"key: {text}", "t")["key"]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        ("a: 1\nb: 2\na: 3", 3, "the key 'a' stands twice"),
        ("a:\n  b: 1\n  b: 1", 3, "the key 'b' stands twice"),
        ("1: a", 1, "the key 1 is not a word"),
        ("~: a", 1, "the key None is not a word"),
        ("? [a]\n: b", 1, "is not a word"),
        ("a: 1\nb: !!python/object/apply:os.system [ls]", 2, "tag"),
        ("a: !anything x", 1, "tag"),
        ("a: !!binary aGk=", 1, "tag"),
        ("a: !!set {x}", 1, "tag"),
        ("a: !!int five", 1, "'five' is not a number"),
        ("a: 1\n\nb: 1e400", 3, "'1e400' is too large"),
        ("a: 9" + "9" * 5000, 1, "is not a number"),
        ("a: &x [*x]", 1, "an anchor that holds itself"),
        ("a: &x {b: *x}", 1, "an anchor that holds itself"),
        ("a: *nobody", 1, "undefined alias"),
        ("a:\n\t- b", 2, "cannot start any token"),
        ("a: b\n---\nc: d", 2, "another document"),
        ("a: [1", 1, "expected"),
        ('a: "\\ud800"', 1, "half a character"),
        ("[" * 70 + "]" * 70, 1, "deeper than 60 levels"),
    ],
)
def test_what_yaml_may_not_say_is_told_with_its_line(text: str, line: int, told: str) -> None:
    with pytest.raises(ConfigError, match=f"^t, line {line}: not readable as YAML") as caught:
        parse_yaml(text, "t")
    assert told in str(caught.value)


def test_aliases_and_merges_work_and_a_mapping_s_own_keys_win() -> None:
    text = "a: &a {x: 1, y: 2}\nb: {<<: *a, x: 3}\nc: *a\n"
    assert parse_yaml(text, "t") == {"a": {"x": 1, "y": 2}, "b": {"x": 3, "y": 2}, "c": {"x": 1, "y": 2}}


def test_a_few_lines_of_aliases_cannot_grow_beyond_measure() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    began = time.monotonic()
    with pytest.raises(ConfigError, match="more than 100000 values"):
        parse_yaml("\n".join(lines), "t")
    assert time.monotonic() - began < 5


def test_thousands_of_brackets_are_one_line() -> None:
    with pytest.raises(ConfigError, match="too many levels"):
        parse_yaml("[" * 3000, "t")


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet="ab:-[]{}&*!<>|%@`'\"#,? \n\t0159.e~\\ux\x00\ud800é", max_size=40))
def test_any_text_is_data_or_one_line(text: str) -> None:
    try:
        parse_yaml(text, "t")
    except ConfigError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "expected a mapping"),
        (b"- a\n", "list; expected a mapping"),
        (b"just words", "str; expected a mapping"),
        (b"a: 1\nb: \xff", "line 2: not UTF-8 text; got byte 0xff"),
        ("a: \N{GRINNING FACE}".encode("utf-16"), "not UTF-8 text"),
        (b"a: \x07", "not readable as YAML"),
        (b"a: " + b"x" * 300_000, "too large"),
    ],
)
def test_a_file_that_is_no_experiment_names_itself(content: bytes, told: str, tmp_path: Path) -> None:
    path = tmp_path / "question.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        Experiment.load(path)
    assert str(caught.value).startswith(str(path))
    assert told in str(caught.value)


def test_files_that_cannot_be_read_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "near.yaml").touch()
    with pytest.raises(ConfigError, match=r"no such file. Hint: there: near\.yaml"):
        read_yaml(tmp_path / "absent.yaml")
    with pytest.raises(ConfigError, match="cannot be read; got Is a directory"):
        read_yaml(tmp_path)
    with pytest.raises(ConfigError, match="cannot be read; got Not a directory"):
        read_yaml(tmp_path / "near.yaml" / "x.yaml")


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    path = tmp_path / "bom.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(toy.tiny()).encode())
    assert Experiment.load(path).config.name == "tiny"
