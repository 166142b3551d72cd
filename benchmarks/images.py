"""An epoch of augmented films: prepared once and augmented in batches, against a torch Dataset that does it all film by film.

The other side is how it is mostly written: a ``Dataset`` that opens a film and runs torchvision's transforms (resize, shift and
turn, contrast and brightness, to tensor, normalise), and a shuffling ``DataLoader``, in one process and with two workers that
stay. Both make the same kind of change within the same limits, but not with the same draws; so what is compared before anything
is timed is the two with the changes switched off, and shapes and types with them on. The films are phantom's, enlarged to 512
pixels, or those of the folder that ``--films`` names. Preparing is not counted in: the benchmark ``films`` says what it costs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from measuring import Comparison, Second, Side
from PIL import Image
from rrgbench_encoders import Timm
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms
from torchvision.transforms import InterpolationMode
from world import World

from rrgbench import Inputs
from rrgbench.batches import StudySet, write_pixels

STORED, PREPARED, BATCH = 512, 224, 16
CROP, ROTATION, JITTER = 0.0625, 10.0, 0.1


class Films(Dataset):
    """A film as a tensor, opened and changed each time it is asked for."""

    def __init__(self, paths: Sequence[Path], mean: float, std: float, augment: bool) -> None:
        self.paths = paths
        changes = [
            transforms.RandomAffine(ROTATION, translate=(CROP, CROP), interpolation=InterpolationMode.BILINEAR),
            transforms.ColorJitter(brightness=JITTER, contrast=JITTER),
        ]
        self.transform = transforms.Compose(
            [
                transforms.Resize((PREPARED, PREPARED)),
                *(changes if augment else ()),
                transforms.ToTensor(),
                transforms.Normalize([mean], [std]),
            ]
        )

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Tensor:
        with Image.open(self.paths[index]) as film:
            return self.transform(film.convert("L"))


def comparisons(world: World) -> Iterator[Comparison]:
    """One epoch over 192 films (64 where it has to be quick)."""
    paths = _paths(world)[: 64 if world.quick else 192]
    inputs = [Inputs(f"s{number}", f"p{number}", (path,), ("frontal",)) for number, path in enumerate(paths)]
    model = {"model": "mobilenetv4_conv_small_035", "size": PREPARED}
    encoder = Timm(**model, crop=CROP, rotation=ROTATION, jitter=JITTER)
    write_pixels(world.folder / "images.npy", inputs, encoder.prepare)
    data = StudySet(inputs, pixels=np.load(world.folder / "images.npy", mmap_mode="r"))

    def ours(augment: bool) -> list[Tensor]:
        order = np.random.default_rng(0).permutation(len(data)).tolist() if augment else list(range(len(data)))
        groups = (order[begin : begin + BATCH] for begin in range(0, len(data), BATCH))
        return [encoder.transform(data.inputs_batch(group).pixel_values.flatten(0, 1), augment) for group in groups]

    def theirs(augment: bool, workers: int) -> DataLoader:
        films = Films(paths, float(encoder.mean), float(encoder.std), augment)
        return DataLoader(films, batch_size=BATCH, shuffle=augment, num_workers=workers, persistent_workers=workers > 0)

    for one, other in zip(ours(False), theirs(False, 0), strict=True):
        assert torch.allclose(one, other, atol=1e-4), "without changes both sides give the same films"

    def same(one: list[Tensor], other: list[Tensor]) -> bool:
        return [(each.shape, each.dtype) for each in one] == [(each.shape, each.dtype) for each in other]

    alone, beside = theirs(True, 0), theirs(True, 2)
    yield Comparison(
        Side("stored, in batches", lambda: ours(True)),
        [
            Second("images: an epoch", Side("Dataset, film by film", lambda: list(alone)), same),
            Second("images: an epoch", Side("the same, 2 workers", lambda: list(beside)), same),
        ],
        items=len(paths),
    )


def _paths(world: World) -> list[Path]:
    if world.films is not None:
        found = sorted(path for path in world.films.rglob("*") if path.suffix.lower() in (".png", ".jpg", ".jpeg"))
        assert found, f"no PNG and no JPEG below {world.films}"
        # Spread over the folder, so that no one series decides.
        return found[:: max(1, len(found) // 192)]
    folder = world.folder / "images"
    folder.mkdir()
    paths = []
    for study in world.phantom.inputs("train"):
        for path in study.images:
            with Image.open(path) as film:
                film.resize((STORED, STORED), Image.Resampling.BICUBIC).save(folder / path.name)
            paths.append(folder / path.name)
    return paths
