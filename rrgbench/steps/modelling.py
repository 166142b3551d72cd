"""From component requests to a model, its tokenizers and its study sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from rrgbench.batches import StudySet
from rrgbench.errors import PluginError, RRGBenchError, StoreError
from rrgbench.heads import Heads
from rrgbench.identity import derive_seed
from rrgbench.interfaces import Tokenizer
from rrgbench.knowledge.graph import RELATIONS, read_graph
from rrgbench.model import Model
from rrgbench.steps.context import Context
from rrgbench.store import read_done, read_json
from rrgbench.training import load_parts, numerics_domain
from rrgbench.training.process import seed_everything
from rrgbench.types import Inputs, KnowledgeGraph, Node, Targets


def build_model(context: Context, findings: int = 0) -> tuple[Model, Tokenizer | None]:
    """The model of the step's payload, or the parts of one that it names, with fresh weights, under the adapters that its
    checkpoints were written under (``carried``); and the tokenizer that it writes in.

    Every part is made under a seed of its own, so that cells that differ in one part start with the same others.

    Args:
        context: of the step.
        findings: how many findings the head for them tells apart, where the payload asks for one.

    Raises:
        PluginError: a part is not an nn.Module.
    """
    return _built(context, findings, context.payload.get("carried", {}))[:2]


def begin_stage(context: Context, findings: int) -> tuple[Model, Tokenizer | None]:
    """The model of a step that trains, as its stage begins: with the weights of earlier stages, their adapters kept or merged,
    and under the stage's own. A rung that goes on with its stage reads its weights later: it gets the make alone.

    Raises:
        PluginError: a part is not an nn.Module.
        StoreError: the checkpoints are not those of the parts.
    """
    payload = context.payload
    held, merged = dict(payload.get("carried", {})), payload.get("merged", ())
    if payload["resume"]:
        held = {name: adapter for name, adapter in held.items() if name not in merged}
    model, tokenizer, adapters = _built(context, findings, held)
    if not payload["resume"]:
        if start := context.upstream("start"):
            load_parts(model, [folder / "model.safetensors" for folder in start])
        for name in merged:
            _put(model, name, adapters[name].merge())
    for name, adapter in payload["stage"]["adapters"].items():
        if adapter != held.get(name) or name in merged:
            seed_everything(derive_seed(context.seed, "init", f"adapter of {name}"))
            _put(model, name, context.build(adapter, module=_part(model, name))())
    return model, tokenizer


def _part(model: Model, name: str) -> nn.Module:
    """A module that may be adapted, by the name that a recipe uses."""
    found: nn.Module = model.encoders[name] if name in model.encoders else getattr(model, _ATTRIBUTES[name])
    return found


def _put(model: Model, name: str, module: nn.Module) -> None:
    if name in model.encoders:
        model.encoders[name] = module
    else:
        setattr(model, _ATTRIBUTES[name], module)


_ATTRIBUTES = {"report": "report_encoder", "fusion": "fusion", "decoder": "decoder"}


def _built(context: Context, findings: int, under: Mapping[str, Any]) -> tuple[Model, Tokenizer | None, dict[str, Any]]:
    """As ``build_model``, under these adapters (module -> request); and the adapters."""
    wanted = context.payload["model"]
    tokenizer = context.value("tokenizer") if "decoder" in wanted else None

    known = {"graph": graph_value(context)} if context.request["upstream"].get("graph") else {}
    adapters: dict[str, Any] = {}

    def make(name: str, component: Mapping[str, Any], **values: Any) -> nn.Module:
        seed_everything(derive_seed(context.seed, "init", name))
        module = context.build(component, **known, **values)
        if not isinstance(module, nn.Module):
            raise PluginError(f"{name}: {type(module).__name__} is not a torch module")
        if name not in under:
            return module
        adapters[name] = context.build(under[name], module=module)
        adapted: nn.Module = adapters[name]()
        return adapted

    encoders = {source: make(source, component) for source, component in wanted["encoders"].items()}
    dims = {source: int(getattr(encoder, "num_features", 0)) for source, encoder in encoders.items()}
    fusion = decoder = heads = None
    if "decoder" in wanted:
        decoder = make("decoder", wanted["decoder"], tokenizer=tokenizer)
        if "fusion" in wanted:
            fusion = make("fusion", wanted["fusion"], dims=dims, memory_dim=int(getattr(decoder, "hidden_size", 0)))
    report_encoder = make("report", wanted["report"]) if "report" in wanted else None
    if "heads" in wanted:
        seed_everything(derive_seed(context.seed, "init", "heads"))
        widths = dims if report_encoder is None else dims | {"report": int(getattr(report_encoder, "num_features", 0))}
        heads = _heads(wanted["heads"], widths, findings, encoders.get("text"))
    seed_everything(derive_seed(context.seed, "init", "model"))
    return Model(encoders, fusion, decoder, heads, report_encoder), tokenizer, adapters


def _heads(asked: Mapping[str, Any], dims: Mapping[str, int], findings: int, text: Any) -> Heads:
    """The heads that a payload asks for."""
    return Heads(
        dims,
        embedding_dim=asked.get("embedding_dim"),
        findings=findings if asked.get("finding_logits") else 0,
        masks=bool(asked.get("mask_logits")),
        matching_dim=asked.get("matching_logits"),
        node_dim=asked.get("node_logits"),
        entity_dim=asked.get("entity_logits"),
        words=int(text.tokenizer.vocab_size) if asked.get("masked_logits") else 0,
    )


def graph_value(context: Context) -> KnowledgeGraph:
    """The platform value ``graph``, from the artifact of the step's graph."""
    found = read_graph(context.upstream("graph")[0] / "graph.json")
    return KnowledgeGraph(
        nodes=tuple(Node(node.name, node.kind) for node in found.nodes),
        edges=torch.tensor([[edge.source, edge.target] for edge in found.edges], dtype=torch.int64).reshape(-1, 2).T.contiguous(),
        edge_types=torch.tensor([RELATIONS.index(edge.relation) for edge in found.edges], dtype=torch.int64),
        relations=RELATIONS,
        edge_counts=torch.tensor([edge.count for edge in found.edges], dtype=torch.float32),
    )


