"""The steps that write reports: films prepared once, models, and floors. They are handed inputs, never the targets of test."""

from __future__ import annotations

from pathlib import Path

from rrgbench.batches import write_pixels
from rrgbench.errors import PluginError
from rrgbench.generation import Decoding
from rrgbench.generation import generate as generate_reports
from rrgbench.identity import derive_seed
from rrgbench.interfaces import Floor
from rrgbench.steps.context import Context, Result, write_predictions
from rrgbench.steps.modelling import build_model, same_domain, study_set
from rrgbench.store import read_json
from rrgbench.training import load_model
from rrgbench.training.process import seed_everything


def pixels(context: Context) -> Result:
    """Prepare every film of a split; file: pixels.npy, uint8 (n_images, C, H, W)."""
    seed_everything(derive_seed(context.seed, "pixels"))
    encoder = context.build(context.payload["image_encoder"])
    write_pixels(context.draft / "pixels.npy", context.inputs(context.payload["inputs"]), encoder.prepare, context.on_progress)
    return Result()


def _checkpoint(context: Context) -> Path:
    """The one checkpoint, or the one that was selected on validate."""
    if "select" not in context.request["upstream"]:
        return context.upstream("checkpoint")[0]
    chosen = int(read_json(context.upstream("select")[0] / "select.json")["chosen"])
    return context.upstream("candidates")[chosen]


def generate(context: Context) -> Result:
    """Write the reports of a split from its inputs; file: predictions.jsonl."""
    domain = same_domain(context, ["checkpoint", "candidates"])
    model, tokenizer = build_model(context, {})
    load_model(model, _checkpoint(context) / "model.safetensors")
    inputs = context.inputs(context.payload["inputs"])
    decoding = dict(context.payload["decoding"])
    batch_size = decoding.pop("batch_size")
    reports = generate_reports(
        model.to(context.device),
        study_set(context, model, tokenizer, inputs),
        tokenizer,
        Decoding(**decoding),
        batch_size=batch_size,
        device=context.device,
        on_progress=context.on_progress,
    )
    write_predictions(context.draft / "predictions.jsonl", tuple(item.study_id for item in inputs), list(reports))
    return Result(domain)


def floor(context: Context) -> Result:
    """Write the reports of a floor; file: predictions.jsonl."""
    seed_everything(derive_seed(context.seed, "floor"))
    generator: Floor = context.build(context.payload["floor"])
    inputs = context.inputs(context.payload["inputs"])
    reports = list(generator.generate(inputs))
    if len(reports) != len(inputs) or not all(isinstance(report, str) for report in reports):
        raise PluginError(
            f"floor {type(generator).__name__}: generate", got=f"{len(reports)} reports", expected=f"{len(inputs)} texts"
        )
    write_predictions(context.draft / "predictions.jsonl", tuple(item.study_id for item in inputs), reports)
    return Result()
