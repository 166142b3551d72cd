"""Names -> what is installed. Reads the cache of described plugins; a distribution that changed is described again in a child."""

from __future__ import annotations

import difflib
import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from rrgbench.catalogue.component import Component
from rrgbench.catalogue.describe import Described
from rrgbench.catalogue.schema import Spec
from rrgbench.errors import ConfigError, PluginError
from rrgbench.hookspecs import GROUP
from rrgbench.identity import digest
from rrgbench.interfaces import KINDS

_DESCRIBE_SECONDS = 300
_RECORDS = TypeAdapter(list[Described])


def cache_folder() -> Path:
    """Where described plugins are kept: $RRGBENCH_CACHE, else the user's cache folder."""
    base = os.environ.get("RRGBENCH_CACHE")
    return Path(base) if base else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rrgbench"


def _listed(variable: str) -> frozenset[str] | None:
    text = os.environ.get(variable)
    return None if text is None else frozenset(part.strip() for part in text.split(",") if part.strip())


def _allowed(distribution: str, entry_point: str) -> bool:
    """Block and allow lists hold distributions or ``distribution/entry point``; they are read before any import."""
    names = {distribution, f"{distribution}/{entry_point}"}
    only, blocked = _listed("RRGBENCH_PLUGINS"), _listed("RRGBENCH_DISABLE_PLUGINS") or frozenset()
    return (only is None or bool(names & only)) and not names & blocked


def _package_files(module: str) -> list[Path]:
    """The Python files of the top-level package that an entry point names, found without importing it."""
    spec = importlib.util.find_spec(module.partition(":")[0].partition(".")[0])
    if spec is None:
        return []
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
    files = [path for folder in folders for path in folder.rglob("*.py")]
    return files or ([Path(spec.origin)] if spec.origin and Path(spec.origin).is_file() else [])


def _platform_files() -> list[Path]:
    home = Path(__file__).parent.parent
    rooms = ("interfaces", "hookspecs", "catalogue", "nn", "text")
    return [path for room in rooms for path in (*home.glob(f"{room}.py"), *(home / room).rglob("*.py"))]


def _state(distribution: importlib.metadata.Distribution, points: Sequence[importlib.metadata.EntryPoint]) -> str:
    """Changes whenever the files of a distribution, or how the platform reads them, change."""
    files = {path for point in points for path in _package_files(point.value)} | set(_platform_files())
    stats = [(str(path), (stat := path.stat()).st_size, stat.st_mtime_ns) for path in sorted(files)]
    entry = [(point.name, point.value) for point in points]
    return digest([distribution.name, distribution.version, sys.version, sys.executable, entry, stats])


def _run_child(distribution: str) -> tuple[list[Described], str]:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "described.json"
        command = [sys.executable, "-m", "rrgbench.catalogue.describe", distribution, str(out)]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, errors="replace", timeout=_DESCRIBE_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            return [], f"importing it took more than {_DESCRIBE_SECONDS} s"
        try:
            return _RECORDS.validate_json(out.read_bytes()), ""
        except (OSError, ValidationError):
            last = done.stderr.strip().splitlines()[-1:] or ["nothing"]
            return [], f"importing it ended the process with {done.returncode}: {last[0]}"


def _described(distribution: importlib.metadata.Distribution, points: Sequence[importlib.metadata.EntryPoint]) -> list[Described]:
    cached = cache_folder() / "plugins" / f"{_state(distribution, points)}.json"
    try:
        return _RECORDS.validate_json(cached.read_bytes())
    except (OSError, ValidationError):
        pass
    records, error = _run_child(distribution.name)
    if error:
        return [
            Described(
                distribution=distribution.name,
                distribution_version=distribution.version,
                entry_point=point.name,
                module=point.value,
                error=error,
            )
            for point in points
        ]
    try:
        cached.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=cached.parent, delete=False, encoding="utf-8") as file:
            json.dump([record.model_dump(mode="json") for record in records], file)
        Path(file.name).replace(cached)
    except OSError:  # a read-only home costs time, nothing else
        pass
    return records


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """A hint for a name that is not there."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    listed = ", ".join(sorted(known)) or "nothing"
    return f"did you mean {close[0]!r}? Known: {listed}" if close else f"known: {listed}"


@dataclass(frozen=True)
class Catalogue:
    """Everything that is installed: the described entry points and their components by kind and name."""

    records: tuple[Described, ...]
    specs: Mapping[str, Mapping[str, tuple[Spec, ...]]] = field(repr=False)

    @classmethod
    def load(cls) -> Catalogue:
        """Read the entry points and their cached descriptions; describe what is new or changed."""
        records: list[Described] = []
        seen: set[str] = set()
        for distribution in importlib.metadata.distributions():
            points = sorted((p for p in distribution.entry_points if p.group == GROUP), key=lambda point: point.name)
            if not points or distribution.name in seen:
                continue
            seen.add(distribution.name)
            allowed = [point for point in points if _allowed(distribution.name, point.name)]
            names = {point.name for point in allowed}
            if allowed:
                records += [record for record in _described(distribution, points) if record.entry_point in names]
        return cls.of(sorted(records, key=lambda record: (record.distribution, record.entry_point)))

    @classmethod
    def of(cls, records: Sequence[Described]) -> Catalogue:
        """A catalogue of these records."""
        specs: dict[str, dict[str, tuple[Spec, ...]]] = {kind: {} for kind in KINDS}
        for record in records:
            for spec in record.specs:
                specs[spec.kind][spec.name] = (*specs[spec.kind].get(spec.name, ()), spec)
        return cls(tuple(records), specs)

    def find(self, kind: str, name: str, where: str) -> Spec:
        """The component of that name; ``distribution/name`` always works.

        Raises:
            ConfigError: no such component; the installed ones and the broken plugins are named.
            PluginError: two distributions offer it.
        """
        distribution, _, short = name.rpartition("/")
        offered = [s for s in self.specs[kind].get(short, ()) if not distribution or s.distribution == distribution]
        if len(offered) > 1:
            names = " and ".join(f"{spec.distribution}/{spec.name}" for spec in offered)
            raise PluginError(f"{where}: {name!r} is offered twice, by {names}", hint=f"write one of {names}")
        if offered:
            return offered[0]
        broken = [f"{r.distribution}/{r.entry_point}" for r in self.records if r.error]
        more = f". Broken plugins: {', '.join(broken)} (rrgbench plugins list)" if broken else ""
        hint = did_you_mean(short, list(self.specs[kind])) + more
        raise ConfigError(f"{where}: no {kind} component of that name", got=repr(name), hint=hint)

    def resolve(self, kind: str, value: Any, where: str) -> Component:
        """What an experiment says (a name, or a mapping with ``name`` and options) as a component with every option filled in.

        Raises:
            ConfigError, ManyErrors, PluginError: unknown names, unknown options, wrong types.
        """
        from rrgbench.catalogue.options import fill_options

        if isinstance(value, str):
            value = {"name": value}
        if not isinstance(value, Mapping) or not isinstance(value.get("name"), str):
            raise ConfigError(where, got=repr(value), expected=f"the name of a {kind} component, or a mapping with `name`")
        spec = self.find(kind, value["name"], where)
        given = {key: item for key, item in value.items() if key != "name"}
        return Component(
            kind=kind,
            name=spec.name,
            distribution=spec.distribution,
            entry_point=spec.entry_point,
            version=spec.version,
            values=spec.values,
            attributes=spec.attributes,
            options=fill_options(self, spec, given, where),
        )