def load_checkpoint(context: Context, model: Model) -> None:
    """Read the model's weights from the step's checkpoints: those of several stages in order, the selected one last.

    Raises:
        StoreError: they do not hold all of the model.
    """
    folders = context.upstream("checkpoint")
    if "select" in context.request["upstream"]:
        chosen = int(read_json(context.upstream("select")[0] / "select.json")["chosen"])
        folders = [*context.upstream("before"), context.upstream("candidates")[chosen]]
    missing = load_parts(model, [folder / "model.safetensors" for folder in folders])
    if missing and folders:
        raise StoreError(
            "the checkpoints do not hold the whole model", got=f"{len(missing)} tensors missing, {min(missing)} first"
        )


def study_set(
    context: Context,
    model: Model,
    tokenizer: Tokenizer | None,
    inputs: Sequence[Inputs],
    targets: Sequence[Targets] | None = None,
    labels: Sequence[str] = (),
    side: str = "",
) -> StudySet:
    """Studies as the model reads them; without targets for everything but training and judging.

    ``side``: what the roles of their artifacts begin with, where the step has another split, too.
    """
    pixels, features, masks, active = (context.upstream(f"{side}{role}") for role in ("pixels", "features", "masks", "active"))
    context_tokenizer: Any = getattr(dict(model.encoders.items()).get("text"), "tokenizer", None)
    own: Any = getattr(model.report_encoder, "tokenizer", None)
    read = model.heads is not None and (model.heads.reads_reports or (model.heads.words is not None and own is None))
    reader = context_tokenizer if own is None else own
    reads_nodes = not side and "report_nodes" in (model.needs or ())  # only what train reports state is known
    return StudySet(
        inputs,
        pixels=np.load(pixels[0] / "pixels.npy", mmap_mode="r") if pixels else None,
        image_tokens=np.load(features[0] / "features.npy", mmap_mode="r") if features else None,
        context_tokenizer=context_tokenizer,
        targets=targets,
        report_tokenizer=tokenizer if targets is not None else None,
        report_encoder_tokenizer=reader if read and targets is not None else None,
        label_names=tuple(labels) if targets is not None else (),
        masks=np.load(masks[0] / "masks.npy", mmap_mode="r") if masks and targets is not None else None,
        active_nodes=np.load(active[0] / "active.npy", allow_pickle=False) if active else None,
        report_nodes=_stated(context, targets) if targets is not None and reads_nodes else None,
    )


def _stated(context: Context, targets: Sequence[Targets]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which nodes of the graph each train report states, (n, G) bool."""
    folder = context.upstream("graph")[0]
    mentions = read_json(folder / "mentions.json")
    stated = np.zeros((len(targets), len(read_graph(folder / "graph.json").nodes)), dtype=np.bool_)
    for row, target in zip(stated, targets, strict=True):
        row[mentions[target.study_id]] = True
    return stated


def labelled(context: Context, targets: Sequence[Targets], role: str = "labels") -> tuple[tuple[str, ...], tuple[Targets, ...]]:
    """The names of the findings that the step learns, and targets with their labels: an annotator's where the step has them.

    ``role`` names the artifact whose labels are given; the names are always those of train.
    """
    if "labels" not in context.request["upstream"]:
        return tuple(context.payload["labels"] or ()), tuple(targets)
    names = tuple(read_json(context.upstream("labels")[0] / "labels.json")["names"])
    rows = read_json(context.upstream(role)[0] / "labels.json")["studies"]
    told = tuple(replace(target, labels=dict.fromkeys(names, 0) | rows[target.study_id]) for target in targets)
    return names, told


def same_domain(context: Context, roles: Sequence[str]) -> dict[str, Any]:
    """The numerics domain of this process, which must be that of the run's earlier steps: a run never mixes them. (What is no
    part of a run, a report for given films, may be written ``elsewhere``.)

    Raises:
        RRGBenchError: an earlier step of the run was done elsewhere.
    """
    here: dict[str, Any] = dict(numerics_domain(context.device, context.ranks))
    for role in roles:
        for folder in context.upstream(role):
            there = read_done(folder).domain
            if there is not None and there != here and not context.payload.get("elsewhere"):
                different = [key for key in here if here[key] != there.get(key)]
                raise RRGBenchError(
                    f"this run was begun with other numerics ({', '.join(different)})",
                    got=", ".join(f"{key} {here[key]}" for key in different),
                    expected=", ".join(f"{key} {there.get(key)}" for key in different),
                    hint="go on where it was begun, or start it anew with another --store",
                )
    return here
