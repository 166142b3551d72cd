"""A component's signature as data: what it asks of the platform, its options and their types.

The question wing validates options without importing the plugin, so annotations become small JSON trees
(``{"type": "int", "ge": 1}``) that pydantic types are rebuilt from.
"""

from __future__ import annotations

import inspect
import json
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter
from pydantic.fields import FieldInfo

from rrgbench.errors import PluginError
from rrgbench.interfaces import KINDS, VALUES, Kind

Tree = dict[str, Any]

_PLAIN: Mapping[Any, str] = {int: "int", float: "float", bool: "bool", str: "str", Path: "path", type(None): "none", None: "none"}
_TYPES: Mapping[str, Any] = {"int": int, "float": float, "bool": bool, "str": str, "path": Path, "none": None}
_CONSTRAINTS: Mapping[type, str] = {
    annotated_types.Ge: "ge",
    annotated_types.Gt: "gt",
    annotated_types.Le: "le",
    annotated_types.Lt: "lt",
    annotated_types.MultipleOf: "multiple_of",
    annotated_types.MinLen: "min_length",
    annotated_types.MaxLen: "max_length",
}
_SIGNS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<", "min_length": "length >=", "max_length": "length <="}


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


def _constraints(metadata: Sequence[Any]) -> Tree:
    found: Tree = {}
    for item in metadata:
        if isinstance(item, FieldInfo):
            found |= _constraints(item.metadata)
        elif isinstance(item, annotated_types.Interval):
            found |= {k: v for k in ("ge", "gt", "le", "lt") if (v := getattr(item, k)) is not None}
        elif isinstance(item, StringConstraints) and item.pattern is not None:
            found["pattern"] = str(getattr(item.pattern, "pattern", item.pattern))
        elif type(item) in _CONSTRAINTS:
            key = _CONSTRAINTS[type(item)]
            found[key] = getattr(item, key)
    return found


def _component_kind(annotation: Any) -> str | None:
    return next((kind.name for kind in KINDS.values() if kind.protocol is annotation), None)


def encode(annotation: Any) -> Tree:
    """An annotation as a tree.

    Raises:
        TypeError: an annotation that has no place in an experiment file.
    """
    if annotation in _PLAIN:
        return {"type": _PLAIN[annotation]}
    if kind := _component_kind(annotation):
        return {"type": "component", "kind": kind}
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return encode(arguments[0]) | _constraints(arguments[1:])
    if origin is Literal:
        return {"type": "literal", "values": list(arguments)}
    if origin in (Union, types.UnionType):
        return {"type": "union", "of": [encode(item) for item in arguments]}
    if origin is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
        return {"type": "list", "as": "tuple", "of": encode(arguments[0])}
    if origin is tuple:
        return {"type": "tuple", "of": [encode(item) for item in arguments]}
    if origin in (list, Sequence):
        return {"type": "list", "of": encode(arguments[0])}
    if origin in (dict, Mapping) and arguments[0] is str:
        return {"type": "mapping", "of": encode(arguments[1])}
    raise TypeError(f"the annotation {annotation!r} cannot be written in an experiment file")


def decode(tree: Tree) -> Any:
    """The annotation that a tree stands for; a component is Any (it is resolved elsewhere)."""
    what = tree["type"]
    if what == "component":
        return Any
    if what == "literal":
        return Literal[tuple(tree["values"])]
    if what == "union":
        return Union[tuple(decode(item) for item in tree["of"])]  # noqa: UP007 - built at run time
    if what == "tuple":
        return tuple.__class_getitem__(tuple(decode(item) for item in tree["of"]))
    if what == "list":
        inner: Any = decode(tree["of"])
        base: Any = tuple.__class_getitem__((inner, ...)) if tree.get("as") == "tuple" else list.__class_getitem__(inner)
    elif what == "mapping":
        base = dict.__class_getitem__((str, decode(tree["of"])))
    else:
        base = _TYPES[what]
    limits = {key: value for key, value in tree.items() if key in {*_CONSTRAINTS.values(), "pattern"}}
    return Annotated[base, Field(**limits)] if limits else base


def has_component(tree: Tree) -> bool:
    """Whether a choice of component stands somewhere in the tree."""
    inner = tree.get("of", [])
    return tree["type"] == "component" or any(has_component(item) for item in (inner if isinstance(inner, list) else [inner]))


