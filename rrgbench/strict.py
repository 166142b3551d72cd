"""From plain data to checked configurations: every mistake with its field, what was got and what is expected."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from rrgbench.catalogue import did_you_mean
from rrgbench.errors import ConfigError, collect, placed


class Strict(BaseModel):
    """Read from YAML: no unknown keys, no silent conversions, no infinities."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def parse(model: type[BaseModel], value: Any, where: str) -> Any:
    """Validate plain data, with one error a mistake; ``where`` names the file, if there is one.

    Raises:
        ConfigError, ManyErrors: field, got, expected.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        mistakes = [_mistake(model, place, items) for place, items in _by_place(error, value).items()]
        collect([placed(mistake, f"{where}: ") if where else mistake for mistake in mistakes])
        raise


_Place = tuple[int | str, ...]


def _by_place(error: ValidationError, value: Any) -> dict[_Place, list[Any]]:
    """pydantic's complaints by the place in the data: those of the members of a union are of one place.

    A union's members complain each for itself; where one of them got further inside, only its complaint says something.
    """
    found: dict[_Place, list[Any]] = {}
    inside: set[_Place] = set()
    for item in error.errors():
        place: _Place = ()
        here, unions = value, list[_Place]()
        for part in item["loc"]:
            within = (isinstance(here, Mapping) and part in here) or (isinstance(here, list) and part in range(len(here)))
            if within:
                place, here = (*place, part), here[part]
            elif item["type"] in ("missing", "extra_forbidden") and part == item["loc"][-1]:
                place = (*place, part)
            elif part != "[key]":
                unions.append(place)
        inside |= {outer for outer in unions if outer != place}
        found.setdefault(place, []).append(item)
    return {place: items for place, items in found.items() if place not in inside}


def _mistake(model: type[BaseModel], place: _Place, items: Sequence[Any]) -> ConfigError:
    name = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).removeprefix(".")
    first = items[0]
    if first["type"] == "extra_forbidden":
        return ConfigError(f"{name}: no such key", hint=did_you_mean(str(place[-1]), _keys(model, place)))
    if first["type"] == "missing":
        return ConfigError(f"{name} is missing")
    expected = " or ".join(dict.fromkeys(_expected(str(item["msg"])) for item in items))
    got = "null" if first["input"] is None else repr(first["input"])
    return ConfigError(name or "the top level", got=got, expected=expected)


def _expected(message: str) -> str:
    for beginning in ("Input should be ", "Value error, ", "List should have ", "Dictionary should have "):
        message = message.removeprefix(beginning)
    return message


def _types(annotation: Any) -> Iterator[Any]:
    """A type and those inside it: ``dict[str, X | None]`` holds X."""
    yield annotation
    for inner in getattr(annotation, "__args__", ()):
        yield from _types(inner)


def _keys(model: Any, place: _Place) -> list[str]:
    """The keys that are known where an unknown one stood."""
    for part in place[:-1]:
        field = model.model_fields.get(str(part)) if isinstance(model, type) and issubclass(model, BaseModel) else None
        if field is not None:
            inner = [c for c in _types(field.annotation) if isinstance(c, type) and issubclass(c, BaseModel)]
            model = inner[0] if inner else model
    return list(model.model_fields)
