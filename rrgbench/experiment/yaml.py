"""YAML as experiments need it: safe, no duplicate keys, ``1e-4`` a number and ``no`` a word, errors with the line."""

from __future__ import annotations

import math
import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from rrgbench.errors import ConfigError

_LARGEST = 250_000
_MOST_VALUES = 100_000
"""Values of a file with every alias written out: a few lines of aliases can stand for billions."""
_DEEPEST = 60

_CORE = "tag:yaml.org,2002:"


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with the scalars of YAML 1.2 and without silent overwriting."""

    yaml_implicit_resolvers = {
        first: [
            (tag, pattern) for tag, pattern in resolvers if tag.rpartition(":")[2] not in ("bool", "float", "int", "timestamp")
        ]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


_Loader.add_implicit_resolver(f"{_CORE}bool", re.compile(r"^(?:true|True|false|False)$"), list("tTfF"))
_Loader.add_implicit_resolver(f"{_CORE}int", re.compile(r"^[-+]?[0-9]+$"), list("-+0123456789"))
_Loader.add_implicit_resolver(
    f"{_CORE}float",
    re.compile(r"^[-+]?(?:[0-9]+\.[0-9]*(?:[eE][-+]?[0-9]+)?|\.[0-9]+(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+)$"),
    list("-+.0123456789"),
)


def _wrong(node: yaml.Node, problem: str) -> yaml.MarkedYAMLError:
    return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


def _number(loader: _Loader, node: yaml.ScalarNode) -> int | float:
    text = str(loader.construct_scalar(node))
    try:
        value = int(text) if node.tag == f"{_CORE}int" else float(text)
    except ValueError as error:
        raise _wrong(node, f"{text[:40]!r} is not a number") from error
    if not math.isfinite(value):
        raise _wrong(node, f"{text[:40]!r} is too large")
    return value


def _text(loader: _Loader, node: yaml.ScalarNode) -> str:
    text = str(loader.construct_scalar(node))
    try:
        # JSON writes a character beyond the basic plane as two escapes, which PyYAML reads as two halves.
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
    except UnicodeDecodeError as error:
        raise _wrong(node, "half a character (a surrogate escape)") from error


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Hashable, Any]:
    own: set[str] = set()
    for key_node, _ in node.value:
        if key_node.tag != f"{_CORE}merge":
            key = loader.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise _wrong(key_node, f"the key {key!r} is not a word")
            if key in own:
                raise _wrong(key_node, f"the key {key!r} stands twice")
            own.add(key)
    loader.flatten_mapping(node)  # what `<<` brings comes first, so that the mapping's own keys win
    pairs = [(loader.construct_object(key, deep=True), loader.construct_object(value, deep=True)) for key, value in node.value]
    return dict(pairs)


_Loader.add_constructor(f"{_CORE}int", _number)
_Loader.add_constructor(f"{_CORE}float", _number)
_Loader.add_constructor(f"{_CORE}str", _text)
_Loader.add_constructor(f"{_CORE}map", _mapping)
for _foreign in ("binary", "timestamp", "omap", "pairs", "set"):
    del _Loader.yaml_constructors[f"{_CORE}{_foreign}"]


def _measure(node: yaml.Node, known: dict[int, int], above: tuple[int, ...] = ()) -> int:
    """How many values a node stands for with its aliases written out; each node is looked at once."""
    if id(node) in above:
        raise _wrong(node, "an anchor that holds itself")
    if len(above) > _DEEPEST:
        raise _wrong(node, f"deeper than {_DEEPEST} levels")
    if id(node) not in known:
        inner: list[yaml.Node] = []
        if isinstance(node, yaml.SequenceNode):
            inner = list(node.value)
        elif isinstance(node, yaml.MappingNode):
            inner = [part for pair in node.value for part in pair]
        known[id(node)] = 1 + sum(_measure(part, known, (*above, id(node))) for part in inner)
    if known[id(node)] > _MOST_VALUES:
        raise _wrong(node, f"more than {_MOST_VALUES} values")
    return known[id(node)]


def parse_yaml(text: str, where: str) -> Any:
    """Plain data from YAML text.

    Raises:
        ConfigError: not YAML, a duplicate key, a tag, aliases that grow beyond measure; with the line.
    """
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            _measure(node, {})
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = f", line {mark.line + 1}" if mark else ""
        raise ConfigError(f"{where}{line}: not readable as YAML", got=error.problem) from error
    except RecursionError as error:
        raise ConfigError(f"{where}: not readable as YAML", got="too many levels", expected=f"at most {_DEEPEST}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{where}: not readable as YAML", got=error) from error


def read_yaml(path: Path) -> Any:
    """Plain data from a YAML file.

    Raises:
        ConfigError: missing, too large, not UTF-8, not YAML.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(_LARGEST + 1)
        if len(raw) > _LARGEST:
            raise ConfigError(f"{path}: too large", got=f"more than {_LARGEST} bytes", expected="an experiment")
        text = raw.decode("utf-8")
    except FileNotFoundError as error:
        near = sorted(p.name for p in path.parent.glob("*.yaml")) if path.parent.is_dir() else []
        raise ConfigError(f"{path}: no such file", hint=f"there: {', '.join(near)}" if near else "") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read", got=error.strerror) from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        got = f"byte {error.object[error.start]:#04x}"
        raise ConfigError(f"{path}, line {line}: not UTF-8 text", got=got) from error
    return parse_yaml(text, str(path))


class _Dumper(yaml.SafeDumper):
    """Writes what this reader, and any other, takes for the same: a word that either would take for a number is quoted."""

    yaml_implicit_resolvers = {
        first: [
            *yaml.SafeDumper.yaml_implicit_resolvers.get(first, []),
            *_Loader.yaml_implicit_resolvers.get(first, []),
        ]
        for first in {**yaml.SafeDumper.yaml_implicit_resolvers, **_Loader.yaml_implicit_resolvers}
    }

    def ignore_aliases(self, data: Any) -> bool:
        return True


def dump_yaml(value: Any) -> str:
    """Plain data as YAML text that ``parse_yaml`` reads as the same data."""
    return str(yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120))
