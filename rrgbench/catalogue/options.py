"""Validating a component's options against its signature, and filling in the defaults."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rrgbench.catalogue.component import Component, existing_path
from rrgbench.catalogue.hints import did_you_mean
from rrgbench.catalogue.schema import Mismatch, Tree, check, fold, words
from rrgbench.catalogue.signature import Spec
from rrgbench.errors import ConfigError, RRGBenchError, collect

Resolve = Callable[[str, Any, str], Component]
"""(kind, what an experiment says, where) to a component."""


def fill_options(resolve: Resolve, spec: Spec, given: Mapping[Any, Any], where: str) -> dict[str, Any]:
    """Every option of the component: the given value, validated, or the default.

    Raises:
        ConfigError, ManyErrors: unknown options, missing ones, wrong types; all of them together.
    """
    known = {option.name: option for option in spec.options}
    errors: list[RRGBenchError] = []
    for name in given:
        if name not in known:
            hint = did_you_mean(str(name), list(known))
            errors.append(ConfigError(f"{where}: {spec.name} has no such option", got=repr(name), hint=hint))
    filled: dict[str, Any] = {}
    for name, option in known.items():
        place = f"{where}.{name}"
        if option.required and name not in given:
            errors.append(ConfigError(f"{place}: {spec.name} needs this option", expected=words(option.tree)))
            continue
        try:
            filled[name] = canonical(resolve, option.tree, given.get(name, option.default), place)
        except RRGBenchError as error:
            errors.append(error)
    collect(errors)
    return filled


def canonical(resolve: Resolve, tree: Tree, value: Any, place: str) -> Any:
    """The value in the one form that counts in ids: 1 and 1.0 are one float, a path is what it names, a choice a component.

    Raises:
        ConfigError, ManyErrors, PluginError: the value is not what the tree asks for.
    """

    def leaf(inner: Tree, item: Any, spot: str) -> Any:
        if inner["type"] == "component":
            return resolve(inner["kind"], item, spot)
        if inner["type"] == "path":
            return existing_path(item, spot)
        return float(item) if inner["type"] == "float" else item

    try:
        check(tree, value)
        return fold(tree, value, leaf, place)
    except Mismatch as error:
        hint = _named(error.tree, error.value)
        raise ConfigError(place + error.place, got=repr(error.value), expected=words(error.tree), hint=hint) from error
    except OverflowError as error:
        raise ConfigError(place, got="a number too large for a float", expected=words(tree)) from error


def _named(tree: Tree, value: Any) -> str:
    """A hint for components that were given without the names that a mapping asks for: ``cider`` is ``{cider: cider}``."""
    given = [value] if isinstance(value, str) else value
    if tree["type"] != "mapping" or tree["of"]["type"] != "component" or not isinstance(given, (list, tuple)):
        return ""
    pairs = [f"{name.rpartition('/')[2]}: {name}" for name in given if isinstance(name, str) and name and name.isprintable()]
    return f"write {{{', '.join(pairs)}}}" if pairs and len(pairs) == len(given) else ""
