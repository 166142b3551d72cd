"""From a worker's request to the object: imports the one plugin, checks its content version, passes values and options."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from rrgbench.catalogue.loading import Plugin, content_version, load_plugin
from rrgbench.catalogue.schema import decode, read_signature
from rrgbench.errors import PluginError
from rrgbench.hookspecs import GROUP
from rrgbench.interfaces import KINDS

Values = Callable[[str], Any]
"""A platform value by its name."""


@cache
def _plugin(distribution: str, entry_point: str) -> Plugin:
    points = importlib.metadata.distribution(distribution).entry_points.select(group=GROUP, name=entry_point)
    for point in points:
        return load_plugin(point)
    raise PluginError(f"{distribution} has no plugin {entry_point} any more", hint="install it again, or plan again")


def build(request: Mapping[str, Any], values: Values) -> Any:
    """The object that a component's request asks for.

    Args:
        request: what ``Component.request`` gave.
        values: gives the platform values that the factory asks for.

    Raises:
        PluginError: the plugin is not what the plan saw.
    """
    wanted = request["$component"]
    kind = KINDS[wanted["kind"]]
    plugin = _plugin(wanted["distribution"], wanted["entry_point"])
    factory = plugin.factories.get(kind.name, {}).get(wanted["name"])
    if factory is None or content_version(factory) != wanted["version"]:
        what = f"the code of {wanted['distribution']}/{wanted['name']} changed after the plan was made"
        raise PluginError(what, hint="run the same command again")
    names, options, _ = read_signature(kind, factory)
    trees = {option.name: option.tree for option in options}
    keywords = {name: _value(trees[name], value, values) for name, value in wanted["options"].items()}
    return factory(*(values(name) for name in names), **keywords)


def _value(tree: Mapping[str, Any], value: Any, values: Values) -> Any:
    """An option's JSON value as the type its annotation names: lists become tuples, texts paths, requests components."""
    if isinstance(value, Mapping) and "$component" in value:
        return build(value, values)
    what = tree["type"]
    if value is None or what in ("literal", "int", "bool", "str", "none"):
        return value
    if what == "path":
        return Path(value)
    if what == "float":
        return float(value)
    if what == "list":
        items = [_value(tree["of"], item, values) for item in value]
        return tuple(items) if tree.get("as") == "tuple" else items
    if what == "tuple":
        return tuple(_value(inner, item, values) for inner, item in zip(tree["of"], value, strict=True))
    if what == "mapping":
        return {key: _value(tree["of"], item, values) for key, item in value.items()}
    if what == "component":
        return build(value, values)
    return _union(tree, value, values)


def _union(tree: Mapping[str, Any], value: Any, values: Values) -> Any:
    from pydantic import TypeAdapter, ValidationError

    for inner in tree["of"]:
        adapter: TypeAdapter[Any] = TypeAdapter(decode(dict(inner)))
        try:
            adapter.validate_python(value, strict=inner["type"] not in ("path", "list", "tuple"))
        except ValidationError:
            continue
        return _value(inner, value, values)
    return value
