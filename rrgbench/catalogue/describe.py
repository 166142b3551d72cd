"""The child process that imports the plugins of one distribution once and writes down what they offer.

``python -m rrgbench.catalogue.describe DISTRIBUTION OUT.json``: only the file counts; what plugins print does not.
"""

from __future__ import annotations

import importlib.metadata
import inspect
import json
import sys
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from rrgbench.catalogue.loading import content_version, load_plugin
from rrgbench.catalogue.schema import Spec, read_signature
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


def _summary(factory: object) -> str:
    return (inspect.getdoc(factory) or "").strip().partition("\n")[0][:200]


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
                specs.append(
                    Spec(
                        kind=kind_name,
                        name=name,
                        distribution=distribution,
                        entry_point=entry_point.name,
                        summary=_summary(factory),
                        values=values,
                        options=options,
                        attributes=attributes,
                        version=content_version(factory),
                    )
                )
    except PluginError as error:
        return record.model_copy(update={"error": str(error)})
    return record.model_copy(update={"hooks": plugin.hooks, "specs": tuple(specs)})


def main(arguments: list[str]) -> None:
    """Describe the distribution that is named first into the file that is named second."""
    name, out = arguments
    distribution = importlib.metadata.distribution(name)
    points = sorted((p for p in distribution.entry_points if p.group == GROUP), key=lambda point: point.name)
    records = [describe(name, distribution.version, point).model_dump(mode="json") for point in points]
    Path(out).write_text(json.dumps(records), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
