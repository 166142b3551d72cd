"""Names of files inside a folder."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path, PurePosixPath

from rrgbench import ConfigError, DataError

_MOST = 1000


def inside(where: str, name: str, error: type[ConfigError] | type[DataError] = DataError) -> PurePosixPath:
    """A name as a path inside the folder that it is relative to.

    Args:
        where: the field or the option that holds the name.
        name: as it stands there.
        error: ``ConfigError`` where it is an option.

    Raises:
        ConfigError, DataError: it is absolute, leads outside, is no name of a file, or not written as paths are.
    """
    path = PurePosixPath(name)
    plain = name.isprintable() and "\\" not in name and len(name) <= _MOST and bool(path.name)
    if not plain or path.is_absolute() or ".." in path.parts:
        expected = "a path inside the folder, with forward slashes and without '..'"
        raise error(where, got=repr(name[:200]), expected=expected)
    return path


def first_file(root: Path, names: Collection[str]) -> Path | None:
    """The first of these files that is in the root."""
    return next((root / name for name in names if (root / name).is_file()), None)
