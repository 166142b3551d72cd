"""What it costs to train a report generator whole, under each adapter, and frozen: parameters, memory and time of a step.

One model, one batch, one run: a ViT, the fusion ``concat`` and a GPT-2 that reads the memory as a prefix. Image encoder and
decoder are trained whole, under ``lora``, ``qlora`` (where there is a GPU), ``ia3`` and ``bottleneck``, or frozen; fusion and
projections are trained in all of them. A step is forward, backward, clipping and AdamW. On a CPU memory is counted: weights,
their gradients, the moments of AdamW and what the forward pass keeps for the backward one; on a GPU it is the most that torch
held.

``python benchmarks/adapters.py --scale base --device cuda`` prints one table; ``make bench`` compares each with the first.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from measuring import Comparison, Measured, Second, Side
from rrgbench_adapters import Bottleneck, Frozen, Ia3, Lora, Qlora
from rrgbench_decoders import CausalLM
from rrgbench_encoders import Timm
from rrgbench_fusions import Concat
from rrgbench_losses import CrossEntropy
from torch import Tensor, nn

from rrgbench.model import Model
from rrgbench.training import Recipe
from rrgbench.training.recipe import make_optimizer, parameter_counts
from rrgbench.types import InputBatch, TargetBatch

WHOLE = ("project", "memory_norm", "start")
"""Parts of the decoder that no weights are loaded for: trained whole under every adapter."""


@dataclass(frozen=True)
class Scale:
    """Sizes of the model, and of a batch: studies, films of each, tokens of a report."""

    image: str
    size: int
    hidden: int
    layers: int
    heads: int
    words: int
    studies: int
    views: int
    tokens: int
    checkpointing: bool = False


SCALES = {
    "tiny": Scale("test_vit", 64, 64, 2, 2, 200, 4, 1, 20),
    "small": Scale("vit_tiny_patch16_224", 96, 256, 6, 4, 1000, 8, 1, 60),
    "base": Scale("vit_base_patch16_224", 224, 768, 12, 12, 50_257, 16, 2, 60),
    "large": Scale("swin_base_patch4_window7_224", 224, 4096, 32, 32, 32_000, 4, 2, 100, checkpointing=True),
}


class Words:
    """A tokenizer of so many words: the benchmark draws ids."""

    def __init__(self, count: int) -> None:
        self.vocab_size, self.max_length = count, 1000
        self.bos_token_id, self.eos_token_id, self.pad_token_id = 0, 1, 2


def adapters(device: str) -> dict[str, Callable[[nn.Module, str], nn.Module]]:
    """Name -> what it makes of the module and its name."""

    def under(adapter: Any, **options: Any) -> Callable[[nn.Module, str], nn.Module]:
        def adapt(module: nn.Module, name: str) -> nn.Module:
            given = options | ({"whole": WHOLE} if name == "decoder" else {})
            adapted: nn.Module = adapter(module, **given)()
            return adapted

        return adapt

    def frozen(module: nn.Module, name: str) -> nn.Module:
        adapted: nn.Module = Frozen(module)()
        for part in WHOLE if name == "decoder" else ():
            for parameter in getattr(module, part).parameters() if part != "start" else [module.start]:
                parameter.requires_grad_(True)
        return adapted

    quantised = {"qlora": under(Qlora)} if torch.device(device).type == "cuda" else {}  # the adapter asks for a GPU
    return {
        "full": lambda module, name: module,
        "lora": under(Lora),
        **quantised,
        "ia3": under(Ia3),
        "bottleneck": under(Bottleneck),
        "frozen": frozen,
    }


class Training:
    """A model under an adapter, with its optimiser and a batch."""

    def __init__(self, scale: Scale, adapt: Callable[[nn.Module, str], nn.Module], device: str) -> None:
        torch.manual_seed(0)
        self.device = torch.device(device)
        with self.device:  # large weights are drawn where they are needed
            image = Timm(model=scale.image, size=scale.size)
            decoder = CausalLM(
                Words(scale.words),
                layers=scale.layers,
                hidden_size=scale.hidden,
                heads=scale.heads,
                gradient_checkpointing=scale.checkpointing,
            )
        adapted = {"image": adapt(image, "image"), "decoder": adapt(decoder, "decoder")}
        fusion = Concat({"image": image.num_features}, decoder.hidden_size)
        self.model = Model({"image": adapted["image"]}, fusion, adapted["decoder"]).to(self.device).train()
        self.optimizer = make_optimizer(self.model, Recipe(epochs=1, lr={"default": 1e-4}))
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"]
        films = torch.randint(0, 255, (scale.studies, scale.views, 1, scale.size, scale.size), dtype=torch.uint8)
        views = torch.ones(scale.studies, scale.views, dtype=torch.int64)
        names = tuple(map(str, range(scale.studies)))
        self.inputs = InputBatch(names, pixel_values=films, view_mask=views.bool(), view_ids=views).to(self.device)
        ids = torch.randint(3, scale.words, (scale.studies, scale.tokens))
        self.targets = TargetBatch(names, ids, torch.ones_like(ids).bool()).to(self.device)
        self.loss = CrossEntropy()

    def step(self) -> float:
        """One step; the loss before it."""
        half = torch.autocast("cuda", dtype=torch.bfloat16) if self.device.type == "cuda" else nullcontext()
        with half:
            value: Tensor = self.loss(self.model(self.inputs, self.targets), self.targets)
        torch.autograd.backward(value)
        nn.utils.clip_grad_norm_([p for group in self.optimizer.param_groups for p in group["params"]], 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return float(value.detach())

    def trainable(self) -> tuple[int, int]:
        """How many parameters are trained, and of how many."""
        counts = parameter_counts(self.model)["model"]
        return counts["trainable"], sum(_numbers(one) for one in self.model.parameters())

    def memory(self) -> int:
        """Bytes: on a GPU the most that was held, on a CPU what a step needs by count."""
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
            self.step()
            return int(torch.cuda.max_memory_allocated())
        kept: dict[int, int] = {}

        def keep(tensor: Tensor) -> Tensor:
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        weights = {p.untyped_storage().data_ptr(): p.untyped_storage().nbytes() for p in self.model.state_dict().values()}
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            self.loss(self.model(self.inputs, self.targets), self.targets)
        activations = sum(size for place, size in kept.items() if place not in weights)
        learnt = sum(p.numel() * p.element_size() for group in self.optimizer.param_groups for p in group["params"])
        return sum(weights.values()) + 3 * learnt + activations


def _numbers(parameter: nn.Parameter) -> int:
    """Parameters in a tensor: two a byte where they have 4 bits."""
    return parameter.numel() * (1 if parameter.is_floating_point() else 2)


def comparisons(world: Any) -> Iterator[Comparison | Measured]:
    """The step of each beside that of the whole model; then their parameters and memory."""
    scale = SCALES["tiny" if world.quick else "small"]
    made = {name: Training(scale, adapt, "cpu") for name, adapt in adapters("cpu").items()}

    def side(name: str) -> Side:
        return Side(name, made[name].step)

    others = [name for name in made if name != "full"]
    finite = [Second("training step", side(name), lambda one, other: abs(one) < 1e3 and abs(other) < 1e3) for name in others]
    yield Comparison(side("full"), finite)
    for what, unit, value in (
        ("trainable parameters", "parameters", lambda each: each.trainable()[0]),
        ("memory of a step", "bytes", lambda each: each.memory()),
    ):
        values = {name: float(value(each)) for name, each in made.items()}
        for name in others:
            yield Measured(what, ("full", name), [values["full"]], [values[name]], unit)


def rows(scale: Scale, device: str, steps: int, limit: float | None = None) -> Iterator[dict[str, Any]]:
    """One row a way to train; where it does not fit or cannot be had, its row says so."""
    if torch.device(device).type != "cuda":
        yield {"way": "qlora", "error": "needs a GPU"}
    for name, adapt in adapters(device).items():
        gc.collect()
        if device != "cpu":
            torch.cuda.empty_cache()
            torch.cuda.set_per_process_memory_fraction(1.0)
        try:
            training = Training(scale, adapt, device)
            if limit is not None:
                gc.collect()
                torch.cuda.empty_cache()
                torch.cuda.set_per_process_memory_fraction(limit * 2**30 / torch.cuda.get_device_properties(0).total_memory)
            first = training.step()
            memory, seconds = training.memory(), []
            for _ in range(steps):
                _wait(device)
                began = time.perf_counter()
                last = training.step()
                _wait(device)
                seconds.append(time.perf_counter() - began)
            trained, total = training.trainable()
            row = {"trainable": trained, "total": total, "memory": memory, "seconds": statistics.median(seconds)}
            yield {"way": name, **row, "loss": [first, last]}
        except torch.OutOfMemoryError as error:
            yield {"way": name, "error": f"does not fit: {str(error).splitlines()[0][:120]}"}
        training = None


def _wait(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()


def print_table(found: list[Mapping[str, Any]]) -> None:
    """Markdown, as it stands in the docs."""
    print("| way | trainable | of | share | memory, GiB | step, ms | step / full |")
    print("|---|---|---|---|---|---|---|")
    full = next((row["seconds"] for row in found if row["way"] == "full" and "seconds" in row), None)
    for row in found:
        if "error" in row:
            print(f"| {row['way']} | | | | {row['error']} | | |")
            continue
        share, ratio = row["trainable"] / row["total"], "" if full is None else f"{row['seconds'] / full:.2f}"
        numbers = f"{row['trainable']:,} | {row['total']:,} | {share:.2%} | {row['memory'] / 2**30:.2f}"
        print(f"| {row['way']} | {numbers} | {1000 * row['seconds']:.0f} | {ratio} |")


def main() -> None:
    """One table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", choices=SCALES, default="small")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--steps", type=int, default=10, help="timed steps of each")
    parser.add_argument("--limit", type=float, metavar="GIB", help="let torch have so much of the GPU, as a smaller one would")
    parser.add_argument("--json", type=Path, metavar="OUT")
    asked = parser.parse_args()
    found = []
    for row in rows(SCALES[asked.scale], asked.device, asked.steps, asked.limit):
        found.append(row)
        print(json.dumps(row), file=sys.stderr, flush=True)
    print_table(found)
    if asked.json is not None:
        asked.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
