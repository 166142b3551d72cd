"""Errors are one line: what, got, expected, hint; they cannot draw on a terminal, and many come as one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rrgbench.errors import ConfigError, DataError, ManyErrors, PluginError, RRGBenchError, StoreError, collect, placed


def test_an_error_says_what_got_expected_and_hint() -> None:
    assert str(ConfigError("a.b")) == "a.b"
    assert str(ConfigError("a.b", got=3)) == "a.b; got 3"
    assert str(ConfigError("a.b", got=0, expected=1, hint="try 1")) == "a.b; got 0; expected 1. Hint: try 1"
    assert str(ConfigError("a.b", expected="")) == "a.b; expected "


@given(st.text(), st.text(), st.text(), st.text())
def test_whatever_stands_in_it_is_one_printable_line(what: str, got: str, expected: str, hint: str) -> None:
    line = str(DataError(what, got=got, expected=expected, hint=hint))
    assert line.isprintable()
    assert "\n" not in line
    line.encode()


def test_a_terminal_s_commands_and_endless_values_are_harmless() -> None:
    line = str(DataError("study \x1b[2J\r\nx", got="\x1b]0;title\x07" + "y" * 10_000))
    assert "\x1b" not in line
    assert "\x07" not in line
    assert len(line) < 400


def test_many_are_told_once_each_and_one_is_itself() -> None:
    one, two, again = ConfigError("one"), StoreError("two"), ConfigError("one")
    collect([])
    with pytest.raises(ConfigError, match=r"^one$"):
        collect([one, again])
    with pytest.raises(ManyErrors) as caught:
        collect([one, ManyErrors([two, again]), ManyErrors([one])])
    assert set(caught.value.errors) <= {one, two, again}
    assert str(caught.value) == "2 mistakes: one | two"
    assert isinstance(caught.value, RRGBenchError)


def test_a_mistake_keeps_its_kind_and_parts_when_its_place_is_added() -> None:
    error = placed(PluginError("fusion: x", got=1, expected=2, hint="h"), "file.yaml: base.")
    assert type(error) is PluginError
    assert str(error) == "file.yaml: base.fusion: x; got 1; expected 2. Hint: h"
    many = placed(ManyErrors([ConfigError("a"), ManyErrors([DataError("b", got=3)])]), "f: ")
    assert isinstance(many, ManyErrors)
    assert [str(one) for one in many.errors] == ["f: a", "1 mistakes: f: b; got 3"]
