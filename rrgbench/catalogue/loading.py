"""Importing plugins: one try an entry point, the culprit named. Used by the describing child, the worker and event listeners."""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pluggy

from rrgbench import hookspecs
from rrgbench.errors import PluginError
from rrgbench.identity import source_version
from rrgbench.interfaces import KINDS

_PUBLIC_ROOMS = ("rrgbench.nn", "rrgbench.text")
"""Rooms of the platform whose code is part of a component's content version when it imports them."""


@dataclass(frozen=True)
class Plugin:
    """One imported entry point: its module, the hooks it answers and its factories by kind and name."""

    module: ModuleType
    hooks: tuple[str, ...]
    factories: Mapping[str, Mapping[str, Any]]


def _manager() -> pluggy.PluginManager:
    manager = pluggy.PluginManager(hookspecs.GROUP)
    manager.add_hookspecs(hookspecs)
    return manager


def load_plugin(entry_point: importlib.metadata.EntryPoint) -> Plugin:
    """Import one entry point and ask it for its factories.

    Raises:
        PluginError: it cannot be imported, misspells a hook, or answers with something that is not factories.
    """
    where = f"plugin {entry_point.name} ({entry_point.value})"
    try:
        module = entry_point.load()
    except Exception as error:
        raise PluginError(f"{where} cannot be imported", got=f"{type(error).__name__}: {error}") from error
    manager = _manager()
    try:
        manager.register(module, name=entry_point.name)
        manager.check_pending()
    except (pluggy.PluginValidationError, ValueError) as error:
        raise PluginError(
            f"{where} does not fit the hooks", got=error, hint="docs/hooks.md lists the hooks and their arguments"
        ) from error
    hooks = tuple(sorted(caller.name for caller in manager.get_hookcallers(module) or ()))
    factories: dict[str, Mapping[str, Any]] = {}
    for kind in KINDS.values():
        for implementation in getattr(manager.hook, kind.hook).get_hookimpls():
            try:
                offered = implementation.function()
            except Exception as error:
                raise PluginError(f"{where}: {kind.hook} raised", got=f"{type(error).__name__}: {error}") from error
            if not isinstance(offered, Mapping) or not all(isinstance(n, str) and callable(f) for n, f in offered.items()):
                raise PluginError(f"{where}: {kind.hook}", got=type(offered).__name__, expected="a mapping of name to factory")
            factories[kind.name] = offered
    return Plugin(module, hooks, factories)


def content_version(factory: Any) -> str:
    """The content version of a component: its declared ``version``, else a hash of the source of its module and of what that
    module imports from its own distribution and from the platform's public rooms."""
    declared = getattr(factory, "version", None)
    if isinstance(declared, str):
        return declared
    return _module_version(factory.__module__)


@cache
def _module_version(name: str) -> str:
    own = name.partition(".")[0]
    files: dict[str, Path] = {}
    waiting = [name]
    while waiting:
        current = waiting.pop()
        path = None if current in files else _module_file(current)
        if path is None:
            continue
        files[current] = path
        for imported in _imports(current, path):
            if imported.partition(".")[0] == own != "rrgbench" or imported.startswith(_PUBLIC_ROOMS):
                waiting.append(imported)
    return source_version(*(files[module] for module in sorted(files)))


def _module_file(name: str) -> Path | None:
    module = sys.modules.get(name)
    origin = getattr(module, "__file__", None)
    if origin is None:
        try:
            spec = importlib.util.find_spec(name)
        except (ImportError, AttributeError, ValueError):
            return None
        origin = spec.origin if spec else None
    return Path(origin) if origin and origin.endswith(".py") else None


def _imports(name: str, path: Path) -> list[str]:
    """Every module that this one may import, absolute, whether or not a name of `from x import name` is a module."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found: list[str] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                anchor = package.rsplit(".", node.level - 1)[0] if node.level > 1 else package
                base = f"{anchor}.{base}" if base else anchor
            found += [base, *(f"{base}.{alias.name}" for alias in node.names)]
    return found
