"""What is installed: entry points without their code, described in child processes, once for as long as nothing changes."""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from rrgbench.catalogue.content import PUBLIC_ROOMS
from rrgbench.catalogue.describe import Described, Description, stamp
from rrgbench.catalogue.hints import summary
from rrgbench.hookspecs import GROUP
from rrgbench.identity import digest

_DESCRIBE_SECONDS = 300
_AT_ONCE = 2

Points = tuple[importlib.metadata.EntryPoint, ...]


def cache_folder() -> Path:
    """Where described plugins are kept: $RRGBENCH_CACHE, else the user's cache folder."""
    base = os.environ.get("RRGBENCH_CACHE")
    return Path(base) if base else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rrgbench"


def normal(distribution: str) -> str:
    """A distribution's name as package indexes compare it: ``My_Plugin`` is ``my-plugin``."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def _listed(variable: str) -> frozenset[str] | None:
    """The entries of a list in the environment: distributions, or ``distribution/entry point``."""
    text = os.environ.get(variable)
    if text is None:
        return None
    parts = [part.strip().partition("/") for part in text.split(",") if part.strip()]
    return frozenset(normal(distribution) + slash + point for distribution, slash, point in parts)


def _allowed(distribution: str, entry_point: str) -> bool:
    """Block and allow lists are read before any import."""
    names = {normal(distribution), f"{normal(distribution)}/{entry_point}"}
    only, blocked = _listed("RRGBENCH_PLUGINS"), _listed("RRGBENCH_DISABLE_PLUGINS") or frozenset()
    return (only is None or bool(names & only)) and not names & blocked


@dataclass(frozen=True)
class _Installed:
    """A distribution that offers something, with its allowed entry points; ``error`` where these cannot be read."""

    name: str
    version: str
    place: str
    points: Points
    error: str = ""

    def broken(self, error: str) -> list[Described]:
        return [
            Described(
                distribution=self.name,
                distribution_version=self.version,
                entry_point=point.name,
                module=point.value,
                error=error,
            )
            for point in self.points
        ]


def _find(distribution: importlib.metadata.Distribution) -> _Installed:
    place = str(distribution.locate_file(""))
    name, version = distribution.metadata["Name"], distribution.metadata["Version"]
    try:
        points = [point for point in distribution.entry_points if point.group == GROUP]
    except (TypeError, ValueError) as error:
        unknown = importlib.metadata.EntryPoint("?", "?", GROUP)
        reason = f"its entry_points.txt in {place} cannot be read: {error}"
        return _Installed(name or "?", version or "?", place, (unknown,), reason)
    allowed = tuple(sorted((p for p in points if name and _allowed(name, p.name)), key=lambda point: point.name))
    return _Installed(name or "?", version or "?", place, allowed)


def _found() -> list[_Installed]:
    """Every distribution with an allowed entry point; of two of one name the one that Python finds first."""
    found: dict[str, _Installed] = {}
    for distribution in importlib.metadata.distributions():
        one = _find(distribution)
        if one.points and (not one.error or _allowed(one.name, "?")):
            found.setdefault(normal(one.name), one)
    return list(found.values())


def _surroundings() -> str:
    """Changes whenever something is installed or removed, and when the platform reads plugins in another way."""
    home = Path(__file__).parent.parent
    public = (room.removeprefix("rrgbench.") for room in PUBLIC_ROOMS)  # they count in content versions
    rooms = ("types", "interfaces", "hookspecs", "identity", "catalogue", *public)
    files = sorted({path for room in rooms for path in (*home.glob(f"{room}.py"), *(home / room).rglob("*.py"))})
    folders = [Path(folder or ".") for folder in sys.path]
    infos = [sorted(path.name for path in folder.glob("*.*-info")) for folder in folders if folder.is_dir()]
    return digest([sys.version, sys.executable, infos, [[str(path), *stamp(path)] for path in files]])


def _cache_file(one: _Installed, surroundings: str) -> Path:
    points = [[point.name, point.value] for point in one.points]
    known = digest([one.version, one.place, points, surroundings])[:16]
    return cache_folder() / "plugins" / normal(one.name) / f"{known}.json"


def _read(path: Path) -> Description | None:
    """A kept description, if it is whole and the files are as they were."""
    try:
        kept = Description.model_validate_json(path.read_bytes())
        changed = any(stamp(Path(file)) != was for file, was in kept.files.items())
    except (OSError, ValidationError):
        return None
    return None if changed else kept


def _write(path: Path, description: Description) -> None:
    """Keep a description; where nothing can be kept, the next command describes again."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            draft = Path(folder) / path.name
            draft.write_text(description.model_dump_json(), encoding="utf-8")
            draft.replace(path)
    except OSError:  # a read-only home costs time, nothing else
        pass


def _run_child(one: _Installed, points: Points) -> Description | str:
    """Import in a process of its own: what it gives, or how it ended. Whatever it leaves behind holds nothing of ours open."""
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "stderr").open("w+b") as said:
        out = Path(folder) / "described.json"
        names = [point.name for point in points]
        command = [sys.executable, "-P", "-m", "rrgbench.catalogue.describe", one.name, str(out), *names]
        path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                timeout=_DESCRIBE_SECONDS,
                check=False,
                env={**os.environ, "PYTHONPATH": path},
            )
        except subprocess.TimeoutExpired:
            return f"importing it took more than {_DESCRIBE_SECONDS} s"
        try:
            return Description.model_validate_json(out.read_bytes())
        except (OSError, ValidationError):
            said.seek(0)
            lines = said.read().decode(errors="replace").strip().splitlines() or ["nothing"]
            return f"importing it ended the process with {done.returncode}; its last words: {summary(lines[-1])}"


def _describe(one: _Installed) -> Description:
    """Describe a distribution; where that ends the process, each entry point alone, to know the culprit."""
    description = _run_child(one, one.points)
    if isinstance(description, Description):
        return description
    if len(one.points) == 1:
        return Description(records=tuple(one.broken(description)), files={})
    alone = [_describe(_Installed(one.name, one.version, one.place, (point,))) for point in one.points]
    files = {file: was for part in alone for file, was in part.files.items()}
    return Description(records=tuple(record for part in alone for record in part.records), files=files)


def describe_installed(again: bool) -> list[Described]:
    """Every allowed entry point, from what was kept, or described anew where something changed.

    Args:
        again: try the broken ones again: what was wrong may lie outside their files.
    """
    surroundings = _surroundings()

    def one_of(one: _Installed) -> Sequence[Described]:
        if one.error:
            return one.broken(one.error)
        path = _cache_file(one, surroundings)
        kept = _read(path)
        if kept is None or (again and any(record.error for record in kept.records)):
            kept = _describe(one)
            _write(path, kept)
        return kept.records

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return [record for records in pool.map(one_of, _found()) for record in records]
