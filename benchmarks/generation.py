"""What the cache of keys and values is worth, and what beams cost.

Greedy search is run twice by the same code: once over the decoder as it is, once over a decoder whose ``step`` reads the whole
prefix again. Both must write the same reports. Beam search is compared with greedy search; every report is 60 tokens long, so
that both write as much, whatever they find.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from measuring import Comparison, Second, Side
from torch import Tensor, nn
from world import World

from rrgbench import Features
from rrgbench.generation import Decoding, generate
from rrgbench.model import Model

TOKENS = 60


class Recomputing(nn.Module):
    """A decoder without a cache: it keeps the ids so far, and reads them all at every step."""

    def __init__(self, decoder: nn.Module) -> None:
        super().__init__()
        self.decoder = decoder
        self.hidden_size = decoder.hidden_size

    def step(self, input_ids: Tensor, memory: Features, cache: Tensor | None) -> tuple[Tensor, Tensor]:
        """As ``Decoder.step``."""
        ids = input_ids if cache is None else torch.cat([cache, input_ids], dim=1)
        return self.decoder(memory, ids, torch.ones_like(ids, dtype=torch.bool))[:, -1], ids


def comparisons(world: World) -> Iterator[Comparison]:
    """The reports of the test split (of validate where it has to be quick)."""
    data, model = world.study_set("validate" if world.quick else "test"), world.model()
    without = Model(model.encoders, model.fusion, Recomputing(model.decoder))
    greedy = Decoding(max_new_tokens=TOKENS, min_new_tokens=TOKENS)

    def written(by: Model, decoding: Decoding) -> list[str]:
        return generate(by, data, world.tokenizer, decoding, batch_size=32)

    cached = Side("greedy, cached", lambda: written(model, greedy))
    prefix = Side("greedy, whole prefix", lambda: written(without, greedy))
    beams = Side("3 beams, cached", lambda: written(model, replace(greedy, num_beams=3)))
    yield Comparison(
        cached,
        [
            Second("generation: the cache", prefix, lambda one, other: one == other),
            Second("generation: beams", beams, lambda one, other: _lengths(one) == _lengths(other)),
        ],
    )


def _lengths(reports: list[str]) -> list[int]:
    return [len(report.split()) for report in reports]
