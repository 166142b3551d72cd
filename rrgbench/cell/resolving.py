"""From what an experiment says to a cell, with every mistake in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rrgbench.catalogue import Catalogue, Component, did_you_mean
from rrgbench.catalogue.component import FileOption
from rrgbench.cell.config import EPOCHS, HEADS, MASKS, MODULES, READS, CellConfig, StageConfig
from rrgbench.cell.knowing import resolve_knowledge
from rrgbench.cell.resolved import Cell, Stage, carried, replaced
from rrgbench.errors import ConfigError, RRGBenchError, collect
from rrgbench.interfaces import SOURCES
from rrgbench.strict import parse


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
            if source not in (*SOURCES, "report"):
                self.mistake(f"encoders.{source}: no such source", hint=did_you_mean(source, (*SOURCES, "report")))
        wanted = [source for source in SOURCES if given.get(source) is not None]
        if not wanted:
            self.mistake("encoders", got="none", expected=f"at least one of {', '.join(SOURCES)}")
        found = {source: self.component(f"{source}_encoders", given[source], f"encoders.{source}") for source in wanted}
        return {source: component for source, component in found.items() if component is not None}

    def drop(self, what: str, why: str) -> None:
        self.dropped.append(f"{what} ({why})")

    def stage(self, name: str, config: StageConfig) -> Stage | None:
        """A stage without what the cell lacks; None where no loss is left. Losses and the like in the order of their names, since
        order is not in ids."""
        where = f"stages.{name}"
        rates = [module for module in config.lr if module != "default"] if isinstance(config.lr, dict) else []
        named = {"train": config.train or [], "adapters": list(config.adapters), "lr": rates, "unfreeze": list(config.unfreeze)}
        self.check_names(where, named)
        self.check_numbers(where, config)
        before = len(self.errors)
        losses = self.losses(f"{where}.losses", config.losses)
        if not losses:
            if len(self.errors) == before and not any(value is not None for value in config.losses.values()):
                self.mistake(f"{where}.losses", got="none", expected="at least one")
            elif len(self.errors) == before:
                self.drop(where, "no loss of it applies")
            return None
        modules = self.modules(losses)
        self.drop_absent(where, named, modules)
        wanted = MODULES if config.train is None else config.train
        train = tuple(module for module in MODULES if module in modules and (module in wanted or module == "heads"))
        if not train and set(wanted) <= set(MODULES):
            self.mistake(f"{where}.train", got="nothing to train in this cell", expected=f"one of {', '.join(modules)}")
        given = dict(config.lr) if isinstance(config.lr, dict) else {"default": config.lr}
        lr = {module: given[module] for module in ("default", *modules) if module in given}
        adapters = {
            module: self.component("adapters", config.adapters[module], f"{where}.adapters.{module}")
            for module in MODULES
            if module in config.adapters and module in modules
        }
        # The embedding of views is trained beside an image encoder that is frozen.
        idle = {m for m, adapter in adapters.items() if m != "image" and adapter is not None and not adapter.attributes["trains"]}
        bare = [module for module in train if module not in lr and module not in idle]
        if bare and "default" not in lr and set(given) <= {"default", *MODULES}:
            got = f"no rate for {', '.join(bare)}"
            self.mistake(f"{where}.lr", got=got, expected="a rate for all that is trained", hint=f"add {where}.lr.default")
        stage = Stage(
            name=name,
            config=config,
            modules=modules,
            train=train,
            lr=lr,
            adapters={module: adapter for module, adapter in adapters.items() if adapter is not None},
            losses=losses,
        )
        self.check_cached(where, stage)
        self.check_stopping(where, stage)
        self.check_unfreezing(where, stage)
        return stage

    def check_numbers(self, where: str, config: StageConfig) -> None:
        """How long a stage lasts and how many studies a step sees is said once, in whole batches."""
        if config.epochs is not None and config.steps is not None:
            got = f"{config.epochs}, and {where}.steps {config.steps}"
            self.mistake(f"{where}.epochs", got=got, expected="one of them", hint="take the other out, or set it to null")
        whole, batch = config.global_batch, config.batch_size
        if whole is None:
            return
        if whole % batch:
            hint = f"set {where}.batch_size to a number that divides {whole}"
            self.mistake(f"{where}.global_batch", got=whole, expected=f"a multiple of batch_size, {batch}", hint=hint)
        elif config.accumulate not in (1, whole // batch):
            got = f"{whole}, and {where}.accumulate {config.accumulate}"
            expected = f"one of them: {whole} in batches of {batch} accumulates {whole // batch}"
            self.mistake(f"{where}.global_batch", got=got, expected=expected)

    def modules(self, losses: Mapping[str, tuple[float, Component]]) -> tuple[str, ...]:
        """The parts of the model that losses read."""
        needs = {need for _, loss in losses.values() for need in loss.attributes["needs"]}
        read = {need.removeprefix("features.") for need in needs if need.startswith("features.")}
        read |= {part for need in needs for part in self.parts_of(need)}
        if needs & {"logits", "memory", "samples"}:
            read |= {*self.present} - {"report"}
        if any(needs & head for head in HEADS.values()):
            read.add("heads")
        return tuple(module for module in MODULES if module in read)

    def parts_of(self, need: str) -> tuple[str, ...]:
        """The parts of the model that a need of a loss is made of; none for what the whole generator gives."""
        if need.startswith("features."):
            return (need.removeprefix("features."),)
        reader = "report" if "report" in self.present else "text"
        return tuple(reader if part == "report" else part for part in READS.get(need, ()))

    def check_names(self, where: str, named: Mapping[str, Sequence[str]]) -> None:
        """What a stage calls modules must be some. Heads have rates, but are trained wherever they are, and never adapted."""
        for field, names in named.items():
            known = ("default", *MODULES) if field == "lr" else MODULES[:-1]
            for module in names:
                if module not in known:
                    self.mistake(f"{where}.{field}: no such module", got=repr(module), hint=did_you_mean(module, known))

    def drop_absent(self, where: str, named: Mapping[str, Sequence[str]], modules: Sequence[str]) -> None:
        """What a stage says of modules that it does not hold is left out, and told."""
        for field, names in named.items():
            for module in names:
                if module in MODULES and module not in modules:
                    lacking = module not in self.present and module != "heads"
                    self.drop(f"{where}.{field}.{module}", f"no {module} here" if lacking else "no loss of this stage reads it")

    def check_cached(self, where: str, stage: Stage) -> None:
        """What an encoder makes of the films can be kept only where it is always the same."""
        if not stage.is_cached:
            return
        adapter = stage.adapters.get("image")
        if adapter is not None and adapter.attributes["trains"]:
            self.mistake(
                f"{where}.cached", got=f"image is adapted by {adapter.name} here", expected="an image encoder that is frozen"
            )
        elif "image" in stage.train and adapter is None:
            hint = f"leave image out of {where}.train, or freeze it by {where}.adapters.image"
            self.mistake(f"{where}.cached", got="image is trained here", expected="an image encoder that is frozen", hint=hint)
        if stage.config.precision != "no":
            hint = f"leave {where}.precision out, or {where}.cached"
            self.mistake(
                f"{where}.cached",
                got=f"precision {stage.config.precision} here",
                expected="float32, as films are kept",
                hint=hint,
            )
        if stage.config.augment:
            hint = f"set {where}.augment: false"
            self.mistake(
                f"{where}.cached", got="films are augmented at random here", expected="films that stay the same", hint=hint
            )

    def check_stopping(self, where: str, stage: Stage) -> None:
        """Early stopping judges by losses of the stage, on validate by those that can be told there."""
        rule = stage.config.early_stopping
        if rule is None:
            return
        if rule.loss is not None and rule.loss not in stage.losses:
            hint = did_you_mean(rule.loss, tuple(stage.losses))
            self.mistake(f"{where}.early_stopping.loss: no such loss here", got=repr(rule.loss), hint=hint)
            return
        judged = {label: {*loss.attributes["needs"]} for label, (_, loss) in stage.losses.items() if rule.loss in (None, label)}
        for label, needs in judged.items() if rule.on == "validate" else ():
            if unknown := needs & {"samples", "report_nodes"}:
                why = "draws reports" if "samples" in unknown else "reads nodes of the graph that train reports state"
                got = f"on validate, where {label} {why}"
                hint = f"set {where}.early_stopping.loss to another of its losses, or `on: train`"
                self.mistake(f"{where}.early_stopping", got=got, expected="a loss that can be told on validate", hint=hint)

    def check_unfreezing(self, where: str, stage: Stage) -> None:
        """What is opened later is trained, and opened before the stage is over."""
        for module, patterns in stage.config.unfreeze.items():
            if module in stage.modules and module not in stage.train:
                hint = f"add it to {where}.train"
                self.mistake(f"{where}.unfreeze.{module}", got="a module that is not trained here", hint=hint)
            for pattern, epoch in patterns.items():
                if stage.config.steps is None and epoch >= (epochs := stage.config.epochs or EPOCHS):
                    self.mistake(f"{where}.unfreeze.{module}.{pattern}", got=f"epoch {epoch}", expected=f"under {epochs}, from 0")

    def losses(self, where: str, given: Mapping[str, Any]) -> dict[str, tuple[float, Component]]:
        """The losses that apply to the cell; one that is null is left out."""
        losses = {
            label: self.loss(f"{where}.{label}", label, given[label]) for label in sorted(given) if given[label] is not None
        }
        return {label: loss for label, loss in losses.items() if loss is not None}

    def stages(self, given: Mapping[str, StageConfig | None]) -> tuple[Stage, ...]:
        """The stages that apply to the cell; one that is null is left out. A report must be learnt in one of them."""
        before = len(self.errors)
        made = (self.stage(name, config) for name, config in given.items() if config is not None)
        found = tuple(stage for stage in made if stage is not None)
        if len(self.errors) == before and not any("fusion" in stage.modules for stage in found):
            got = ", ".join(stage.name for stage in found) or "none that applies to this cell"
            self.mistake(
                "stages", got=got, expected="one with a loss on the report", hint="add a stage with the loss of the decoder"
            )
        self.check_adapters(found)
        return found

    def check_adapters(self, stages: Sequence[Stage]) -> None:
        """An adapter that cannot be merged into the weights stays with its module."""
        for place, stage in enumerate(stages):
            before = carried(stages[:place], MODULES)
            for module in replaced(before, stage):
                held = before[module]
                if not held.attributes.get("merges"):
                    adapter = stage.adapters.get(module)
                    where = f"stages.{stage.name}"
                    self.mistake(
                        f"{where}.adapters.{module}" if adapter else f"{where}.train",
                        got=f"{module} {f'under {adapter.name}' if adapter else 'whole'}, which carries {held.name}",
                        expected=f"{held.name} as before: it cannot be merged into the weights",
                        hint=f"repeat {where}.adapters.{module}: {held.name}, or leave {module} out of {where}.train",
                    )

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
        for need in sorted(component.attributes["needs"]):
            for part in self.parts_of(need):
                if part not in self.present:
                    self.drop(where, f"no {part} here")
                    return None
        return float(weight), component


_HEAVIEST = 1e30
"""A loss weight beyond this is no number of a 32-bit float's world."""


