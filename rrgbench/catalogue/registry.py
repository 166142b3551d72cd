"""Names -> what is installed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rrgbench.catalogue.component import Component
from rrgbench.catalogue.describe import Described
from rrgbench.catalogue.hints import did_you_mean
from rrgbench.catalogue.installed import describe_installed, normal
from rrgbench.catalogue.options import fill_options
from rrgbench.catalogue.signature import Spec
from rrgbench.errors import ConfigError, PluginError
from rrgbench.interfaces import KINDS

_DEEPEST = 30
"""How deep options may lie inside one another."""


@dataclass(frozen=True)
class Catalogue:
    """Everything that is installed: the described entry points and their components by kind and name."""

    records: tuple[Described, ...]
    specs: Mapping[str, Mapping[str, tuple[Spec, ...]]] = field(repr=False)

    @classmethod
    def load(cls, again: bool = False) -> Catalogue:
        """Read the entry points and their kept descriptions; describe what is new or changed, and ``again`` what is broken."""
        return cls.of(sorted(describe_installed(again), key=lambda record: (record.distribution, record.entry_point)))

    @classmethod
    def of(cls, records: Sequence[Described]) -> Catalogue:
        """A catalogue of these records."""
        specs: dict[str, dict[str, tuple[Spec, ...]]] = {kind: {} for kind in KINDS}
        for record in records:
            for spec in record.specs:
                specs[spec.kind][spec.name] = (*specs[spec.kind].get(spec.name, ()), spec)
        return cls(tuple(records), specs)

    def broken(self) -> tuple[Described, ...]:
        """The entry points that cannot be used."""
        return tuple(record for record in self.records if record.error)

    def unknown(self, name: str, known: Sequence[str]) -> str:
        """A hint for a component that is not there: what is, what comes close, and which plugins are broken."""
        broken = ", ".join(f"{record.distribution}/{record.entry_point}" for record in self.broken())
        more = f". Broken plugins: {broken} (rrgbench plugins list says why)" if broken else ""
        return did_you_mean(name, known) + more

    def find(self, kind: str, name: str, where: str) -> Spec:
        """The component of that name; ``distribution/name`` always works.

        Raises:
            ConfigError: no such component; the installed ones and the broken plugins are named.
            PluginError: two distributions offer it, or the distribution that is named is broken.
        """
        distribution, _, short = name.rpartition("/")
        every = self.specs[kind].get(short, ())
        offered = [spec for spec in every if not distribution or normal(spec.distribution) == normal(distribution)]
        if len(offered) == 1:
            return offered[0]
        if offered:
            names = sorted({f"{spec.distribution}/{spec.name}" for spec in offered})
            points = sorted(f"{spec.distribution}/{spec.entry_point}" for spec in offered)
            apart = len(names) == len(offered)
            hint = f"write one of {' and '.join(names)}" if apart else "block one with RRGBENCH_DISABLE_PLUGINS"
            raise PluginError(f"{where}: {short!r} is offered twice, by the plugins {' and '.join(points)}", hint=hint)
        broken = [record for record in self.broken() if distribution and normal(record.distribution) == normal(distribution)]
        if broken:
            record = min(broken, key=lambda record: record.entry_point != short)
            hint = "rrgbench plugins list says what else is broken" if len(broken) > 1 else ""
            raise PluginError(f"{where}: {record.distribution}/{record.entry_point} is broken", got=record.error, hint=hint)
        if every:
            names = sorted(f"{spec.distribution}/{spec.name}" for spec in every)
            raise ConfigError(f"{where}: no {kind} component of that name", got=repr(name), expected=" or ".join(names))
        hint = self.unknown(short, list(self.specs[kind]))
        raise ConfigError(f"{where}: no {kind} component of that name", got=repr(name), hint=hint)

    def resolve(self, kind: str, value: Any, where: str) -> Component:
        """What an experiment says (a name, or a mapping with ``name`` and options) as a component with every option filled in.

        Raises:
            ConfigError, ManyErrors, PluginError: unknown names, unknown options, wrong types.
        """
        if isinstance(value, str):
            value = {"name": value}
        if not isinstance(value, Mapping) or not isinstance(value.get("name"), str):
            raise ConfigError(where, got=repr(value), expected=f"the name of a {kind} component, or a mapping with `name`")
        spec = self.find(kind, value["name"], where)
        if where.count(".") > _DEEPEST:
            hint = "a component whose default choice is itself never ends: name another one"
            raise PluginError(f"{where[:80]}..: too many components inside components, the last is {spec.name}", hint=hint)
        given = {key: item for key, item in value.items() if key != "name"}
        return Component(
            kind=kind,
            name=spec.name,
            distribution=spec.distribution,
            entry_point=spec.entry_point,
            version=spec.version,
            values=spec.values,
            attributes=spec.attributes,
            options=fill_options(self.resolve, spec, given, where),
        )
