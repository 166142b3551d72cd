"""What preparing films once is worth: epochs over ``pixels.npy`` against decoding and preparing every film in every epoch.

The other side is what most code for this task does: a torch ``Dataset`` that opens the film and a ``DataLoader``, here in one
process, as the platform's batches are. Phantom's films are enlarged to 512 pixels and compressed, which is about what public
sets hold; the system has them in its memory on both sides. Both must give the same batches. The second row counts the preparing
in, which is done once for all cells and seeds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from measuring import Comparison, Second, Side
from PIL import Image
from rrgbench_encoders import Timm
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from world import World

from rrgbench import Inputs
from rrgbench.batches import Prepare, StudySet, write_pixels

STORED, PREPARED, BATCH = 512, 96, 16


class Films(Dataset):
    """A study's films, decoded and prepared each time they are asked for."""

    def __init__(self, inputs: Sequence[Inputs], prepare: Prepare) -> None:
        self.inputs, self.prepare = inputs, prepare

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, index: int) -> Tensor:
        films = []
        for path in self.inputs[index].images:
            with Image.open(path) as film:
                films.append(self.prepare(film))
        return torch.stack(films)


def padded(studies: list[Tensor]) -> Tensor:
    """(B, V, C, H, W) of studies (v, C, H, W) with v up to V."""
    return torch.nn.utils.rnn.pad_sequence(studies, batch_first=True)


def comparisons(world: World) -> Iterator[Comparison]:
    """One epoch over the films of 64 studies (32 where it has to be quick)."""
    inputs = _enlarged(world.phantom.inputs("train")[: 32 if world.quick else 64], world.folder / "films")
    encoder = Timm(model="mobilenetv4_conv_small_035", size=PREPARED)
    path = world.folder / "pixels.npy"
    write_pixels(path, inputs, encoder.prepare)
    data = StudySet(inputs, pixels=np.load(path, mmap_mode="r"))
    loader = DataLoader(Films(inputs, encoder.prepare), batch_size=BATCH, num_workers=0, collate_fn=padded)

    def prepared() -> list[Tensor]:
        groups = (range(begin, min(begin + BATCH, len(data))) for begin in range(0, len(data), BATCH))
        return [data.inputs_batch(group).pixel_values for group in groups]

    def anew() -> list[Tensor]:
        return list(loader)

    def writing() -> list[Tensor]:
        write_pixels(path, inputs, encoder.prepare)
        return prepared()

    def same(one: list[Tensor], other: list[Tensor]) -> bool:
        return len(one) == len(other) and all(torch.equal(*both) for both in zip(one, other, strict=True))

    decoded = Side("decoded in each epoch", anew)
    yield Comparison(Side("prepared once", prepared), [Second("films: an epoch", decoded, same)])
    yield Comparison(Side("preparing, then an epoch", writing), [Second("films: the first epoch", decoded, same)])


def _enlarged(inputs: Sequence[Inputs], folder: Path) -> list[Inputs]:
    folder.mkdir()
    moved = []
    for study in inputs:
        paths = tuple(folder / path.name for path in study.images)
        for old, new in zip(study.images, paths, strict=True):
            with Image.open(old) as film:
                film.resize((STORED, STORED), Image.Resampling.BICUBIC).save(new)
        moved.append(replace(study, images=paths))
    return moved
