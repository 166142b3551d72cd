"""The step that trains one rung of one stage."""

from __future__ import annotations

from rrgbench.errors import DataError
from rrgbench.identity import derive_seed
from rrgbench.steps.context import Context, Result
from rrgbench.steps.modelling import begin_stage, labelled, same_domain, study_set
from rrgbench.steps.scoring import LEAST
from rrgbench.store import write_json
from rrgbench.training import Recipe, train_rung


def train(context: Context) -> Result:
    """Train epochs i to j; files: model.safetensors, optimizer.safetensors, state.json, log.json."""
    payload = context.payload
    stage, (first, last), start = payload["stage"], payload["epochs"], context.upstream("start")
    domain = same_domain(context, ["start", "features", "active"])
    names, targets = labelled(context, context.train.targets)
    if "labels" in context.request["upstream"] and not names:
        got = f"none that is stated by {LEAST} train reports"
        raise DataError("findings to learn", got=got, hint="a larger train split, or a stage without the loss on findings")
    model, tokenizer = begin_stage(context, len(names))
    losses = [(label, float(weight), context.build(request)) for label, (weight, request) in stage["losses"].items()]
    model.needs = frozenset(need for _, _, loss in losses for need in loss.needs)
    recipe = {key: value for key, value in stage["recipe"].items() if key != "draws"}  # a mark in ids alone
    told = train_rung(
        model.to(context.device),
        losses,
        study_set(context, model, tokenizer, context.train.inputs, targets, names),
        Recipe(**{**recipe, "train": tuple(recipe["train"]), "betas": tuple(recipe["betas"])}),
        seed=derive_seed(context.seed, "stage", stage["name"]),
        epochs=range(first, last),
        start=start[-1] if payload["resume"] else None,
        out=context.draft,
        scratch=context.scratch,
        device=context.device,
        on_progress=context.on_progress,
        on_epoch=context.on_epoch,
    )
    write_json(context.draft / "log.json", {"epochs": told["epochs"], "parameters": told["parameters"]})
    cost = {"seconds": told["seconds"], "studies_per_second": told["studies_per_second"]}
    return Result(domain, {"cost": cost, "parameters": told["parameters"]})
