"""A cell: one model with its training and decoding, every component resolved and every default spelled out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rrgbench.catalogue import Catalogue, Component, did_you_mean
from rrgbench.errors import ConfigError, RRGBenchError, collect
from rrgbench.identity import digest
from rrgbench.interfaces import SOURCES

MODULES = (*SOURCES, "fusion", "decoder")
"""The parts of a model that stages train, adapt and give rates to."""

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Strict(BaseModel):
    """Read from YAML: no unknown keys, no silent conversions."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


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
        return ", ".join(f"{axis}={label}" for axis, label in self.labels.items()) or "base"

    def model(self) -> dict[str, Any]:
        """The components of the model, in the form that step payloads carry."""
        own = {"own_tokenizer": self.own_tokenizer} if "own_tokenizer" in self.tokenizer.values else {}
        return {
            "encoders": dict(self.encoders),
            "fusion": self.fusion,
            "decoder": self.decoder,
            "tokenizer": self.tokenizer,
            **own,
        }

    def payload(self) -> dict[str, Any]:
        """The whole cell as data and components."""
        stages = [
            {"name": s.name, "recipe": s.recipe(), "rung": s.config.rung, "adapters": dict(s.adapters), "losses": dict(s.losses)}
            for s in self.stages
        ]
        return {
            "dataset": self.dataset,
            "model": self.model(),
            "stages": stages,
            "decoding": self.decoding.model_dump(mode="json"),
        }

    @property
    def id(self) -> str:
        """SHA-256 over everything that makes this cell what it is; labels and places do not count."""
        return digest(identity_of(self.payload()))


def identity_of(value: Any) -> Any:
    """A payload with components replaced by what counts in ids."""
    return _mapped(value, lambda component: component.identity())


def request_of(value: Any) -> Any:
    """A payload with components replaced by what a worker needs."""
    return _mapped(value, lambda component: component.request())


def _mapped(value: Any, change: Any) -> Any:
    if isinstance(value, Component):
        return change(value)
    if isinstance(value, Mapping):
        return {key: _mapped(item, change) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_mapped(item, change) for item in value]
    return value


def parse(model: type[BaseModel], value: Any, where: str) -> Any:
    """Validate plain data, with one error a mistake.

    Raises:
        ConfigError, ManyErrors: field, got, expected.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        mistakes: list[RRGBenchError] = []
        for item in error.errors():
            place = ".".join([where, *(str(part) for part in item["loc"])]) if where else ".".join(map(str, item["loc"]))
            if item["type"] == "extra_forbidden":
                mistakes.append(
                    ConfigError(f"{place}: no such key", hint=did_you_mean(str(item["loc"][-1]), _keys(model, item["loc"])))
                )
            elif item["type"] == "missing":
                mistakes.append(ConfigError(f"{place} is missing"))
            else:
                mistakes.append(ConfigError(place, got=repr(item["input"]), expected=_expected(str(item["msg"]))))
        collect(mistakes)
        raise


def _expected(message: str) -> str:
    return message.removeprefix("Input should be ").removeprefix("Value error, ")


def _keys(model: Any, place: tuple[int | str, ...]) -> list[str]:
    """The keys that are known where an unknown one stood."""
    for part in place[:-1]:
        field = model.model_fields.get(str(part)) if isinstance(model, type) and issubclass(model, BaseModel) else None
        if field is not None:
            candidates = [field.annotation, *getattr(field.annotation, "__args__", ())]
            inner = [c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)]
            model = inner[0] if inner else model
    return list(model.model_fields)


class _Resolver:
    """Resolves one cell, keeping every mistake."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self.errors: list[RRGBenchError] = []
        self.dropped: list[str] = []

    def component(self, kind: str, value: Any, where: str) -> Component | None:
        try:
            return self.catalogue.resolve(kind, value, where)
        except RRGBenchError as error:
            self.errors.append(error)
            return None

    def mistake(self, error: RRGBenchError) -> None:
        self.errors.append(error)

    def encoders(self, given: Mapping[str, Any]) -> dict[str, Component]:
        for source in given:
            if source not in SOURCES:
                self.mistake(ConfigError(f"encoders.{source}: no such source", hint=did_you_mean(source, SOURCES)))
        found = {
            source: self.component(f"{source}_encoders", given[source], f"encoders.{source}")
            for source in SOURCES
            if given.get(source) is not None
        }
        if not found and not self.errors:
            self.mistake(ConfigError("encoders", got="none", expected=f"at least one of {', '.join(SOURCES)}"))
        return {source: component for source, component in found.items() if component is not None}

    def drop(self, what: str, module: str) -> None:
        self.dropped.append(f"{what} (no {module} here)")

    def stage(self, name: str, config: StageConfig, present: tuple[str, ...]) -> Stage | None:
        where = f"stages.{name}"
        for field, names in (("train", config.train or ()), ("adapters", config.adapters), ("lr", _lr_names(config))):
            for module in names:
                if module not in MODULES:
                    self.mistake(ConfigError(f"{where}.{field}: no such module", got=module, hint=did_you_mean(module, MODULES)))
                elif module not in present:
                    self.drop(f"{where}.{field}.{module}", module)
        train = tuple(module for module in (config.train or MODULES) if module in present)
        adapters = {m: self.component("adapters", a, f"{where}.adapters.{m}") for m, a in config.adapters.items() if m in present}
        losses = {label: self.loss(f"{where}.losses.{label}", label, value, present) for label, value in config.losses.items()}
        kept = {label: loss for label, loss in losses.items() if loss is not None}
        if not train:
            self.mistake(
                ConfigError(f"{where}.train", got="nothing to train in this cell", expected=f"one of {', '.join(present)}")
            )
        if not kept and not self.errors:
            self.mistake(ConfigError(f"{where}.losses", got="no loss that applies to this cell", expected="at least one"))
        rates = dict(config.lr) if isinstance(config.lr, dict) else {"default": config.lr}
        return Stage(
            name=name,
            config=config,
            train=train,
            lr={module: rate for module, rate in rates.items() if module in {"default", *present}},
            adapters={module: adapter for module, adapter in adapters.items() if adapter is not None},
            losses=kept,
        )

    def loss(self, where: str, label: str, value: Any, present: tuple[str, ...]) -> tuple[float, Component] | None:
        given = dict(value) if isinstance(value, Mapping) else {"weight": value}
        weight = given.pop("weight", 1.0)
        if isinstance(weight, bool) or not isinstance(weight, (int, float)):
            self.mistake(ConfigError(f"{where}.weight", got=repr(weight), expected="a number"))
            return None
        component = self.component("losses", {"name": label} | given, where)
        if component is None:
            return None
        for need in component.attributes["needs"]:
            source = need.removeprefix("features.") if need.startswith("features.") else _EMBEDDED.get(need)
            if source is not None and source not in present:
                self.drop(where, source)
                return None
        return float(weight), component


