"""Dotted paths into an experiment: reading, and setting without changing the original."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rrgbench.catalogue import did_you_mean
from rrgbench.errors import ConfigError


def get_path(tree: Any, path: str) -> Any:
    """The value at a dotted path; a component written as a name has that name at ``.name``; None where nothing is."""
    for part in path.split("."):
        if isinstance(tree, str) and part == "name":
            continue
        if not isinstance(tree, Mapping):
            return None
        tree = tree.get(part)
    return tree


def set_path(tree: Any, path: str, value: Any, where: str) -> Any:
    """A copy of the tree with the value at a dotted path; ``fusion: concat`` opens to ``{name: concat}`` on the way.

    Raises:
        ConfigError: the path leads through something that has no inside.
    """
    head, _, rest = path.partition(".")
    if not head:
        raise ConfigError(where, got=repr(path), expected="a dotted path like decoder.layers")
    if isinstance(tree, str):
        tree = {"name": tree}
    if not isinstance(tree, Mapping):
        raise ConfigError(f"{where}: {path} leads into {tree!r}, which has no inside", hint="give the value above it first")
    if rest and head not in tree:
        raise ConfigError(f"{where}: nothing at {head!r}", hint=did_you_mean(head, list(map(str, tree))))
    inner = set_path(tree.get(head), rest, value, where) if rest else value
    return {**tree, head: inner}
