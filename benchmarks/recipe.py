"""What memory each stage of an experiment needs on a GPU, computed on a CPU without any weights from a hub.

``python benchmarks/recipe.py EXPERIMENT [--set PATH=VALUE]``. The model of the first cell is made with random weights of the
architectures that it names, under the stage's adapters; one forward pass of two invented studies, each with two films, under the
stage's precision tells what is kept for the backward pass (each storage once). A stage then needs

    weights + 3 x trained parameters (gradient, two moments of AdamW; 4 bytes each) + kept bytes of a study x batch

and the CUDA context, cuBLAS work space and fragments of the allocator beside it: one to two GiB, not counted. A 4-bit base is
counted as 4 bits and its scales where it can be made (on a GPU), else as in full.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rrgbench.catalogue import Catalogue
from rrgbench.catalogue.building import build
from rrgbench.cell import Cell, Stage, carried
from rrgbench.experiment import Experiment
from rrgbench.model import Model
from rrgbench.steps.modelling import _heads
from rrgbench.types import InputBatch, KnowledgeGraph, Node, TargetBatch

STUDIES, VIEWS, WORDS, CONTEXT, NODES, FINDINGS = 2, 2, 100, 40, 100, 14

# The sizes of models on the hub that the recipes name.
BERT = {"vocab_size": 28_996}
GPT2 = {"distilbert/distilgpt2": {"n_layer": 6}, "openai-community/gpt2": {"n_layer": 12}}


@dataclass(frozen=True)
class Needs:
    """Of one stage: parameters held and trained, bytes of weights, kept bytes of a study, and the batch."""

    stage: str
    held: int
    trained: int
    weights: int
    study: int
    batch: int

    @property
    def total(self) -> int:
        """Bytes of a step."""
        return self.weights + 12 * self.trained + self.study * self.batch


def folders(where: Path) -> dict[str, Path]:
    """Hub name -> a folder with random weights of that architecture and a tokenizer of that size."""
    from tokenizers import Tokenizer, models
    from transformers import BertConfig, BertModel, GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    def words(count: int, special: Mapping[str, str]) -> PreTrainedTokenizerFast:
        names = [*special.values(), *(f"word{number}" for number in range(count - len(special)))]
        table = {name: place for place, name in enumerate(dict.fromkeys(names))}
        return PreTrainedTokenizerFast(
            tokenizer_object=Tokenizer(models.WordLevel(table, unk_token=names[0])), model_max_length=512, **special
        )

    made = {"emilyalsentzer/Bio_ClinicalBERT": where / "bert"}
    BertModel(BertConfig(**BERT)).save_pretrained(where / "bert")
    special = {"unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]", "mask_token": "[MASK]"}
    words(BERT["vocab_size"], special).save_pretrained(where / "bert")
    for name, size in GPT2.items():
        made[name] = where / name.partition("/")[2]
        GPT2LMHeadModel(GPT2Config(**size)).save_pretrained(made[name])
        words(50_257, {"unk_token": "<|endoftext|>", "bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>"}).save_pretrained(
            made[name]
        )
    return made


def without_hub(value: Any, local: Mapping[str, Path]) -> Any:
    """An experiment's data with names on the hub replaced by folders, and nothing pretrained."""
    if isinstance(value, list):
        return [without_hub(each, local) for each in value]
    if not isinstance(value, dict):
        return value
    made = {key: without_hub(each, local) for key, each in value.items() if key != "pretrained"}
    if made.get("model") in local:
        made["checkpoint"] = str(local[made.pop("model")])
    return made


