"""What the benchmarks share: studies of phantom, the quickstart's small model, and plans of small experiments."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from rrgbench_datasets.phantom import Phantom
from rrgbench_decoders import Transformer
from rrgbench_encoders import Timm, Transformers
from rrgbench_fusions import Concat
from rrgbench_tokenizers import Word

from rrgbench import Examples, Split
from rrgbench.batches import StudySet, prepare_pixels
from rrgbench.catalogue import Catalogue
from rrgbench.experiment import Experiment
from rrgbench.model import Model
from rrgbench.plan import Plan, make_plan
from rrgbench.row import make_row, write_row
from rrgbench.runner.worker import execute
from rrgbench.store import Store

SIZE = 64
WIDTH = 64


class World:
    """Made once for all benchmarks of a run, each part when it is first asked for.

    Args:
        folder: where files go; it is emptied by whoever made it.
        quick: fewer studies.
        films: a folder of films that are read in place of phantom's where a benchmark can.
    """

    def __init__(self, folder: Path, quick: bool, films: Path | None = None) -> None:
        self.folder, self.quick, self.films = folder, quick, films
        self.studies = 150 if quick else 300

    @cached_property
    def phantom(self) -> Phantom:
        """The data set; its films are drawn here."""
        return Phantom(self.folder / "phantom", studies=self.studies, size=SIZE)

    def examples(self, split: Split) -> Examples:
        """Both sides of a split."""
        return Examples(tuple(self.phantom.inputs(split)), tuple(self.phantom.targets(split)))

    @cached_property
    def tokenizer(self) -> Word:
        """The tokenizer of reports."""
        return Word(tuple(target.report for target in self.phantom.targets("train")))

    @cached_property
    def _encoder(self) -> Timm:
        return Timm(model="mobilenetv4_conv_small_035", size=SIZE)

    @cached_property
    def _model(self) -> Model:
        torch.manual_seed(0)
        train = self.examples("train")
        reports, contexts = tuple(t.report for t in train.targets), tuple(i.context for i in train.inputs)
        text = Transformers(reports, contexts, hidden_size=WIDTH, layers=1)
        decoder = Transformer(self.tokenizer, layers=2, hidden_size=WIDTH)
        fusion = Concat({"image": self._encoder.num_features, "text": WIDTH}, WIDTH)
        return Model({"image": self._encoder, "text": text}, fusion, decoder)

    def model(self) -> Model:
        """The quickstart's model, with the same fresh weights every time."""
        return copy.deepcopy(self._model)

    def study_set(self, split: Split) -> StudySet:
        """A split as the model reads it, films and targets with it."""
        examples = self.examples(split)
        return StudySet(
            examples.inputs,
            pixels=prepare_pixels(examples.inputs, self._encoder.prepare),
            context_tokenizer=self._model.encoders["text"].tokenizer,
            targets=examples.targets,
            report_tokenizer=self.tokenizer,
        )

    @cached_property
    def catalogue(self) -> Catalogue:
        """What is installed."""
        return Catalogue.load()

    def store(self, name: str) -> Store:
        """An empty store below the folder."""
        store = Store(self.folder / name)
        store.create()
        return store

    def plan(self, raw: Mapping[str, Any], store: Store) -> Plan:
        """The plan of an experiment that is given as plain data."""
        return make_plan(Experiment.of(raw).resolve(self.catalogue), store)


def tiny_experiment(**more: Any) -> dict[str, Any]:
    """The least that can be planned: one cell on 30 studies, scored by BLEU, beside a floor."""
    base = {
        "dataset": {"name": "phantom", "studies": 30, "size": 32, "studies_per_subject": 2},
        "encoders": {"image": {"name": "timm", "model": "test_vit", "size": 32}, "text": {"name": "transformers", "layers": 1}},
        "fusion": "concat",
        "decoder": {"name": "transformer", "layers": 1},
        "stages": {"fusion": {"epochs": 1}},
    }
    return {"name": "tiny", "base": base, "metrics": ["bleu"], "floors": ["random"]} | more


def run_here(plan: Plan, store: Store, kinds: frozenset[str]) -> None:
    """Run in this process what the floors of a plan need, as far as it is of these kinds, and write the rows that are whole.

    Raises:
        RuntimeError: a step failed.
    """
    floors = [row for row in plan.rows if row.kind == "floor"]
    needed = frozenset().union(*(plan.behind(step_id) for row in floors for step_id in row.intervals.values()))

    def tell(what: str, payload: Mapping[str, Any]) -> None:
        if what == "failed":
            raise RuntimeError(f"a step of the benchmark failed: {payload['error']}")

    for step in plan.steps.values():
        if step.id in needed and step.kind in kinds:
            execute(store, step.request(), "cpu", 1, tell)
    for row in floors:
        if all(store.is_done(step_id) for step_id in row.intervals.values()):
            write_row(store, make_row(plan, row, store))
