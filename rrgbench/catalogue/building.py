"""From a worker's request to the object: imports the one plugin, checks its content version, passes values and options."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from rrgbench.catalogue.component import FileOption
from rrgbench.catalogue.content import content_version
from rrgbench.catalogue.loading import Plugin, load_plugin
from rrgbench.catalogue.schema import Tree, fold
from rrgbench.catalogue.signature import read_signature
from rrgbench.errors import DataError, PluginError
from rrgbench.hookspecs import GROUP
from rrgbench.interfaces import KINDS

Values = Callable[[str], Any]
"""A platform value by its name."""

Finish = Callable[[Mapping[str, Any], Any], Any]
"""From what was asked for and the object that was made to the object that is given in its place."""


def _as_made(wanted: Mapping[str, Any], made: Any) -> Any:
    return made


@cache
def _plugin(distribution: str, entry_point: str) -> Plugin:
    try:
        points = importlib.metadata.distribution(distribution).entry_points.select(group=GROUP, name=entry_point)
    except importlib.metadata.PackageNotFoundError as error:
        raise PluginError(f"{distribution} is not installed any more", hint="install it again, or plan again") from error
    for point in points:
        return load_plugin(point)
    raise PluginError(f"{distribution} has no plugin {entry_point} any more", hint="install it again, or plan again")


def build(request: Mapping[str, Any], values: Values, finish: Finish = _as_made) -> Any:
    """The object that a component's request asks for.

    Args:
        request: what ``Component.request`` gave.
        values: gives the platform values that the factory asks for.
        finish: what is done to every object that is made, those inside the component first.

    Raises:
        PluginError: the plugin is not what the plan saw.
        DataError: a file that an option names is not what the plan saw.
    """
    wanted = request["$component"]
    kind = KINDS[wanted["kind"]]
    plugin = _plugin(wanted["distribution"], wanted["entry_point"])
    factory = plugin.factories.get(kind.name, {}).get(wanted["name"])
    if factory is None or content_version(factory, wanted["distribution"], plugin.module.__name__) != wanted["version"]:
        what = f"the code of {wanted['distribution']}/{wanted['name']} changed after the plan was made"
        raise PluginError(what, hint="run the same command again")
    names, options, _ = read_signature(kind, factory)
    trees = {option.name: option.tree for option in options}

    def leaf(tree: Tree, value: Any, place: str) -> Any:
        """An option's JSON value as the type that its annotation names."""
        if tree["type"] == "component":
            return build(value, values, finish)
        if tree["type"] == "path":
            return _unchanged(value, wanted["files"][value], f"option `{place}` of {wanted['name']}")
        return float(value) if tree["type"] == "float" else value

    keywords = {name: fold(trees[name], value, leaf, name) for name, value in wanted["options"].items()}
    return finish(wanted, factory(*(values(name) for name in names), **keywords))


def _unchanged(path: str, content: str, where: str) -> Path:
    """The path of an option, if what it names is what the plan saw: the id of the step says so."""
    if not Path(path).exists() or FileOption(Path(path)).content() != content:
        raise DataError(f"{where}: {path} changed after the plan was made", hint="run the same command again")
    return Path(path)