def has_path(tree: Tree) -> bool:
    """Whether a path stands somewhere in the tree."""
    inner = tree.get("of", [])
    return tree["type"] == "path" or any(has_path(item) for item in (inner if isinstance(inner, list) else [inner]))


def words(tree: Tree) -> str:
    """The tree for people: ``int >= 1``, ``one of 'a', 'b'``."""
    what = tree["type"]
    if what == "literal":
        return "one of " + ", ".join(repr(value) for value in tree["values"])
    if what == "union":
        return " or ".join(words(item) for item in tree["of"])
    if what == "component":
        return f"a component of kind {tree['kind']}"
    if what == "tuple":
        return "[" + ", ".join(words(item) for item in tree["of"]) + "]"
    limits = ", ".join(f"{_SIGNS.get(key, key)} {tree[key]}" for key in (*_CONSTRAINTS.values(), "pattern") if key in tree)
    prefix = {"list": "list of ", "mapping": "mapping of name to "}.get(str(what), str(what))
    name = prefix + (words(tree["of"]) if "of" in tree else "")
    return f"{name} {limits}" if limits else name


def _parameters(factory: Any) -> tuple[list[str], list[inspect.Parameter]]:
    positional, keyword = [], []
    for parameter in inspect.signature(factory).parameters.values():
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.POSITIONAL_ONLY):
            positional.append(parameter.name)
        elif parameter.kind is parameter.KEYWORD_ONLY:
            keyword.append(parameter)
        else:
            raise TypeError(f"`{parameter}` hides options from the experiment file")
    return positional, keyword


def _annotation(factory: Any, parameter: inspect.Parameter) -> Any:
    """One annotation, evaluated alone: those of tensors may be for the type checker only."""
    if parameter.annotation is parameter.empty:
        raise TypeError(f"the option `{parameter.name}` has no annotation")
    function = factory.__init__ if inspect.isclass(factory) else factory
    holder = types.SimpleNamespace(__annotations__={parameter.name: parameter.annotation})
    try:
        hints = typing.get_type_hints(holder, getattr(inspect.unwrap(function), "__globals__", {}), include_extras=True)
    except NameError as error:
        raise TypeError(f"the annotation of `{parameter.name}` cannot be evaluated: {error}") from error
    return hints[parameter.name]


def plain(value: Any) -> Any:
    """A value as JSON data: tuples and sets become lists, paths text.

    Raises:
        TypeError: anything else.
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, (set, frozenset)):
        return sorted(plain(item) for item in value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [plain(item) for item in value]
    raise TypeError(f"{type(value).__name__} is not plain data")


def read_signature(kind: Kind, factory: Any) -> tuple[tuple[str, ...], tuple[Option, ...], dict[str, Any]]:
    """The platform values, the options and the class attributes of a factory.

    Raises:
        PluginError: a signature that the platform cannot serve, saying which parameter.
    """
    try:
        values, keywords = _parameters(factory)
        for name in values:
            if name not in VALUES:
                raise TypeError(f"`{name}` is not a platform value; options must be keyword-only")
            if name not in kind.values:
                allowed = ", ".join(sorted(kind.values)) or "none"
                raise TypeError(f"the platform value `{name}` is not for {kind.name} (allowed: {allowed})")
        options = []
        for parameter in keywords:
            tree = encode(_annotation(factory, parameter))
            required = parameter.default is parameter.empty
            default = None if required else plain(parameter.default)
            if not required and not has_component(tree):
                check_default(parameter.name, tree, default)
            options.append(Option(name=parameter.name, tree=tree, required=required, default=default))
        attributes = {}
        for name in kind.attributes:
            if not hasattr(factory, name):
                raise TypeError(f"the class attribute `{name}` is missing")
            attributes[name] = plain(getattr(factory, name))
    except (TypeError, ValueError) as error:
        raise PluginError(f"{kind.name} component {getattr(factory, '__qualname__', factory)}: {error}") from error
    return tuple(values), tuple(options), attributes


def check_default(name: str, tree: Tree, default: Any) -> None:
    """A default must satisfy its own annotation.

    Raises:
        TypeError: it does not.
    """
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(decode(tree))
        adapter.validate_json(json.dumps(default), strict=True)
    except ValueError as error:
        raise TypeError(f"the default of `{name}` is {default!r}, which is not {words(tree)}") from error
