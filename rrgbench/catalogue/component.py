"""A chosen component with every option filled in: its identity for ids, and its request form for workers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from rrgbench.errors import ConfigError
from rrgbench.identity import file_digest


@cache
def _digest(path: Path, size: int, changed: int) -> str:
    """A file's digest, computed once for as long as the file is as it was: weights are large and many cells share them."""
    return file_digest(path)


def _content(path: Path) -> str:
    status = path.stat()
    return _digest(path, status.st_size, status.st_mtime_ns)


@dataclass(frozen=True)
class FileOption:
    """An option that names a file or folder: its content counts, its place does not."""

    path: Path

    def content(self) -> str:
        """SHA-256 over the file, or over the names and bytes of the files of the folder."""
        if self.path.is_file():
            return _content(self.path)
        summary = hashlib.sha256()
        files = {path.relative_to(self.path).as_posix(): path for path in self.path.rglob("*") if path.is_file()}
        for name, file in sorted(files.items()):
            summary.update(f"{name}\0{_content(file)}\0".encode("utf-8", "surrogateescape"))
        return summary.hexdigest()


@dataclass(frozen=True)
class Component:
    """A component that an experiment chose. ``options`` holds JSON data, ``FileOption`` and nested components."""

    kind: str
    name: str
    distribution: str
    entry_point: str
    version: str
    values: tuple[str, ...]
    attributes: Mapping[str, Any]
    options: Mapping[str, Any]

    def identity(self) -> dict[str, Any]:
        """What counts in ids: who it is, its content version and every option; defaults are spelled out."""
        return {
            "kind": self.kind,
            "name": self.name,
            "distribution": self.distribution,
            "version": self.version,
            "options": {key: _identity(value) for key, value in self.options.items()},
        }

    def request(self) -> dict[str, Any]:
        """What a worker needs to build it."""
        return {
            "$component": {
                "kind": self.kind,
                "name": self.name,
                "distribution": self.distribution,
                "entry_point": self.entry_point,
                "version": self.version,
                "values": list(self.values),
                "options": {key: _request(value) for key, value in self.options.items()},
                "files": {_place(file): file.content() for file in _leaves(self.options) if isinstance(file, FileOption)},
            }
        }

    def asked_values(self) -> frozenset[str]:
        """The platform values that it and the components inside it ask for."""
        return frozenset(self.values).union(*(inner.asked_values() for inner in self.nested()))

    def nested(self) -> Iterator[Component]:
        """The components inside its options."""
        return (value for value in _leaves(self.options) if isinstance(value, Component))


def _map(value: Any, component: Any, file: Any) -> Any:
    if isinstance(value, Component):
        return component(value)
    if isinstance(value, FileOption):
        return file(value)
    if isinstance(value, Mapping):
        return {key: _map(item, component, file) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_map(item, component, file) for item in value]
    return value


def _identity(value: Any) -> Any:
    return _map(value, lambda inner: inner.identity(), lambda file: {"sha256": file.content()})


def _place(file: FileOption) -> str:
    return str(file.path.resolve())


def _request(value: Any) -> Any:
    return _map(value, lambda inner: inner.request(), _place)


def _leaves(value: Any) -> Iterator[Any]:
    """What stands in an option's value, without looking into components."""
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _leaves(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _leaves(item)
    else:
        yield value


def existing_path(text: str, where: str) -> FileOption:
    """A path option that names something.

    Raises:
        ConfigError: there is no file or folder.
    """
    try:
        path = Path(text).expanduser()
        there = path.is_file() or path.is_dir()
    except (ValueError, RuntimeError):  # a NUL in it; a home that nobody has
        there = False
    if not there:
        raise ConfigError(where, got=repr(text), expected="an existing file or folder")
    return FileOption(path)