def needs(cell: Cell, place: int) -> Needs:
    """What a stage of the cell needs."""
    stage = cell.stages[place]
    model = _model(cell, stage)
    batch, targets = _batch(cell, model)
    model.needs = frozenset(need for _, loss in stage.losses.values() for need in loss.attributes["needs"])
    for name, adapter in {**carried(cell.stages[:place], stage.modules), **stage.adapters}.items():
        module: nn.Module = model.encoders[name] if name in model.encoders else getattr(model, name)
        adapted = build(adapter.request(), {"module": module}.__getitem__)()
        if name in model.encoders:
            model.encoders[name] = adapted
        else:
            setattr(model, name, adapted)
    for part, parameters in model.parameters_by_module().items():
        if part not in stage.train:
            for parameter in parameters.values():
                parameter.requires_grad_(False)
    model.train()
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        alive.append(tensor)
        return tensor

    alive: list[Tensor] = []  # a storage that is freed would give its place to another
    half = {"bf16": torch.bfloat16, "fp16": torch.bfloat16}.get(stage.config.precision)
    with (
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
        torch.autocast("cpu", dtype=half or torch.bfloat16, enabled=half is not None),
    ):
        model(batch, targets)
    own = {one.untyped_storage().data_ptr(): one.untyped_storage().nbytes() for one in model.state_dict().values()}
    activations = sum(size for storage, size in kept.items() if storage not in own)
    trained = sum(one.numel() for one in model.parameters() if one.requires_grad)
    held = sum(one.numel() for one in model.parameters())
    return Needs(stage.name, held, trained, sum(own.values()), activations // STUDIES, stage.config.batch_size)


def _model(cell: Cell, stage: Stage) -> Model:
    reports = tuple(f"word{number} ." for number in range(1000))
    nodes = tuple(Node(f"word{number}", "observation") for number in range(NODES))
    edges = torch.stack([torch.arange(NODES), torch.arange(NODES).roll(1)])
    known = {
        "train_reports": reports,
        "train_contexts": reports,
        "graph": KnowledgeGraph(nodes, edges, torch.zeros(NODES, dtype=torch.int64), ("located_at",), torch.ones(NODES)),
    }

    def make(component: Any, **more: Any) -> Any:
        return build(component.request(), lambda name: (known | more)[name])

    wanted = cell.parts(stage.modules, stage.needs).value
    encoders = {source: make(component) for source, component in wanted["encoders"].items()}
    dims = {source: encoder.num_features for source, encoder in encoders.items()}
    fusion = decoder = None
    if "decoder" in wanted:
        own = make(wanted["own_tokenizer"]) if "own_tokenizer" in wanted else None
        tokenizer = make(wanted["tokenizer"], own_tokenizer=own)
        decoder = make(wanted["decoder"], tokenizer=tokenizer)
        decoder.words = tokenizer
        if "fusion" in wanted:
            fusion = make(wanted["fusion"], dims=dims, memory_dim=decoder.hidden_size)
    report = make(wanted["report"]) if "report" in wanted else None
    heads = None
    if "heads" in wanted:
        widths = dims if report is None else dims | {"report": report.num_features}
        heads = _heads(wanted["heads"], widths, FINDINGS, encoders.get("text"))
    return Model(encoders, fusion, decoder, heads, report)


def _batch(cell: Cell, model: Model) -> tuple[InputBatch, TargetBatch]:
    image: Any = dict(model.encoders.items()).get("image")
    size, channels = (image._preparation.size, image._preparation.channels) if image is not None else (1, 1)
    films = torch.randint(0, 255, (STUDIES, VIEWS, channels, size, size), dtype=torch.uint8)
    views = torch.ones(STUDIES, VIEWS, dtype=torch.int64)

    def ids(length: int, tokenizer: Any) -> Tensor:
        most = 100 if tokenizer is None else tokenizer.vocab_size
        return torch.randint(5, most, (STUDIES, length))

    text: Any = dict(model.encoders.items()).get("text")
    reader: Any = model.report_encoder or text
    contexts = ids(CONTEXT, getattr(text, "tokenizer", None))
    reports = ids(WORDS, getattr(model.decoder, "words", None))
    read = ids(min(WORDS, getattr(getattr(reader, "tokenizer", None), "max_length", WORDS)), getattr(reader, "tokenizer", None))
    names = tuple(map(str, range(STUDIES)))
    inputs = InputBatch(
        names,
        pixel_values=films,
        view_mask=views.bool(),
        view_ids=views,
        context_ids=contexts,
        context_mask=torch.ones_like(contexts).bool(),
        active_nodes=torch.rand(STUDIES, NODES) < 0.2,
    )
    targets = TargetBatch(
        names,
        reports,
        torch.ones_like(reports).bool(),
        read,
        torch.ones_like(read).bool(),
        torch.randint(0, 2, (STUDIES, FINDINGS)).float(),
        report_nodes=torch.rand(STUDIES, NODES) < 0.1,
        reports=("word1",) * STUDIES,
    )
    return inputs, targets


def main() -> None:
    """One table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment", type=Path)
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="PATH=VALUE")
    parser.add_argument("--json", type=Path, metavar="OUT")
    asked = parser.parse_args()
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory(prefix="rrgbench-recipe-") as folder:
        written = Experiment.load(asked.experiment, asked.overrides).config.model_dump(mode="json")
        raw = without_hub(written | {"axes": {}, "baseline": {}, "profiles": {}}, folders(Path(folder)))
        cell = Experiment.of(raw).resolve(Catalogue.load()).cells[0]
        found = [needs(cell, place) for place in range(len(cell.stages))]
    print("| stage | parameters held | trained | weights, GiB | a study, MiB | batch | in all, GiB |")
    print("|---|---|---|---|---|---|---|")
    for each in found:
        bytes_ = f"{each.weights / 2**30:.2f} | {each.study / 2**20:.0f} | {each.batch} | {each.total / 2**30:.1f}"
        print(f"| {each.stage} | {each.held:,} | {each.trained:,} | {bytes_} |")
    if asked.json is not None:
        asked.json.write_text(json.dumps([vars(each) for each in found], indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
