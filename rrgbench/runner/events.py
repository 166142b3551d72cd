"""Who is told of a run: the shell's progress display, and the plugins that answer event hooks."""

from __future__ import annotations

import importlib.metadata
import logging
from collections.abc import Mapping
from typing import Any, Protocol

import pluggy

from rrgbench import hookspecs
from rrgbench.catalogue import Catalogue
from rrgbench.catalogue.loading import load_plugin
from rrgbench.errors import PluginError
from rrgbench.plan import Step

_log = logging.getLogger("rrgbench")


class Listener(Protocol):
    """Told of a run as it goes."""

    def planned(self, steps: int, done: int) -> None: ...

    def started(self, step: Step) -> None: ...

    def progressed(self, step: Step, done: int, total: int, note: str) -> None: ...

    def finished(self, step: Step, result: str, error: str) -> None: ...


class Silent:
    """A listener that tells nobody."""

    def planned(self, steps: int, done: int) -> None:
        """Nothing."""

    def started(self, step: Step) -> None:
        """Nothing."""

    def progressed(self, step: Step, done: int, total: int, note: str) -> None:
        """Nothing."""

    def finished(self, step: Step, result: str, error: str) -> None:
        """Nothing."""


class Hooks:
    """The event hooks of those plugins that answer one; only these are imported here, and none can stop a run."""

    _EVENTS = ("rrgbench_step_started", "rrgbench_epoch_finished", "rrgbench_step_finished", "rrgbench_row_written")

    def __init__(self, catalogue: Catalogue) -> None:
        self._manager = pluggy.PluginManager(hookspecs.GROUP)
        self._manager.add_hookspecs(hookspecs)
        for record in catalogue.records:
            if not set(record.hooks) & set(self._EVENTS):
                continue
            for point in importlib.metadata.distribution(record.distribution).entry_points.select(
                group=hookspecs.GROUP, name=record.entry_point
            ):
                try:
                    self._manager.register(load_plugin(point).module, name=f"{record.distribution}/{record.entry_point}")
                except PluginError as error:
                    _log.warning("%s", error)

    def tell(self, event: str, **arguments: Any) -> None:
        """Call every implementation of an event; one that raises is logged and the others are called all the same."""
        for implementation in getattr(self._manager.hook, event).get_hookimpls():
            try:
                implementation.function(**{name: arguments[name] for name in implementation.argnames})
            except Exception as error:  # noqa: BLE001 - somebody else's code must not end a run
                _log.warning("plugin %s: %s raised %s: %s", implementation.plugin_name, event, type(error).__name__, error)


def told_step(step: Step) -> Mapping[str, Any]:
    """What hooks learn of a step."""
    return {"id": step.id, "kind": step.kind, "title": step.title}
