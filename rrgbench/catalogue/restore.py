"""From the identity of a component, as rows hold it, back to the component that is installed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rrgbench.catalogue.component import Component
from rrgbench.catalogue.registry import Catalogue
from rrgbench.catalogue.schema import Tree, holds
from rrgbench.errors import ConfigError

_FIELDS = frozenset({"kind", "name", "distribution", "version", "options"})


def restore(catalogue: Catalogue, kind: str, identity: Any, where: str) -> Component:
    """The installed component of that name with those options, validated as an experiment's are. It may have another version.

    A row may come from anybody, so that an option that names a file is refused: nobody's row chooses what is read here.

    Raises:
        ConfigError, ManyErrors, PluginError: not an identity; not installed; options that it does not have; a file.
    """
    return catalogue.resolve(kind, _written(catalogue, kind, identity, where), where)


def with_options(catalogue: Catalogue, kind: str, name: str, options: Any, where: str) -> Component:
    """As ``restore``, of a component of which only the name and the options are known.

    Raises:
        ConfigError, ManyErrors, PluginError: as ``restore`` says.
    """
    return catalogue.resolve(kind, {"name": name} | _options(catalogue, kind, name, options, where), where)


def _written(catalogue: Catalogue, kind: str, identity: Any, where: str) -> dict[str, Any]:
    """An identity in the words of an experiment."""
    whole = isinstance(identity, Mapping) and identity.keys() == _FIELDS and identity["kind"] == kind
    if not whole or not isinstance(identity["name"], str) or not isinstance(identity["distribution"], str):
        raise ConfigError(where, got=repr(identity)[:80], expected=f"the identity of a {kind} component")
    name = f"{identity['distribution']}/{identity['name']}"
    return {"name": name} | _options(catalogue, kind, name, identity["options"], where)


def _options(catalogue: Catalogue, kind: str, name: str, options: Any, where: str) -> dict[str, Any]:
    if not isinstance(options, Mapping):
        raise ConfigError(f"{where}.options", got=repr(options)[:80], expected="a mapping")
    trees = {option.name: option.tree for option in catalogue.find(kind, name, where).options}
    found = {}
    for option, value in options.items():
        place = f"{where}.{option}"
        if option == "name":
            raise ConfigError(place, expected="no such option")
        found[option] = _option(catalogue, trees[option], value, place) if option in trees else value
    return found


def _option(catalogue: Catalogue, tree: Tree, value: Any, place: str) -> Any:
    """A value with identities inside it written as an experiment writes components."""
    if holds(tree, "path") and value not in (None, [], {}):
        hint = "what a file of somebody else's holds cannot be had again"
        raise ConfigError(f"{place} names a file", got=repr(value)[:80], expected="an option that needs no file", hint=hint)
    if not holds(tree, "component"):
        return value
    if tree["type"] == "union":
        inner = next(item for item in tree["of"] if holds(item, "component"))
        return value if value is None else _option(catalogue, inner, value, place)
    if tree["type"] == "component":
        return _written(catalogue, tree["kind"], value, place)
    if tree["type"] == "mapping" and isinstance(value, Mapping):
        return {key: _option(catalogue, tree["of"], item, f"{place}.{key}") for key, item in value.items()}
    if tree["type"] == "list" and isinstance(value, list):
        return [_option(catalogue, tree["of"], item, f"{place}[{number}]") for number, item in enumerate(value)]
    raise ConfigError(place, got=repr(value)[:80], expected="components")
