"""One root of all errors that are the user's to mend: what, got, expected, hint, in one line."""

from __future__ import annotations

from collections.abc import Sequence


def _flat(text: object) -> str:
    """Text from anywhere, on one line and without control characters, so that an error cannot draw on the terminal."""
    line = " ".join(str(text).split())
    return "".join(character if character.isprintable() else "?" for character in line)


class RRGBenchError(Exception):
    """A mistake that the user can mend.

    Args:
        what: what is wrong, naming the file and the field.
        got: what was found there.
        expected: what would have been right.
        hint: what to do about it.
    """

    def __init__(self, what: str, *, got: object = None, expected: object = None, hint: str = "") -> None:
        self.what, self.got, self.expected, self.hint = what, got, expected, hint
        parts = [_flat(what)]
        if got is not None:
            parts.append(f"got {_flat(got)[:300]}")
        if expected is not None:
            parts.append(f"expected {_flat(expected)[:300]}")
        line = "; ".join(parts)
        super().__init__(f"{line}. Hint: {_flat(hint)}" if hint else line)


class ConfigError(RRGBenchError):
    """An experiment, a cell or an option is not what it should be."""


class DataError(RRGBenchError):
    """A data set's files are not what they should be."""


class PluginError(RRGBenchError):
    """A plugin cannot be used."""


class StoreError(RRGBenchError):
    """The store cannot be read or written."""


class RankLost(RRGBenchError):
    """Another of the processes that train together is gone."""


class ManyErrors(RRGBenchError):
    """Several mistakes, told together before anything ran."""

    def __init__(self, errors: Sequence[RRGBenchError]) -> None:
        self.errors = tuple({str(error): error for error in errors}.values())
        super().__init__(f"{len(self.errors)} mistakes: " + " | ".join(str(error) for error in self.errors))


def placed(error: RRGBenchError, place: str) -> RRGBenchError:
    """The same mistake with the place where it was made in front."""
    if isinstance(error, ManyErrors):
        return ManyErrors([placed(one, place) for one in error.errors])
    return type(error)(f"{place}{error.what}", got=error.got, expected=error.expected, hint=error.hint)


def collect(errors: Sequence[RRGBenchError]) -> None:
    """Raise nothing, the one error, or all of them together."""
    flat = [e for error in errors for e in (error.errors if isinstance(error, ManyErrors) else (error,))]
    unique = list({str(error): error for error in flat}.values())
    if len(unique) == 1:
        raise unique[0]
    if unique:
        raise ManyErrors(unique)
