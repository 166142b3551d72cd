"""The steps that write reports: films prepared once, models, and floors. They are handed inputs, never the targets of test."""

from __future__ import annotations

import numpy as np
import torch

from rrgbench.batches import write_masks, write_pixels
from rrgbench.errors import PluginError
from rrgbench.generation import Decoding
from rrgbench.generation import generate as generate_reports
from rrgbench.identity import derive_seed
from rrgbench.interfaces import Floor, Segmenter
from rrgbench.steps.context import Context, Result, write_predictions
from rrgbench.steps.modelling import build_model, load_checkpoint, same_domain, study_set
from rrgbench.training.process import seed_everything


def pixels(context: Context) -> Result:
    """Prepare every film of a split; file: pixels.npy, uint8 (n_images, C, H, W)."""
    seed_everything(derive_seed(context.seed, "pixels"))
    encoder = context.build(context.payload["image_encoder"])
    write_pixels(context.draft / "pixels.npy", context.inputs(context.payload["inputs"]), encoder.prepare, context.on_progress)
    return Result()


def masks(context: Context) -> Result:
    """Find the lungs on every prepared film of a split; file: masks.npy, uint8 (n_images, H, W), see ``TargetBatch.masks``."""
    seed_everything(derive_seed(context.seed, "masks"))
    segmenter: Segmenter = context.build(context.payload["segmenter"])
    films = np.load(context.upstream("pixels")[0] / "pixels.npy", mmap_mode="r")
    found = write_masks(context.draft / "masks.npy", films, segmenter, context.on_progress)
    return Result(provenance={"segmenter": segmenter.identity, "films": len(films), "with_lungs": found})


def features(context: Context) -> Result:
    """What a frozen image encoder makes of every film of a split; file: features.npy, float32 (n_images, N, D)."""
    domain = same_domain(context, ["checkpoint"])
    model, _ = build_model(context)
    load_checkpoint(context, model)
    pixels = np.load(context.upstream("pixels")[0] / "pixels.npy", mmap_mode="r")
    model.to(context.device).eval()
    with (context.draft / "features.npy").open("wb") as file, torch.inference_mode():
        for first in range(0, len(pixels), _FILMS):
            films = torch.from_numpy(np.ascontiguousarray(pixels[first : first + _FILMS])).to(context.device)
            tokens = model.film_tokens(films).float().cpu().numpy()
            if not first:
                header = {"descr": "<f4", "fortran_order": False, "shape": (len(pixels), *tokens.shape[1:])}
                np.lib.format.write_array_header_1_0(file, header)
            file.write(tokens.astype("<f4").tobytes())
            context.on_progress(min(first + _FILMS, len(pixels)), len(pixels), "films")
    return Result(domain)


_FILMS = 64
"""Films a forward pass."""


def generate(context: Context) -> Result:
    """Write the reports of a split from its inputs; file: predictions.jsonl."""
    domain = same_domain(context, ["checkpoint", "before", "candidates", "features", "active"])
    model, tokenizer = build_model(context)
    assert tokenizer is not None, "a model that writes has a decoder"
    load_checkpoint(context, model)
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
