"""Validating a component's options against its signature, and filling in the defaults."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from rrgbench.catalogue.component import existing_path
from rrgbench.catalogue.schema import Option, Spec, Tree, decode, has_component, has_path, words
from rrgbench.errors import ConfigError, RRGBenchError, collect

if TYPE_CHECKING:
    from rrgbench.catalogue.registry import Catalogue


def fill_options(catalogue: Catalogue, spec: Spec, given: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Every option of the component: the given value, validated, or the default.

    Raises:
        ConfigError, ManyErrors: unknown options, missing ones, wrong types; all of them together.
    """
    from rrgbench.catalogue.registry import did_you_mean

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
            filled[name] = _fill(catalogue, option, given.get(name, option.default), place)
        except RRGBenchError as error:
            errors.append(error)
    collect(errors)
    return filled


def _fill(catalogue: Catalogue, option: Option, value: Any, place: str) -> Any:
    if value is None and option.default is None and not option.required:
        return None
    if has_component(option.tree):
        return _resolve(catalogue, option.tree, value, place)
    canonical = validate(option.tree, value, place)
    return _paths(option.tree, canonical, place) if has_path(option.tree) else canonical


def validate(tree: Tree, value: Any, place: str) -> Any:
    """The value in the one form that counts in ids (1 and 1.0 are one value for a float).

    Raises:
        ConfigError: the value is not what the tree asks for.
    """
    adapter: TypeAdapter[Any] = TypeAdapter(decode(tree))
    try:
        python = adapter.validate_json(json.dumps(value, allow_nan=False), strict=True)
    except ValidationError as error:
        reason = error.errors()[0]["msg"]
        raise ConfigError(place, got=repr(value), expected=words(tree), hint=reason) from error
    except (TypeError, ValueError) as error:
        raise ConfigError(place, got=repr(value), expected=words(tree)) from error
    return adapter.dump_python(python, mode="json")


def _paths(tree: Tree, value: Any, place: str) -> Any:
    """Replace the paths in a value by what they name."""
    what = tree["type"]
    if what == "path":
        return existing_path(value, place)
    if what == "union":
        inner = next((item for item in tree["of"] if has_path(item)), None)
        return value if inner is None or value is None else _paths(inner, value, place)
    if what == "list":
        return [_paths(tree["of"], item, place) for item in value]
    if what == "mapping":
        return {key: _paths(tree["of"], item, place) for key, item in value.items()}
    return value


def _resolve(catalogue: Catalogue, tree: Tree, value: Any, place: str) -> Any:
    """Resolve the choices of components in an option's value."""
    what = tree["type"]
    if what == "component":
        return catalogue.resolve(tree["kind"], value, place)
    if what == "union":
        if value is None and {"type": "none"} in tree["of"]:
            return None
        return _resolve(catalogue, next(item for item in tree["of"] if has_component(item)), value, place)
    if what == "list" and isinstance(value, (list, tuple)):
        return [_resolve(catalogue, tree["of"], item, f"{place}[{index}]") for index, item in enumerate(value)]
    if what == "mapping" and isinstance(value, Mapping):
        return {str(key): _resolve(catalogue, tree["of"], item, f"{place}.{key}") for key, item in value.items()}
    raise ConfigError(place, got=repr(value), expected=words(tree))
