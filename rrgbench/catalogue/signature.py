"""A component's signature as data: what it asks of the platform, its options and their types, its class attributes."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import json
import re
import sys
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from rrgbench.catalogue.hints import did_you_mean
from rrgbench.catalogue.schema import Mismatch, Tree, check, decode, encode, fold, words
from rrgbench.errors import PluginError
from rrgbench.interfaces import VALUES, Kind

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
"""What a component's name looks like: it stands in files, in ids' records and behind ``distribution/``."""

_TAKEN: Mapping[str, Mapping[str, str]] = {"losses": {"weight": "the weight of the loss in an experiment file"}}
"""Kind -> names that its options may not have, since an experiment file uses them. ``name`` is one for every kind."""


class Option(BaseModel):
    """One keyword-only parameter."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    tree: Tree
    required: bool
    default: Any = None


class Spec(BaseModel):
    """What a plan knows of a component without importing it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str
    name: str
    distribution: str
    entry_point: str
    summary: str
    values: tuple[str, ...]
    options: tuple[Option, ...]
    attributes: dict[str, Any]
    version: str


def maker(factory: Any) -> Any:
    """The class or function behind a factory: what ``functools.partial`` holds; the class of a callable object."""
    while isinstance(factory, functools.partial):
        factory = factory.func
    if inspect.isclass(factory) or inspect.isroutine(factory):
        return factory
    return type(factory)


def _parameters(factory: Any) -> tuple[list[str], list[inspect.Parameter]]:
    positional, keyword = [], []
    for parameter in inspect.signature(factory).parameters.values():
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.POSITIONAL_ONLY):
            positional.append(parameter.name)
        elif parameter.kind is parameter.KEYWORD_ONLY:
            keyword.append(parameter)
        else:
            raise TypeError(f"`{parameter}` hides options from the experiment file: write them out as keyword-only parameters")
    return positional, keyword


def _function(factory: Any) -> Any:
    """The function whose parameters a factory's are."""
    if isinstance(factory, functools.partial):
        return _function(factory.func)
    if inspect.isclass(factory):
        return factory.__init__
    return factory if inspect.isroutine(factory) else type(factory).__call__


def _names_in_reach(factory: Any) -> dict[str, Any]:
    """The global names that a factory's annotations are written in."""
    module = sys.modules.get(getattr(maker(factory), "__module__", None) or "")
    found: dict[str, Any] = getattr(inspect.unwrap(_function(factory)), "__globals__", vars(module) if module else {})
    return found


def _annotation(factory: Any, parameter: inspect.Parameter) -> Any:
    """One annotation, evaluated alone: those of tensors may be for the type checker only."""
    if parameter.annotation is parameter.empty:
        raise TypeError(f"the option `{parameter.name}` has no annotation")
    holder = types.SimpleNamespace(__annotations__={parameter.name: parameter.annotation})
    try:
        hints = typing.get_type_hints(holder, _names_in_reach(factory), include_extras=True)
    except (NameError, AttributeError, SyntaxError) as error:
        raise TypeError(f"the annotation of `{parameter.name}` cannot be evaluated: {error}") from error
    return hints[parameter.name]


def plain(value: Any) -> Any:
    """A value as JSON data: tuples and sets become lists, paths text, dataclasses mappings.

    Raises:
        TypeError: anything else.
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Path):
        return str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return plain(dataclasses.asdict(value))
    if isinstance(value, (set, frozenset)):
        return sorted(plain(item) for item in value)
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray)):
        return [plain(item) for item in value]
    raise TypeError(f"{type(value).__name__} is not plain data")


def _option(kind: Kind, factory: Any, parameter: inspect.Parameter) -> Option:
    name = parameter.name
    taken = {"name": "the component's name in an experiment file", **_TAKEN.get(kind.name, {})}
    if name in taken:
        raise TypeError(f"an option cannot be called `{name}`: that is {taken[name]}")
    if name in kind.values:
        raise TypeError(f"`{name}` is a platform value and must be positional")
    annotation = _annotation(factory, parameter)
    try:
        tree = encode(annotation)
    except TypeError as error:
        raise TypeError(f"option `{name}`: {error}") from error
    required = parameter.default is parameter.empty
    default = None
    if not required:
        try:
            default = plain(parameter.default)
            check_default(tree, default)
        except (TypeError, Mismatch) as error:
            raise TypeError(f"the default of `{name}` is {parameter.default!r}, which is not {words(tree)}") from error
    TypeAdapter(decode(tree))
    return Option(name=name, tree=tree, required=required, default=default)


def check_default(tree: Tree, default: Any) -> None:
    """A default must satisfy its own annotation; that of a component is a name, or a mapping with a name.

    Raises:
        Mismatch: it does not.
    """

    def leaf(inner: Tree, value: Any, place: str) -> None:
        named = value.get("name") if isinstance(value, Mapping) else value
        if inner["type"] == "component" and not isinstance(named, str):
            raise Mismatch(place, value, inner)

    check(tree, default)
    fold(tree, default, leaf)


def _attribute(kind: Kind, factory: Any, name: str) -> Any:
    """A class attribute that a plan must know, as the Protocol annotates it."""
    if not hasattr(factory, name):
        raise TypeError(f"the class attribute `{name}` is missing")
    value = getattr(factory, name)
    annotation = kind.optional.get(name) or typing.get_type_hints(kind.protocol)[name]
    wanted = get_args(annotation)[0] if get_origin(annotation) is ClassVar else annotation
    data = plain(value)
    try:
        TypeAdapter(wanted).validate_json(json.dumps(data), strict=True)
    except ValidationError as error:
        said = str(wanted).replace("typing.", "").replace("collections.abc.", "")
        raise TypeError(f"the class attribute `{name}` is {value!r}, which is not {said}") from error
    return data


def read_signature(kind: Kind, factory: Any) -> tuple[tuple[str, ...], tuple[Option, ...], dict[str, Any]]:
    """The platform values, the options and the class attributes of a factory.

    Raises:
        PluginError: a signature that the platform cannot serve, saying which parameter.
    """
    try:
        values, keywords = _parameters(factory)
        for name in values:
            if name not in VALUES:
                hint = did_you_mean(name, list(kind.values))
                raise TypeError(f"`{name}` is not a platform value ({hint}); options must be keyword-only")
            if name not in kind.values:
                allowed = ", ".join(sorted(kind.values)) or "none"
                raise TypeError(f"the platform value `{name}` is not for {kind.name} (allowed: {allowed})")
        options = tuple(_option(kind, factory, parameter) for parameter in keywords)
        told = (*kind.attributes, *(name for name in kind.optional if hasattr(factory, name)))
        attributes = {name: _attribute(kind, factory, name) for name in told}
        known = {option.name for option in options}
        for name, value in attributes.items():
            for text in value.values() if isinstance(value, Mapping) else ():
                if isinstance(text, str) and text.startswith("$") and text[1:] not in known:
                    raise TypeError(f"the class attribute `{name}` names {text}, and there is no option `{text[1:]}`")
    except (TypeError, ValueError) as error:
        raise PluginError(f"{kind.name} component {getattr(maker(factory), '__qualname__', factory)}: {error}") from error
    return tuple(values), options, attributes
