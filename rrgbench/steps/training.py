"""The step that trains one rung of one stage."""

from __future__ import annotations

from rrgbench.errors import RRGBenchError
from rrgbench.identity import derive_seed
from rrgbench.interfaces import Loss
from rrgbench.steps.context import Context, Result
from rrgbench.steps.modelling import build_model, same_domain, study_set
from rrgbench.store import write_json
from rrgbench.training import Recipe, load_model, train_rung


def train(context: Context) -> Result:
    """Train epochs i to j; files: model.safetensors, optimizer.safetensors, state.json, log.json."""
    payload = context.payload
    stage, (first, last), start = payload["stage"], payload["epochs"], context.upstream("start")
    domain = same_domain(context, ["start"])
    model, tokenizer = build_model(context, stage["adapters"])
    if start and not payload["resume"]:
        load_model(model, start[-1] / "model.safetensors")
    losses = [(label, float(weight), _loss(context, label, request)) for label, (weight, request) in stage["losses"].items()]
    recipe = stage["recipe"]
    told = train_rung(
        model.to(context.device),
        losses,
        study_set(context, model, tokenizer, context.train.inputs, context.train.targets, payload["labels"]),
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


def _loss(context: Context, label: str, request: object) -> Loss:
    """A loss that says in plain words when the data set lacks what it needs.

    Raises:
        RRGBenchError: the loss needs labels and the data set has none.
    """
    loss: Loss = context.build(request)  # type: ignore[arg-type]
    if "labels" in loss.needs and not context.payload["labels"]:
        raise RRGBenchError(
            f"loss {label} needs labels", got="a data set without labels", hint="drop the loss or take another data set"
        )
    return loss