def resolve_cell(catalogue: Catalogue, raw: Mapping[str, Any], labels: Mapping[str, str]) -> Cell:
    """A cell from what an experiment says.

    Raises:
        ConfigError, PluginError, ManyErrors: every mistake in it.
    """
    config: CellConfig = parse(CellConfig, raw, "")
    given = [source for source in (*SOURCES, "report") if config.encoders.get(source) is not None]
    resolver = _Resolver(catalogue, (*given, "fusion", "decoder"))
    dataset, root = resolver.dataset(config.dataset)
    encoders = resolver.encoders(config.encoders)
    report = config.encoders.get("report")
    report_encoder = None if report is None else resolver.component("text_encoders", report, "encoders.report")
    fusion = resolver.component("fusions", config.fusion, "fusion")
    decoder = resolver.component("decoders", config.decoder, "decoder")
    tokenizer = resolver.component("tokenizers", config.tokenizer, "tokenizer")
    own = resolver.component("tokenizers", _own_tokenizer(decoder), "decoder.own_tokenizer") if decoder else None
    annotator = resolver.component("annotators", config.labels, "labels") if config.labels is not None else None
    segmenter = resolver.component("segmenters", config.masks, "masks") if config.masks is not None else None
    stages = resolver.stages(config.stages)
    if config.masks is None and (learning := [stage.name for stage in stages if stage.needs & MASKS]):
        hint = "name who finds the lungs on the films: base.masks"
        resolver.mistake(f"stages.{learning[0]} learns masks", got="no segmenter", expected="one", hint=hint)
    knowledge = resolve_knowledge(resolver, config, encoders, decoder, stages, annotator)
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
        annotator=annotator,
        segmenter=segmenter,
        embedding_dim=config.embedding_dim,
        stages=stages,
        decoding=config.decoding,
        dropped=tuple(resolver.dropped),
        knowledge=knowledge,
        report_encoder=report_encoder,
    )


def _own_tokenizer(decoder: Component) -> dict[str, Any]:
    """The tokenizer that a decoder declares, with ``$option`` replaced by the decoder's option of that name."""

    def filled(value: Any) -> Any:
        if not isinstance(value, str) or not value.startswith("$"):
            return value
        option = decoder.options[value[1:]]
        return str(option.path) if isinstance(option, FileOption) else option

    return {key: filled(value) for key, value in decoder.attributes["own_tokenizer"].items()}
