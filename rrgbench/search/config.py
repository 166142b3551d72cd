"""A search as it is written: a base cell, a space over dotted paths, and what decides. Read from YAML."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from rrgbench.errors import ConfigError
from rrgbench.experiment import SelectConfig
from rrgbench.experiment.paths import set_path
from rrgbench.experiment.yaml import parse_yaml, read_yaml
from rrgbench.strict import Strict, parse

Seed = Annotated[int, Field(ge=0, lt=2**63)]


class PrunerConfig(Strict):
    """When a trial is stopped: its best value so far is worse than the median of the complete trials' at the same rung.

    ``startup``: complete trials before any is stopped. ``warmup``: rungs at the beginning of each trial after which it is not.
    """

    name: Literal["median"] = "median"
    startup: Annotated[int, Field(ge=0)] = 5
    warmup: Annotated[int, Field(ge=0)] = 0


class SamplerConfig(Strict):
    """Who proposes trials. ``startup``: finished trials before which proposals are random."""

    name: Literal["tpe"] = "tpe"
    seed: Seed = 0
    startup: Annotated[int, Field(ge=1)] = 10


class BestConfig(Strict):
    """What the experiment file of the best cell asks for. Left out: three seeds that no trial had, the search's metrics."""

    seeds: Annotated[list[Seed], Field(min_length=1)] | None = None
    floors: list[Any] = []
    metrics: Annotated[list[Any], Field(min_length=1)] | None = None


class Choices(Strict):
    """One of these values, whatever they are."""

    choices: Annotated[list[Any], Field(min_length=1)]


class Range(Strict):
    """A number between two, both included; whole where both ends are and the place takes no other."""

    low: int | float
    high: int | float
    log: bool = False
    step: int | float | None = None


class Components(Strict):
    """One of these components (names, or mappings with options that stay as they are; null for none), or every installed one.

    ``options``: search what the signatures of the components declare, too.
    """

    components: Literal["all"] | Annotated[list[Any], Field(min_length=1)]
    options: bool = False


class SearchConfig(Strict):
    """A search file."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$")]
    question: str = ""
    base: dict[str, Any]
    space: Annotated[dict[str, Any], Field(min_length=1)]
    trials: Annotated[int, Field(ge=1, le=100_000)]
    seeds: Annotated[list[Seed], Field(min_length=1)] = [0]
    objective: SelectConfig
    metrics: Annotated[list[Any], Field(min_length=1)]
    protocol: Any = None
    pruner: PrunerConfig | None = PrunerConfig()
    sampler: SamplerConfig = SamplerConfig()
    best: BestConfig = BestConfig()

    def fresh_seeds(self) -> list[int]:
        """The seeds of the exported experiment."""
        return self.best.seeds or list(itertools.islice((seed for seed in itertools.count() if seed not in self.seeds), 3))

    def experiment(self, base: Any, metrics: Sequence[Any], seeds: Sequence[int]) -> dict[str, Any]:
        """An experiment of one cell as plain data; its checkpoint is chosen by the objective."""
        protocol = {} if self.protocol is None else {"protocol": self.protocol}
        select = {"metric": self.objective.metric}
        return {"name": self.name, "base": base, "seeds": list(seeds), "metrics": list(metrics), **protocol, "select": select}


@dataclass(frozen=True)
class Search:
    """A search as it was written, with overrides applied."""

    config: SearchConfig
    where: str

    @classmethod
    def load(cls, path: str | Path, overrides: Sequence[str] = ()) -> Search:
        """Read a search file; ``overrides`` are ``dotted.path=value`` (the value is YAML).

        Raises:
            ConfigError, ManyErrors: unreadable, or not a search.
        """
        return cls.of(read_yaml(Path(path)), str(path), overrides)

    @classmethod
    def of(cls, raw: Any, where: str = "search", overrides: Sequence[str] = ()) -> Search:
        """A search from plain data.

        Raises:
            ConfigError, ManyErrors: it is not a search.
        """
        if not isinstance(raw, Mapping):
            raise ConfigError(where, got=type(raw).__name__, expected="a mapping with name, base, space, trials, objective ..")
        for override in overrides:
            path, sign, text = override.partition("=")
            if not sign or not path.strip():
                raise ConfigError("--set", got=repr(override), expected="dotted.path=value")
            raw = set_path(raw, path.strip(), parse_yaml(text, f"--set {path.strip()}"), f"--set {override}")
        config: SearchConfig = parse(SearchConfig, raw, where)
        for name, seeds in (("seeds", config.seeds), ("best.seeds", config.fresh_seeds())):
            if len(set(seeds)) != len(seeds):
                raise ConfigError(f"{where}: {name}", got=seeds, expected="each seed once")
        if again := sorted(set(config.fresh_seeds()) & set(config.seeds)):
            hint = "the best cell was chosen for what it did with the seeds of the trials"
            raise ConfigError(f"{where}: best.seeds", got=again, expected="seeds that no trial had", hint=hint)
        return cls(config, where)
