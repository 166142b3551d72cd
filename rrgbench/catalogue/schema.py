"""Types of options as data.

The question wing validates options without importing the plugin, so annotations become small JSON trees
(``{"type": "int", "ge": 1}``) that pydantic types are rebuilt from.
"""

from __future__ import annotations

import json
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
from pydantic import AllowInfNan, BeforeValidator, Field, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from rrgbench.interfaces import KINDS

Tree = dict[str, Any]

_TYPES: Mapping[str, Any] = {"none": None, "bool": bool, "int": int, "float": float, "str": str, "path": Path}
_LIMITS: Mapping[str, frozenset[str]] = {
    "int": frozenset({"ge", "gt", "le", "lt", "multiple_of"}),
    "float": frozenset({"ge", "gt", "le", "lt", "multiple_of"}),
    "str": frozenset({"min_length", "max_length", "pattern"}),
    "list": frozenset({"min_length", "max_length"}),
    "mapping": frozenset({"min_length", "max_length"}),
}
_SIGNS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<", "min_length": "length >=", "max_length": "length <="}
_UNION_ORDER = ("none", "literal", "bool", "int", "float", "str", "list", "tuple", "mapping", "path", "component")
"""A value in a union is of the first of these that it fits."""


def _constraints(metadata: Sequence[Any]) -> Tree:
    """Limits among an annotation's metadata; other metadata says nothing of the value.

    Raises:
        TypeError: a limit that cannot be written as data.
    """
    found: Tree = {}
    for item in metadata:
        if isinstance(item, FieldInfo):
            found |= _constraints(item.metadata)
        elif isinstance(item, annotated_types.GroupedMetadata):
            found |= _constraints(list(item))
        elif isinstance(item, (annotated_types.BaseMetadata, AllowInfNan)):
            for name in (*_SIGNS, "multiple_of", "pattern"):
                if (value := getattr(item, name, None)) is not None:
                    found[name] = str(getattr(value, "pattern", value)) if name == "pattern" else value
                    break
            else:
                if not isinstance(item, AllowInfNan):  # infinities have no place in an experiment anyway
                    raise TypeError(f"the constraint {item!r} cannot be written in an experiment file")
    return found


def _limited(tree: Tree, limits: Tree) -> Tree:
    """The tree with limits; those of a union are those of its members."""
    if not limits:
        return tree
    if tree["type"] == "union":
        return {"type": "union", "of": [item if item["type"] == "none" else _limited(item, limits) for item in tree["of"]]}
    if foreign := sorted(set(limits) - _LIMITS.get(tree["type"], frozenset())):
        raise TypeError(f"the constraint {foreign[0]} says nothing of {words(tree)}")
    return tree | limits


def _union(members: list[Tree]) -> Tree:
    """A union whose members can be told apart in an experiment file."""
    flat = [inner for item in members for inner in (item["of"] if item["type"] == "union" else [item])]
    kinds = [item["type"] for item in flat]
    if "path" in kinds and "str" in kinds:
        raise TypeError("str and Path in one union cannot be told apart")
    if "component" in kinds and ({"str", "path", "mapping"} & set(kinds) or kinds.count("component") > 1):
        raise TypeError("a component and another of its type cannot be told apart in one union")
    return {"type": "union", "of": flat}


def encode(annotation: Any) -> Tree:
    """An annotation as a tree.

    Raises:
        TypeError: an annotation that has no place in an experiment file.
    """
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _limited(encode(arguments[0]), _constraints(arguments[1:]))
    if origin is Literal and all(value is None or type(value) in (bool, int, str) for value in arguments):
        return {"type": "literal", "values": list(arguments)}
    if origin in (Union, types.UnionType):
        return _union([encode(item) for item in arguments])
    tree = _simple(annotation) if origin is None else _container(origin, arguments)
    if tree is None:
        raise TypeError(f"the annotation {annotation!r} cannot be written in an experiment file")
    return tree


def _simple(annotation: Any) -> Tree | None:
    for name, known in _TYPES.items():
        if annotation is known or (known is None and annotation is type(None)):
            return {"type": name}
    kinds = (kind for kind in KINDS.values() if annotation is kind.protocol)
    return next(({"type": "component", "kind": kind.name} for kind in kinds), None)


def _container(origin: Any, arguments: tuple[Any, ...]) -> Tree | None:
    if origin is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
        return {"type": "list", "as": "tuple", "of": encode(arguments[0])}
    if origin is tuple:
        return {"type": "tuple", "of": [encode(item) for item in arguments]}
    if origin in (list, Sequence):
        return {"type": "list", "of": encode(arguments[0])}
    if origin in (dict, Mapping) and arguments[0] is str:
        return {"type": "mapping", "of": encode(arguments[1])}
    return None


