"""Dotted paths into an experiment: reading, and setting without changing the original."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rrgbench.catalogue import did_you_mean
from rrgbench.errors import ConfigError


class _Absent:
    """The type of ``ABSENT``."""

    def __repr__(self) -> str:
        return "nothing"


ABSENT: Final = _Absent()
"""What is at a path where nothing is: not the same as null."""


def get_path(tree: Any, path: str) -> Any:
    """The value at a dotted path; a component written as a name has that name at ``.name``; ``ABSENT`` where nothing is."""
    for part in path.split("."):
        if isinstance(tree, str) and part == "name":
            continue
        if not isinstance(tree, Mapping) or part not in tree:
            return ABSENT
        tree = tree[part]
    return tree


def set_path(tree: Any, path: str, value: Any, where: str) -> Any:
    """A copy of the tree with the value at a dotted path; ``fusion: concat`` opens to ``{name: concat}`` on the way.

    What is not there yet is made: whoever reads the tree says what has no place in it. Only the names of stages are free,
    so that a misspelt one would be one more stage.

    Raises:
        ConfigError: the path leads through something that has no inside, or a stage that is not there.
    """
    parts = path.split(".")
    if not all(parts):
        raise ConfigError(where, got=repr(path), expected="a dotted path like decoder.layers")
    return _set(tree, parts, 0, value, where)


def _set(tree: Any, parts: list[str], place: int, value: Any, where: str) -> Any:
    if place == len(parts):
        return value
    head, above = parts[place], ".".join(parts[:place])
    if isinstance(tree, str):
        tree = {"name": tree}
    if not isinstance(tree, Mapping):
        got = f"{tree!r} at {above!r}" if above else repr(tree)
        raise ConfigError(
            f"{where}: {'.'.join(parts)} leads into what has no inside", got=got, hint="give the value above it first"
        )
    if head not in tree and parts[place - 1 : place] == ["stages"] and place + 1 < len(parts):
        hint = did_you_mean(head, list(map(str, tree)))
        raise ConfigError(f"{where}: nothing at {'.'.join(parts[: place + 1])!r}", hint=hint)
    return {**tree, head: _set(tree.get(head, {}), parts, place + 1, value, where)}
