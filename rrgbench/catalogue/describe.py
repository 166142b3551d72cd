"""The child process that imports the plugins of one distribution once and writes down what they offer.

``python -m rrgbench.catalogue.describe DISTRIBUTION OUT.json ENTRY_POINT ...``: only the file counts; what plugins print
does not.
"""

from __future__ import annotations

import importlib.metadata
import inspect
import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from rrgbench.catalogue.content import content_version, module_file, own_modules
from rrgbench.catalogue.hints import summary
from rrgbench.catalogue.loading import load_plugin
from rrgbench.catalogue.signature import Spec, maker, read_signature
from rrgbench.errors import PluginError
from rrgbench.hookspecs import GROUP
from rrgbench.interfaces import KINDS


class Described(BaseModel):
    """One entry point of one distribution as the child saw it; ``error`` says why it cannot be used."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    distribution: str
    distribution_version: str
    entry_point: str
    module: str
    hooks: tuple[str, ...] = ()
    specs: tuple[Spec, ...] = ()
    error: str = ""


class Description(BaseModel):
    """What the child saw of a distribution, and the files (size, time of change) that it saw it in."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    records: tuple[Described, ...]
    files: dict[str, tuple[int, int]]


def stamp(path: Path) -> tuple[int, int]:
    """What changes when a file does: its size, and the time of its last change in nanoseconds.

    Raises:
        OSError: it is gone.
    """
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def describe(distribution: str, version: str, entry_point: importlib.metadata.EntryPoint) -> Described:
    """Import one entry point and describe each component, or say what is wrong with it."""
    record = Described(
        distribution=distribution, distribution_version=version, entry_point=entry_point.name, module=entry_point.value
    )
    try:
        plugin = load_plugin(entry_point)
        specs = []
        for kind_name, factories in plugin.factories.items():
            for name, factory in factories.items():
                values, options, attributes = read_signature(KINDS[kind_name], factory)
                made = maker(factory)
                own = vars(made).get("__doc__") if inspect.isclass(made) else getattr(made, "__doc__", None)
                specs.append(
                    Spec(
                        kind=kind_name,
                        name=name,
                        distribution=distribution,
                        entry_point=entry_point.name,
                        summary=summary(own),
                        values=values,
                        options=options,
                        attributes=attributes,
                        version=content_version(factory, distribution, plugin.module.__name__),
                    )
                )
    except PluginError as error:
        return record.model_copy(update={"error": str(error)})
    return record.model_copy(update={"hooks": plugin.hooks, "specs": tuple(specs)})


def _files(distribution: str, points: Sequence[importlib.metadata.EntryPoint]) -> dict[str, tuple[int, int]]:
    """The files of the distribution that were imported, and those that should have been."""
    own = own_modules(distribution)
    names = {name for name in list(sys.modules) if name.partition(".")[0] in own}
    names |= {point.value.partition(":")[0].strip() for point in points}
    found = {path for name in names if (path := module_file(name)) is not None}
    return {str(path): stamp(path) for path in sorted(found)}


def main(arguments: list[str]) -> None:
    """Describe these entry points of the distribution that is named first into the file that is named second."""
    name, out, *wanted = arguments
    distribution = importlib.metadata.distribution(name)
    points = [point for point in distribution.entry_points if point.group == GROUP and point.name in wanted]
    points.sort(key=lambda point: point.name)
    records = tuple(describe(name, distribution.version, point) for point in points)
    Path(out).write_text(Description(records=records, files=_files(name, points)).model_dump_json(), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
