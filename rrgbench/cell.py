"""A cell: one model with its training and decoding, every component resolved and every default spelled out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from rrgbench.catalogue import Catalogue, Component, did_you_mean
from rrgbench.catalogue.component import FileOption
from rrgbench.errors import ConfigError, RRGBenchError, collect
from rrgbench.identity import digest
from rrgbench.interfaces import SOURCES
from rrgbench.strict import Strict, parse

MODULES = (*SOURCES, "fusion", "decoder")
"""The parts of a model that stages train, adapt and give rates to."""

Positive = Annotated[float, Field(gt=0)]


class StageConfig(Strict):
    """One named stage of training as an experiment writes it."""

    train: list[str] | None = None
    adapters: dict[str, Any] = {}
    losses: dict[str, Any] = {"cross_entropy": 1.0}
    epochs: Annotated[int, Field(ge=1)] = 10
    rung: Annotated[int, Field(ge=1)] | None = None
    batch_size: Annotated[int, Field(ge=1)] = 16
    lr: Positive | dict[str, Positive] = 1e-3
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    betas: Annotated[list[Annotated[float, Field(ge=0, lt=1)]], Field(min_length=2, max_length=2)] = [0.9, 0.999]
    schedule: Literal["cosine", "step", "constant"] = "cosine"
    warmup: Annotated[float, Field(ge=0, le=1)] = 0.05
    step_size: Annotated[int, Field(ge=1)] = 10
    gamma: Positive = 0.1
    clip_norm: Positive | None = 1.0
    accumulate: Annotated[int, Field(ge=1)] = 1
    precision: Literal["no", "bf16", "fp16"] = "no"


class DecodingConfig(Strict):
    """How reports are generated."""

    num_beams: Annotated[int, Field(ge=1, le=64)] = 1
    max_new_tokens: Annotated[int, Field(ge=1, le=4096)] = 60
    min_new_tokens: Annotated[int, Field(ge=0)] = 0
    length_penalty: float = 1.0
    no_repeat_ngram_size: Annotated[int, Field(ge=0)] = 0
    batch_size: Annotated[int, Field(ge=1)] = 64


class CellConfig(Strict):
    """A cell as an experiment writes it."""

    dataset: Any
    encoders: dict[str, Any]
    fusion: Any
    tokenizer: Any = "auto"
    decoder: Any
    stages: Annotated[dict[str, StageConfig], Field(min_length=1)]
    decoding: DecodingConfig = DecodingConfig()


@dataclass(frozen=True)
class Stage:
    """A stage with its components; references to parts that the cell does not have are dropped."""

    name: str
    config: StageConfig
    train: tuple[str, ...]
    lr: Mapping[str, float]
    adapters: Mapping[str, Component]
    losses: Mapping[str, tuple[float, Component]]

    def recipe(self) -> dict[str, Any]:
        """Everything but components and the cutting into rungs, as JSON data."""
        plain = self.config.model_dump(mode="json", exclude={"train", "adapters", "losses", "lr", "rung"})
        return plain | {"train": list(self.train), "lr": dict(self.lr)}

    @cached_property
    def part(self) -> Part:
        """What a step that trains needs to know."""
        return Part({"name": self.name, "recipe": self.recipe(), "adapters": self.adapters, "losses": self.losses})


@dataclass(frozen=True)
class Cell:
    """One model with its training: what a row of a leaderboard is about."""

    labels: Mapping[str, str]
    dataset: Component
    root: Path | None
    encoders: Mapping[str, Component]
    fusion: Component
    tokenizer: Component
    own_tokenizer: Component
    decoder: Component
    stages: tuple[Stage, ...]
    decoding: DecodingConfig
    dropped: tuple[str, ...]

    @property
    def title(self) -> str:
        """The cell for people: its axes and labels."""
        return title_of(self.labels)

    @cached_property
    def model(self) -> Part:
        """The components of the model, in the form that step payloads carry."""
        own = {"own_tokenizer": self.own_tokenizer} if "own_tokenizer" in self.tokenizer.asked_values() else {}
        model = {"encoders": self.encoders, "fusion": self.fusion, "decoder": self.decoder, "tokenizer": self.tokenizer}
        return Part(model | own)

    def payload(self) -> dict[str, Any]:
        """The whole cell as data and components."""
        stages = [{"stage": stage.part.value, "rung": stage.config.rung} for stage in self.stages]
        decoding = self.decoding.model_dump(mode="json")
        return {"dataset": self.dataset, "model": self.model.value, "stages": stages, "decoding": decoding}

    @cached_property
    def id(self) -> str:
        """SHA-256 over everything that makes this cell what it is; labels and places do not count."""
        return digest(identity_of(self.payload()))


def title_of(labels: Mapping[str, str]) -> str:
    """Labels of a cell as its title."""
    return ", ".join(f"{axis}={label}" for axis, label in labels.items()) or "base"


@dataclass(frozen=True)
class Part:
    """Data and components that many steps share. It counts in their ids by its digest, which is made once."""

    value: Any

    @cached_property
    def digest(self) -> str:
        """SHA-256 of what counts in ids."""
        return digest(identity_of(self.value))

    @cached_property
    def request(self) -> Any:
        """What a worker needs."""
        return request_of(self.value)


def identity_of(value: Any) -> Any:
    """A payload with components replaced by what counts in ids, and parts by their digests."""
    return _mapped(value, lambda item: item.identity() if isinstance(item, Component) else item.digest)


def request_of(value: Any) -> Any:
    """A payload with components and parts replaced by what a worker needs."""
    return _mapped(value, lambda item: item.request() if isinstance(item, Component) else item.request)


def _mapped(value: Any, change: Callable[[Component | Part], Any]) -> Any:
    if isinstance(value, (Component, Part)):
        return change(value)
    if isinstance(value, Mapping):
        return {key: _mapped(item, change) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_mapped(item, change) for item in value]
    return value


class _Resolver:
    """Resolves one cell, keeping every mistake."""

    def __init__(self, catalogue: Catalogue, present: Sequence[str]) -> None:
        self.catalogue = catalogue
        self.present = present
        self.errors: list[RRGBenchError] = []
        self.dropped: list[str] = []

    def component(self, kind: str, value: Any, where: str) -> Component | None:
        try:
            return self.catalogue.resolve(kind, value, where)
        except RRGBenchError as error:
            self.errors.append(error)
            return None

    def mistake(self, what: str, **told: Any) -> None:
        self.errors.append(ConfigError(what, **told))

    def dataset(self, value: Any) -> tuple[Component | None, Path | None]:
        """The data set and its folder, which is a place, not an option: it does not count in ids."""
        root = None
        if isinstance(value, Mapping) and "root" in value:
            given = value["root"]
            value = {key: item for key, item in value.items() if key != "root"}
            try:
                root = Path(given).expanduser() if given else None
            except (TypeError, RuntimeError):  # no text; a home that nobody has
                self.mistake("dataset.root", got=repr(given), expected="a folder")
        return self.component("datasets", value, "dataset"), root

    def encoders(self, given: Mapping[str, Any]) -> dict[str, Component]:
        for source in given:
            if source not in SOURCES:
                self.mistake(f"encoders.{source}: no such source", hint=did_you_mean(source, SOURCES))
        wanted = [source for source in SOURCES if given.get(source) is not None]
        if not wanted:
            self.mistake("encoders", got="none", expected=f"at least one of {', '.join(SOURCES)}")
        found = {source: self.component(f"{source}_encoders", given[source], f"encoders.{source}") for source in wanted}
        return {source: component for source, component in found.items() if component is not None}

    def drop(self, what: str, module: str) -> None:
        self.dropped.append(f"{what} (no {module} here)")

    def stage(self, name: str, config: StageConfig) -> Stage:
        """A stage without what the cell lacks. Losses and the like in the order of their names, since order is not in ids."""
        where = f"stages.{name}"
        rates = dict(config.lr) if isinstance(config.lr, dict) else {"default": config.lr}
        named = [module for module in rates if module != "default"]
        for field, names in (("train", config.train or ()), ("adapters", config.adapters), ("lr", named)):
            for module in names:
                if module not in MODULES:
                    hint = did_you_mean(module, ("default", *MODULES) if field == "lr" else MODULES)
                    self.mistake(f"{where}.{field}: no such module", got=repr(module), hint=hint)
                elif module not in self.present:
                    self.drop(f"{where}.{field}.{module}", module)
        wanted = MODULES if config.train is None else config.train
        train = tuple(module for module in MODULES if module in wanted and module in self.present)
        if not train and set(wanted) <= set(MODULES):
            self.mistake(f"{where}.train", got="nothing to train in this cell", expected=f"one of {', '.join(self.present)}")
        lr = {
            module: rates[module] for module in ("default", *MODULES) if module in rates and module in ("default", *self.present)
        }
        bare = [module for module in train if module not in lr and module not in config.adapters]
        if bare and "default" not in lr and set(named) <= set(MODULES):
            got = f"no rate for {', '.join(bare)}"
            self.mistake(f"{where}.lr", got=got, expected="a rate for all that is trained", hint=f"add {where}.lr.default")
        adapters = {
            module: self.component("adapters", config.adapters[module], f"{where}.adapters.{module}")
            for module in MODULES
            if module in config.adapters and module in self.present
        }
        return Stage(
            name=name,
            config=config,
            train=train,
            lr=lr,
            adapters={module: adapter for module, adapter in adapters.items() if adapter is not None},
            losses=self.losses(f"{where}.losses", config.losses),
        )

    def losses(self, where: str, given: Mapping[str, Any]) -> dict[str, tuple[float, Component]]:
        """The losses that apply to the cell."""
        before = len(self.errors)
        losses = {label: self.loss(f"{where}.{label}", label, given[label]) for label in sorted(given)}
        kept = {label: loss for label, loss in losses.items() if loss is not None}
        if not kept and len(self.errors) == before:
            self.mistake(where, got="no loss that applies to this cell", expected="at least one")
        return kept

    def loss(self, where: str, label: str, value: Any) -> tuple[float, Component] | None:
        given = dict(value) if isinstance(value, Mapping) else {"weight": value}
        weight = given.pop("weight", 1.0)
        component = self.component("losses", {"name": label} | given, where)
        if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not abs(weight) < _HEAVIEST:
            place = f"{where}.weight" if isinstance(value, Mapping) else where
            self.mistake(place, got="null" if weight is None else repr(weight), expected="a number")
            return None
        if component is None:
            return None
        for need in component.attributes["needs"]:
            source = need.removeprefix("features.") if need.startswith("features.") else _EMBEDDED.get(need)
            if source is not None and source not in self.present:
                self.drop(where, source)
                return None
        return float(weight), component


_EMBEDDED = {"image_embedding": "image", "report_embedding": "text"}
_HEAVIEST = 1e30
"""A loss weight beyond this is no number of a 32-bit float's world."""


