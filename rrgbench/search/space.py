"""From the space of a search file to dimensions: component places opened, options read from signatures, every mistake kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import partial
from typing import Any, TypeVar

from rrgbench.catalogue import Catalogue, Spec, did_you_mean
from rrgbench.cell import MODULES
from rrgbench.errors import ConfigError, RRGBenchError
from rrgbench.interfaces import SOURCES
from rrgbench.search.config import Choices, Components, Range
from rrgbench.search.dimensions import Dimension, Left, Space, declared_dimensions, labels_of
from rrgbench.strict import Strict, parse

T = TypeVar("T")
_NONE = "none"


def kind_at(path: str) -> str | None:
    """The kind of component that stands at a path of a cell; None where none does."""
    match path.split("."):
        case ["dataset"]:
            return "datasets"
        case ["fusion"]:
            return "fusions"
        case ["decoder"]:
            return "decoders"
        case ["tokenizer"]:
            return "tokenizers"
        case ["labels"]:
            return "annotators"
        case ["masks"]:
            return "segmenters"
        case ["encoders", source] if source in SOURCES:
            return f"{source}_encoders"
        case ["stages", _, "adapters", module] if module in MODULES:
            return "adapters"
        case ["stages", _, "losses", _]:
            return "losses"
    return None


class _Chosen:
    """A component of a components dimension: how it is written, and what is known of it."""

    def __init__(self, label: str, spec: Spec | None, fixed: Mapping[str, Any]) -> None:
        self.label, self.spec, self.fixed = label, spec, fixed

    @property
    def value(self) -> Any:
        return None if self.spec is None else {"name": self.label, **self.fixed}


class _Reader:
    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self.errors: list[RRGBenchError] = []
        self.left: list[Left] = []

    def attempt(self, make: Callable[[], T]) -> T | None:
        try:
            return make()
        except RRGBenchError as error:
            self.errors.append(error)
            return None

    def read(self, raw: Mapping[str, Any]) -> Space:
        parsed = {path: one for path, value in raw.items() if (one := self.attempt(partial(_parsed, path, value))) is not None}
        among = {path: self.chosen(path, one) for path, one in parsed.items() if isinstance(one, Components)}
        written: dict[str, dict[str, Dimension]] = {path: {} for path in among}
        made: dict[str, list[Dimension]] = {}
        for path, one in parsed.items():
            if isinstance(one, Components):
                continue
            place = next((place for place in among if path.startswith(f"{place}.")), None)
            if place is None:
                self.attempt(partial(_inside_no_other, path, raw))
                dimension = self.attempt(partial(_made, path, path, one))
                made[path] = [dimension] if dimension else []
            elif among[place]:
                option = self.attempt(partial(self.option, path, one, place, among[place]))
                if option is not None:
                    written[place][option.name] = option
        for path, one in parsed.items():
            if isinstance(one, Components):
                made[path] = self.opened(path, one, among[path], written[path])
        return Space(tuple(dimension for path in raw for dimension in made.get(path, [])), tuple(self.left))

    def chosen(self, path: str, one: Components) -> list[_Chosen]:
        """The components of a place."""
        kind = kind_at(path)
        if kind is None:
            hint = "fusion, decoder, tokenizer, dataset, labels, encoders.*, stages.*.adapters.*, stages.*.losses.* are"
            self.errors.append(ConfigError(f"space.{path}: not the place of a component", hint=hint))
            return []
        if one.components == "all":
            found = self.installed(path, kind)
        else:
            named = [self.attempt(partial(self.named, path, kind, item)) for item in one.components]
            found = [item for item in named if item is not None]
        labels = [item.label for item in found]
        for label in sorted({label for label in labels if labels.count(label) > 1}):
            self.errors.append(ConfigError(f"space.{path}.components", got=f"{label!r} twice", expected="each component once"))
        if not found and not self.errors:
            self.errors.append(ConfigError(f"space.{path}: no {kind} component can be chosen"))
        return found

    def installed(self, path: str, kind: str) -> list[_Chosen]:
        """Every installed component of a kind that needs no option; one whose name is offered twice by its long name."""
        found = []
        for name, specs in sorted(self.catalogue.specs[kind].items()):
            for spec in specs:
                label = name if len(specs) == 1 else f"{spec.distribution}/{name}"
                required = [option.name for option in spec.options if option.required]
                if required:
                    self.left.append(Left(f"{path}.{label}", f"it needs the option {required[0]}: name it in the search file"))
                else:
                    found.append(_Chosen(label, spec, {}))
        return found

    def named(self, path: str, kind: str, item: Any) -> _Chosen:
        if item is None:
            return _Chosen(_NONE, None, {})
        given = {"name": item} if isinstance(item, str) else item
        if not isinstance(given, Mapping) or not isinstance(given.get("name"), str):
            expected = f"the name of a {kind} component, or a mapping with `name`"
            raise ConfigError(f"space.{path}.components", got=repr(item), expected=expected)
        spec = self.catalogue.find(kind, given["name"], f"space.{path}")
        return _Chosen(given["name"], spec, {key: value for key, value in given.items() if key != "name"})

    def option(self, path: str, one: Choices | Range, place: str, among: list[_Chosen]) -> Dimension:
        """A range that the search file gives for an option of one component of a place: ``place.component.option``."""
        rest = path.removeprefix(f"{place}.")
        owner = next((item for item in among if item.spec and rest.startswith(f"{item.label}.")), None)
        if owner is None or owner.spec is None:
            hint = did_you_mean(rest.rpartition(".")[0], [item.label for item in among])
            raise ConfigError(
                f"space.{path}: not an option of a component of space.{place}", hint=f"PLACE.COMPONENT.OPTION; {hint}"
            )
        name, known = rest.removeprefix(f"{owner.label}."), [option.name for option in owner.spec.options]
        if name not in known:
            raise ConfigError(f"space.{path}: {owner.label} has no such option", got=repr(name), hint=did_you_mean(name, known))
        return _made(path, f"{place}.{name}", one, (place, owner.label))

    def opened(self, path: str, one: Components, among: list[_Chosen], written: dict[str, Dimension]) -> list[Dimension]:
        """The dimension of a component place, and behind it those of the components' options."""
        if not among:
            return []
        labels = tuple(item.label for item in among)
        dimensions = [Dimension(name=path, path=path, choices=tuple(item.value for item in among), labels=labels)]
        for item in among:
            declared: list[Dimension] = []
            if one.options and item.spec:
                declared, left = declared_dimensions(item.spec, path, (path, item.label), item.fixed)
                self.left += [option for option in left if option.name not in written]
            own = {dimension.name: dimension for dimension in declared}
            own |= {name: dimension for name, dimension in written.items() if dimension.when == (path, item.label)}
            dimensions += own.values()
        return dimensions


