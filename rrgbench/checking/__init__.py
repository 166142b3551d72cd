"""Whether the files of a data set are right: it is read as a run would read it, and told with every number that says something.

The data set is read in a child process, as everywhere in the question wing; nothing is kept. No report and no context is ever
told, only numbers about them: a data set may be credentialed.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from pydantic import ValidationError

from rrgbench.catalogue import Component
from rrgbench.checking.numbers import Checked, Finding
from rrgbench.data import errors_from, find_root
from rrgbench.errors import DataError, collect

__all__ = ["Checked", "Finding", "Progress", "check"]

Progress = Callable[[int, int], None]
"""Told how many films are opened, and of how many."""


def check(component: Component, root: Path | None, *, films: bool = True, progress: Progress | None = None) -> Checked:
    """Read a data set and look at everything of it.

    Args:
        component: the data set with its options.
        root: its folder, where it asks for one and ``RRGBENCH_DATA`` does not hold it.
        films: open every film.
        progress: told of the films that are opened.

    Raises:
        ConfigError: there is no folder, or an option is wrong.
        DataError: the data set ended without a word of its own. What is wrong with its files is in ``findings``.
    """
    folder = find_root(component, root)
    with tempfile.TemporaryDirectory(prefix="rrgbench-check-") as scratch:
        out, said = Path(scratch) / "checked.json", Path(scratch) / "stderr"
        request = {
            "component": component.request(),
            "root": str(folder) if folder else None,
            "cache_dir": str(Path(scratch) / "made"),
            "license": component.attributes["license"],
            "films": films,
            "out": str(out),
        }
        command = [sys.executable, "-P", "-m", "rrgbench.checking.child"]
        with said.open("wb") as stderr, subprocess.Popen(command, stdin=-1, stdout=-1, stderr=stderr, text=True) as child:
            assert child.stdin is not None and child.stdout is not None
            try:
                with contextlib.suppress(BrokenPipeError):  # it ended before it read; what it said is told below
                    child.stdin.write(json.dumps(request))
                    child.stdin.close()
                for line in child.stdout:
                    done, _, total = line.strip().partition("/")
                    if progress is not None and done.isdecimal() and total.isdecimal():
                        progress(int(done), int(total))
            except BaseException:
                child.kill()
                raise
        try:
            told = json.loads(out.read_text(encoding="utf-8"))
            if "mistakes" in told:
                collect(errors_from(told["mistakes"]))
            return Checked.model_validate(told)
        except (OSError, ValueError, ValidationError) as error:
            last = (said.read_text(errors="replace").strip().splitlines() or [f"exit {child.returncode}"])[-1]
            raise DataError(f"data set {component.name} could not be read", got=last) from error