_EMBEDDED = {"image_embedding": "image", "report_embedding": "text"}


def _lr_names(config: StageConfig) -> list[str]:
    return [name for name in config.lr if name != "default"] if isinstance(config.lr, dict) else []


def resolve_cell(catalogue: Catalogue, raw: Mapping[str, Any], labels: Mapping[str, str]) -> Cell:
    """A cell from what an experiment says.

    Raises:
        ConfigError, PluginError, ManyErrors: every mistake in it.
    """
    config: CellConfig = parse(CellConfig, raw, "")
    resolver = _Resolver(catalogue)
    dataset_value, root = _split_root(config.dataset)
    dataset = resolver.component("datasets", dataset_value, "dataset")
    encoders = resolver.encoders(config.encoders)
    fusion = resolver.component("fusions", config.fusion, "fusion")
    decoder = resolver.component("decoders", config.decoder, "decoder")
    tokenizer = resolver.component("tokenizers", config.tokenizer, "tokenizer")
    own = resolver.component("tokenizers", _own_tokenizer(decoder), "decoder.own_tokenizer") if decoder else None
    present = (*encoders, "fusion", "decoder")
    stages = [resolver.stage(name, stage, present) for name, stage in config.stages.items()]
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
        stages=tuple(stage for stage in stages if stage is not None),
        decoding=config.decoding,
        dropped=tuple(resolver.dropped),
    )


def _own_tokenizer(decoder: Component) -> dict[str, Any]:
    """The tokenizer that a decoder declares, with ``$option`` replaced by the decoder's option of that name."""
    declared = decoder.attributes["own_tokenizer"]
    return {
        key: decoder.options[value[1:]] if isinstance(value, str) and value.startswith("$") else value
        for key, value in declared.items()
    }


def _split_root(dataset: Any) -> tuple[Any, Path | None]:
    """The data set's folder is a place, not an option: it does not count in ids."""
    if not isinstance(dataset, Mapping) or "root" not in dataset:
        return dataset, None
    rest = {key: value for key, value in dataset.items() if key != "root"}
    root = dataset["root"]
    if root is not None and not isinstance(root, str):
        raise ConfigError("dataset.root", got=repr(root), expected="a folder")
    return rest, Path(root).expanduser() if root else None