def _exactly(values: Sequence[Any]) -> BeforeValidator:
    """One of these, of the same type: pydantic takes ``true`` for 1."""

    def check(value: Any) -> Any:
        if not any(type(value) is type(known) and value == known for known in values):
            raise ValueError("not one of the values")
        return value

    return BeforeValidator(check)


def decode(tree: Tree) -> Any:
    """The annotation that a tree stands for; a component is Any (it is resolved elsewhere)."""
    what = tree["type"]
    if what == "component":
        return Any
    if what == "literal":
        return Annotated[Literal[tuple(tree["values"])], _exactly(tree["values"])]
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
    limits = {key: tree[key] for key in _LIMITS.get(what, ()) if key in tree}
    return Annotated[base, Field(**limits)] if limits else base


def inner_trees(tree: Tree) -> list[Tree]:
    """The trees directly inside a tree."""
    inner = tree.get("of", [])
    return list(inner) if isinstance(inner, list) else [inner]


def holds(tree: Tree, what: str) -> bool:
    """Whether a type (``path``, ``component``) stands somewhere in the tree."""
    return tree["type"] == what or any(holds(item, what) for item in inner_trees(tree))


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
    limits = ", ".join(f"{_SIGNS.get(key, key)} {tree[key]}" for key in (*_SIGNS, "multiple_of", "pattern") if key in tree)
    prefix = {"list": "list of ", "mapping": "mapping of name to ", "none": "null"}.get(str(what), str(what))
    name = prefix + (words(tree["of"]) if "of" in tree else "")
    return f"{name} {limits}" if limits else name


class Mismatch(Exception):
    """A value that is not what a tree asks for: which part of it, and what was asked for there."""

    def __init__(self, place: str, value: Any, tree: Tree) -> None:
        super().__init__(f"{value!r} is not {words(tree)}")
        self.place, self.value, self.tree = place, value, tree


@cache
def _adapter(tree: str) -> TypeAdapter[Any]:
    """pydantic's validator for a tree: making one costs more than a grid's every use of it."""
    return TypeAdapter(decode(json.loads(tree)))


def check(tree: Tree, value: Any) -> None:
    """Whether JSON data is what the tree asks for: strictly, so that true is no int, "3" no number and 1.0 no int.

    Raises:
        Mismatch: it is not.
    """
    try:
        for place, key in _keys(value):
            if not isinstance(key, str):
                raise Mismatch(place, key, {"type": "str"})
        _adapter(json.dumps(tree)).validate_json(json.dumps(value, allow_nan=False), strict=True)
    except ValidationError as error:
        raise _mismatch(error.errors()[0]["loc"], tree, value) from error
    except (TypeError, ValueError, RecursionError) as error:  # not JSON: a date, NaN, an anchor inside itself
        raise Mismatch("", value, tree) from error


def _mismatch(location: tuple[int | str, ...], tree: Tree, value: Any) -> Mismatch:
    """The innermost part of a value that pydantic's location names; inside a union it names types, not places."""
    place = ""
    for part in location:
        if tree["type"] == "mapping" and isinstance(value, Mapping) and part in value:
            place, tree, value = f"{place}.{part}", tree["of"], value[part]
        elif tree["type"] in ("list", "tuple") and isinstance(value, (list, tuple)) and part in range(len(value)):
            inner = tree["of"] if tree["type"] == "list" else tree["of"][int(part)]
            place, tree, value = f"{place}[{part}]", inner, value[int(part)]
        else:
            break
    return Mismatch(place, value, tree)


def _keys(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Every key of every mapping in a value: JSON would turn 1 into "1"."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield place, key
            yield from _keys(item, f"{place}.{key}")
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from _keys(item, f"{place}[{index}]")


def _fits(tree: Tree, value: Any) -> bool:
    try:
        check(tree, value)
    except Mismatch:
        return False
    return True


def fold(tree: Tree, value: Any, leaf: Callable[[Tree, Any, str], Any], place: str = "") -> Any:
    """A checked value rebuilt with every leaf changed: lists become lists or tuples, mappings dicts.

    Args:
        tree: what the value is.
        value: JSON data that satisfies the tree.
        leaf: (tree, value, place) to what takes its place, for everything that is no list, tuple or mapping.
        place: where the value stands, for errors.
    """
    what = tree["type"]
    if what == "union":
        members = sorted(tree["of"], key=lambda item: _UNION_ORDER.index(item["type"]))
        return fold(next(item for item in members if _fits(item, value)), value, leaf, place)
    if what == "list":
        items = [fold(tree["of"], item, leaf, f"{place}[{index}]") for index, item in enumerate(value)]
        return tuple(items) if tree.get("as") == "tuple" else items
    if what == "tuple":
        pairs = zip(tree["of"], value, strict=True)
        return tuple(fold(inner, item, leaf, f"{place}[{index}]") for index, (inner, item) in enumerate(pairs))
    if what == "mapping":
        return {key: fold(tree["of"], item, leaf, f"{place}.{key}") for key, item in value.items()}
    return leaf(tree, value, place)
