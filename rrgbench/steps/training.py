"""The step that trains one rung of one stage."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rrgbench.batches import StudySet
from rrgbench.errors import DataError
from rrgbench.identity import derive_seed
from rrgbench.interfaces import Tokenizer
from rrgbench.model import Model
from rrgbench.steps.context import Context, Result
from rrgbench.steps.modelling import begin_stage, labelled, same_domain, study_set
from rrgbench.steps.scoring import LEAST
from rrgbench.store import read_json, write_json
from rrgbench.training import EarlyStopping, Ranks, Recipe, has_stopped, train_rung


def train(context: Context) -> Result:
    """Train epochs i to j; files: model.safetensors, optimizer.safetensors, state.json, log.json; newest.safetensors, too, where
    the weights that are kept are of an earlier epoch."""
    payload = context.payload
    stage, (first, last), start = payload["stage"], payload["epochs"], context.upstream("start")
    domain = same_domain(context, ["start", "features", "active", "validate_features", "validate_active"])
    if payload["resume"] and has_stopped(start[-1]):
        return _as_it_was(context, start[-1], domain)
    names, targets = labelled(context, context.train.targets)
    if "labels" in context.request["upstream"] and not names:
        got = f"none that is stated by {LEAST} train reports"
        raise DataError("findings to learn", got=got, hint="a larger train split, or a stage without the loss on findings")
    model, tokenizer = begin_stage(context, len(names))
    losses = [(label, float(weight), context.build(request)) for label, (weight, request) in stage["losses"].items()]
    model.needs = frozenset(need for _, _, loss in losses for need in loss.needs)
    told = train_rung(
        model.to(context.device),
        losses,
        study_set(context, model, tokenizer, context.train.inputs, targets, names),
        recipe_of(stage["recipe"]),
        seed=derive_seed(context.seed, "stage", stage["name"]),
        epochs=range(first, last),
        start=start[-1] if payload["resume"] else None,
        out=context.draft,
        scratch=context.scratch,
        validate=_validate(context, model, tokenizer, names),
        device=context.device,
        ranks=Ranks(context.ranks, context.rank, context.meeting, context.meet),
        on_progress=context.on_progress,
        on_epoch=context.on_epoch,
    )
    if context.rank:
        return Result(domain)
    stopped = {"stopped": told["stopped"]} if told["stopped"] else {}
    write_json(context.draft / "log.json", {"epochs": told["epochs"], "parameters": told["parameters"]} | stopped)
    cost = {"seconds": told["seconds"], "studies_per_second": told["studies_per_second"]}
    return Result(domain, {"cost": cost, "parameters": told["parameters"]} | stopped)


def recipe_of(given: Mapping[str, Any]) -> Recipe:
    """The recipe that a step carries. ``draws`` is a mark in ids alone."""
    plain = {key: value for key, value in given.items() if key != "draws"}
    rule = {"early_stopping": EarlyStopping(**plain["early_stopping"])} if "early_stopping" in plain else {}
    return Recipe(**{**plain, "train": tuple(plain["train"]), "betas": tuple(plain["betas"]), **rule})


def _validate(context: Context, model: Model, tokenizer: Tokenizer | None, names: Sequence[str]) -> StudySet | None:
    """The validate split, where the stage judges itself by it."""
    if "validate" not in context.payload:
        return None
    validate = context.examples(context.payload["validate"])
    _, targets = labelled(context, validate.targets, "judged")
    return study_set(context, model, tokenizer, validate.inputs, targets, names, side="validate_")


def _as_it_was(context: Context, start: Path, domain: dict[str, Any]) -> Result:
    """A rung after the stage has stopped: the state stays what it was."""
    if context.rank:
        return Result(domain)
    for path in [*sorted(start.glob("*.safetensors")), start / "state.json"]:
        try:
            os.link(path, context.draft / path.name)
        except OSError:  # a file system without links
            shutil.copyfile(path, context.draft / path.name)
    log = read_json(start / "log.json")
    told = {"parameters": log["parameters"], "stopped": log["stopped"]}
    write_json(context.draft / "log.json", {"epochs": [], **told})
    return Result(domain, {"cost": {"seconds": 0.0, "studies_per_second": 0.0}, **told})