def resolve_cell(catalogue: Catalogue, raw: Mapping[str, Any], labels: Mapping[str, str]) -> Cell:
    """A cell from what an experiment says.

    Raises:
        ConfigError, PluginError, ManyErrors: every mistake in it.
    """
    config: CellConfig = parse(CellConfig, raw, "")
    given = [source for source in SOURCES if config.encoders.get(source) is not None]
    resolver = _Resolver(catalogue, (*given, "fusion", "decoder"))
    dataset, root = resolver.dataset(config.dataset)
    encoders = resolver.encoders(config.encoders)
    fusion = resolver.component("fusions", config.fusion, "fusion")
    decoder = resolver.component("decoders", config.decoder, "decoder")
    tokenizer = resolver.component("tokenizers", config.tokenizer, "tokenizer")
    own = resolver.component("tokenizers", _own_tokenizer(decoder), "decoder.own_tokenizer") if decoder else None
    stages = tuple(resolver.stage(name, stage) for name, stage in config.stages.items())
    if config.decoding.min_new_tokens > config.decoding.max_new_tokens:
        most = f"at most max_new_tokens, {config.decoding.max_new_tokens}"
        resolver.mistake("decoding.min_new_tokens", got=config.decoding.min_new_tokens, expected=most)
    collect(resolver.errors)
    assert dataset and fusion and decoder and tokenizer and own
    return Cell(
        labels=labels,
        dataset=dataset,
        root=root,
        encoders=encoders,
        fusion=fusion,
        tokenizer=tokenizer,
        own_tokenizer=own,
        decoder=decoder,
        stages=stages,
        decoding=config.decoding,
        dropped=tuple(resolver.dropped),
    )


def _own_tokenizer(decoder: Component) -> dict[str, Any]:
    """The tokenizer that a decoder declares, with ``$option`` replaced by the decoder's option of that name."""

    def filled(value: Any) -> Any:
        if not isinstance(value, str) or not value.startswith("$"):
            return value
        option = decoder.options[value[1:]]
        return str(option.path) if isinstance(option, FileOption) else option

    return {key: filled(value) for key, value in decoder.attributes["own_tokenizer"].items()}
