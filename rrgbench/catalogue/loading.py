"""Importing plugins: one try an entry point, the culprit named. Used by the describing child, the worker and event listeners."""

from __future__ import annotations

import importlib.metadata
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import pluggy

from rrgbench import hookspecs
from rrgbench.catalogue.hints import did_you_mean
from rrgbench.catalogue.signature import NAME
from rrgbench.errors import PluginError
from rrgbench.interfaces import KINDS

_HOOKS_PAGE = "docs/hooks.md lists the hooks and their arguments"


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
    hooks = _check_hooks(module, where)
    manager = _manager()
    try:
        manager.register(module, name=entry_point.name)
    except (pluggy.PluginValidationError, ValueError) as error:
        raise PluginError(f"{where} does not fit the hooks", got=error, hint=_HOOKS_PAGE) from error
    factories: dict[str, Mapping[str, Any]] = {}
    for kind in KINDS.values():
        for implementation in getattr(manager.hook, kind.hook).get_hookimpls():
            try:
                offered = implementation.function()
            except Exception as error:
                raise PluginError(f"{where}: {kind.hook} raised", got=f"{type(error).__name__}: {error}") from error
            _check_offer(offered, f"{where}: {kind.hook}")
            factories[kind.name] = offered
    return Plugin(module, hooks, factories)


def _check_hooks(module: Any, where: str) -> tuple[str, ...]:
    """The hooks that a module answers; what is called like a hook must be one, and be marked."""
    known = [name for name in vars(hookspecs) if name.startswith(f"{hookspecs.GROUP}_")]
    answered = []
    for name in dir(module):
        member = getattr(module, name, None)
        marked = hasattr(member, f"{hookspecs.GROUP}_impl")
        if not inspect.isroutine(member) or not (marked or name.startswith(f"{hookspecs.GROUP}_")):
            continue
        if name not in known:
            raise PluginError(f"{where}: there is no hook {name}", hint=did_you_mean(name, known))
        if not marked:
            raise PluginError(f"{where}: {name} is not marked", hint="put @rrgbench.hookimpl above it")
        answered.append(name)
    if not answered:
        raise PluginError(f"{where} answers no hook", hint=_HOOKS_PAGE)
    return tuple(sorted(answered))


def _check_offer(offered: Any, where: str) -> None:
    if not isinstance(offered, Mapping):
        raise PluginError(where, got=type(offered).__name__, expected="a mapping of name to factory")
    for name, factory in offered.items():
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise PluginError(where, got=repr(name), expected="a name of letters, digits and . _ + -")
        if not callable(factory):
            raise PluginError(f"{where}: {name}", got=type(factory).__name__, expected="a factory: a class or a function")


def call_hook(plugin: Plugin, hook: str, **arguments: Any) -> None:
    """Call one hook of one plugin, with as many of the arguments as it asks for.

    Raises:
        PluginError: it raised.
    """
    manager = _manager()
    manager.register(plugin.module)
    try:
        getattr(manager.hook, hook)(**arguments)
    except Exception as error:
        name = plugin.module.__name__
        raise PluginError(f"plugin {name}: {hook} raised", got=f"{type(error).__name__}: {error}") from error
