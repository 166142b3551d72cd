"""The content version of a component: a hash of the code that makes it, found without running anything."""

from __future__ import annotations

import ast
import importlib.machinery
import importlib.metadata
import importlib.util
import inspect
import sys
import tokenize
from collections.abc import Iterator
from functools import cache, reduce
from pathlib import Path
from typing import Any

from rrgbench.catalogue.signature import maker
from rrgbench.errors import PluginError
from rrgbench.hookspecs import GROUP
from rrgbench.identity import source_version

_PLATFORM = "rrgbench"
PUBLIC_ROOMS = ("rrgbench.films", "rrgbench.findings", "rrgbench.jvm", "rrgbench.nn", "rrgbench.text")
"""Rooms of the platform whose code is part of a component's content version when it imports them."""


def _top(module: str) -> str:
    return module.partition(":")[0].partition(".")[0].strip()


@cache
def own_modules(distribution: str) -> frozenset[str]:
    """The top-level modules that a distribution installs, or has in the folders of an editable install."""
    found = importlib.metadata.distribution(distribution)
    names = {_top(point.value) for point in found.entry_points if point.group == GROUP}
    for path in found.files or ():
        if path.suffix == ".pth":
            names |= {name for line in path.read_text().splitlines() for name in _importable(line)}
        elif path.suffix == ".py" and not path.parts[0].startswith(("..", "__")):
            names.add(path.parts[0].removesuffix(".py"))
    return frozenset(names - {_PLATFORM, ""})


def _importable(folder: str) -> Iterator[str]:
    """The modules and packages in a folder that a line of a .pth file names."""
    for path in Path(folder).iterdir() if folder and Path(folder).is_dir() else ():
        if path.suffix == ".py" or (path.is_dir() and path.name.isidentifier()):
            yield path.stem


def module_file(name: str) -> Path | None:
    """The Python file of a module, found without importing it."""
    origin = getattr(sys.modules.get(name), "__file__", None)
    if origin is None:
        try:
            top, *rest = name.split(".")
            spec, full = importlib.util.find_spec(top), top
            for part in rest:
                full = f"{full}.{part}"
                folders = spec.submodule_search_locations if spec else None
                spec = importlib.machinery.PathFinder.find_spec(full, list(folders)) if folders else None
        except (ImportError, ValueError):
            return None
        origin = spec.origin if spec else None
    return Path(origin) if origin and origin.endswith(".py") and Path(origin).is_file() else None


def _imports(name: str, path: Path) -> Iterator[str]:
    """Every module that this one may import, by its absolute name."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    with tokenize.open(path) as file:
        tree = ast.parse(file.read())
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                anchor = package.rsplit(".", node.level - 1)[0] if node.level > 1 else package
                base = f"{anchor}.{base}" if base else anchor
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                yield inner if module_file(inner) else base


def _is_at_its_name(factory: Any, made: Any) -> bool:
    """Whether a factory is what its module has under its name: nothing was bound to it or wrapped round it elsewhere."""
    module = sys.modules.get(getattr(made, "__module__", None) or "")
    parts = getattr(made, "__qualname__", "<nameless>").split(".")
    return bool(reduce(lambda holder, part: getattr(holder, part, None), parts, module) == factory)


def content_version(factory: Any, distribution: str, offered_in: str) -> str:
    """The content version of a component: the ``version`` that it declares itself, else a hash of the source of its module and
    of what that module imports from its own distribution and from the platform's public rooms.

    The module that offers it counts only where the factory is made there: a ``functools.partial``, a lambda, a wrapper.

    Raises:
        PluginError: its source cannot be read.
    """
    made = maker(factory)
    declared = vars(made).get("version") if inspect.isclass(made) else getattr(made, "version", None)
    if isinstance(declared, str):
        return declared
    own = own_modules(distribution)
    owner = getattr(factory, "__self__", None)
    modules = {str(item.__module__) for item in (made, owner) if inspect.isclass(item) or inspect.isroutine(item)}
    modules = {module for module in modules if _top(module) in own}
    if not modules or not _is_at_its_name(factory, made):
        modules.add(offered_in)
    return _version(tuple(sorted(modules)), own) or importlib.metadata.version(distribution)


@cache
def _version(modules: tuple[str, ...], own: frozenset[str]) -> str:
    files: dict[str, Path] = {}
    waiting = list(modules)
    try:
        while waiting:
            current = waiting.pop()
            path = None if current in files else module_file(current)
            if path is None:
                continue
            files[current] = path
            for imported in _imports(current, path):
                room = any(imported == public or imported.startswith(f"{public}.") for public in PUBLIC_ROOMS)
                if room or _top(imported) in own:
                    waiting.append(imported)
        return source_version(*(files[module] for module in sorted(files))) if files else ""
    except (OSError, SyntaxError, ValueError, tokenize.TokenError) as error:
        hint = "a component may declare its own `version` (a string)"
        raise PluginError(f"the source of {current} cannot be read as Python", got=error, hint=hint) from error
