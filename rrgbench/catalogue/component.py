"""A chosen component with every option filled in: its identity for ids, and its request form for workers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from rrgbench.errors import ConfigError
from rrgbench.identity import file_digest


@dataclass(frozen=True)
class FileOption:
    """An option that names a file or folder: its content counts, its place does not."""

    path: Path

    def content(self) -> str:
        """SHA-256 over the file, or over the names and bytes of the files of the folder."""
        if self.path.is_file():
            return file_digest(self.path)
        summary = hashlib.sha256()
        for file in sorted(path for path in self.path.rglob("*") if path.is_file()):
            summary.update(f"{file.relative_to(self.path).as_posix()}\0{file_digest(file)}\0".encode())
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
            }
        }

    def asked_values(self) -> frozenset[str]:
        """The platform values that it and the components inside it ask for."""
        return frozenset(self.values).union(*(inner.asked_values() for inner in self.nested()))

    def nested(self) -> Iterator[Component]:
        """The components inside its options."""
        for value in self.options.values():
            yield from _nested(value)

    def words(self) -> str:
        """The component for people: its name."""
        return self.name


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


def _request(value: Any) -> Any:
    return _map(value, lambda inner: inner.request(), lambda file: str(file.path.resolve()))


def _nested(value: Any) -> Iterator[Component]:
    if isinstance(value, Component):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _nested(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _nested(item)


def existing_path(text: str, where: str) -> FileOption:
    """A path option that names something.

    Raises:
        ConfigError: nothing is there.
    """
    path = TypeAdapter(Path).validate_python(text).expanduser()
    if not path.exists():
        raise ConfigError(where, got=text, expected="an existing file or folder")
    return FileOption(path)