def _parsed(path: str, value: Any) -> Choices | Range | Components:
    """One dimension as it is written."""
    models: dict[str, type[Strict]] = {"choices": Choices, "components": Components, "low": Range, "high": Range}
    keys = [key for key in models if isinstance(value, Mapping) and key in value]
    if not keys:
        expected = "{choices: [..]}, {low: .., high: ..}, or {components: [..] or all}"
        raise ConfigError(f"space.{path}", got=repr(value), expected=expected)
    one: Choices | Range | Components = parse(models[keys[0]], value, f"space.{path}")
    return one


def _inside_no_other(path: str, raw: Mapping[str, Any]) -> None:
    """A dimension replaces the whole value at its path: nothing inside it can be another dimension.

    Raises:
        ConfigError: it is inside one.
    """
    outer = next((other for other in raw if path.startswith(f"{other}.")), None)
    if outer is not None:
        hint = "`components` of a place have dimensions for their options"
        raise ConfigError(f"space.{path} lies inside space.{outer}", hint=hint)


def _made(name: str, path: str, one: Choices | Range, when: tuple[str, str] | None = None) -> Dimension:
    """A dimension of written values.

    Raises:
        ConfigError: it is empty.
    """
    if isinstance(one, Choices):
        labels = labels_of(tuple(one.choices))
        if len(set(labels)) < len(labels):
            raise ConfigError(f"space.{name}.choices", got=one.choices, expected="each value once")
        return Dimension(name=name, path=path, choices=tuple(one.choices), labels=labels, when=when)
    place = f"space.{name}"
    if one.low >= one.high:
        got, hint = f"low {one.low}, high {one.high}", "one value is written {choices: [value]}"
        raise ConfigError(place, got=got, expected="low below high", hint=hint)
    if one.log and (one.low <= 0 or one.step is not None):
        got = f"low {one.low}" if one.low <= 0 else f"step {one.step}"
        raise ConfigError(place, got=f"log with {got}", expected="a low above 0, and no step")
    if one.step is not None and (one.step <= 0 or (Decimal(str(one.high)) - Decimal(str(one.low))) % Decimal(str(one.step))):
        raise ConfigError(f"{place}.step", got=one.step, expected=f"steps that lead from {one.low} to {one.high}")
    whole = all(isinstance(number, int) for number in (one.low, one.high, one.step or 0))
    return Dimension(name=name, path=path, low=one.low, high=one.high, step=one.step, log=one.log, whole=whole, when=when)


def read_space(catalogue: Catalogue, raw: Mapping[str, Any]) -> tuple[Space, list[RRGBenchError]]:
    """The dimensions of a search file's space, and every mistake in them."""
    reader = _Reader(catalogue)
    space = reader.read(raw)
    return space, reader.errors
