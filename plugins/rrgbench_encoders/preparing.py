"""What is done to a film once, before it is stored: lungs found, fitted to a square, uint8. Always the same for the same film."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from rrgbench import PluginError, Segmenter
from rrgbench.films import eight_bits

Resize = Literal["squash", "pad", "crop"]
Padding = Literal["black", "edge"]
Filter = Literal["bilinear", "bicubic", "lanczos", "box"]
Lungs = Literal["crop", "mask"]

_MARGIN = 0.05
"""What is kept round the lungs, as a share of the height and the width of their box."""


@dataclass(frozen=True)
class Preparation:
    """A film to uint8 (channels, size, size).

    Args:
        size: height and width of what is stored, in pixels.
        channels: 1 (grey) or 3.
        resize: ``squash`` to a square, ``pad`` to one (nothing is lost), or ``crop`` the middle one (the shorter side is kept).
        padding: what ``pad`` adds: ``black``, or the film's ``edge`` drawn out.
        filter: how pixels are averaged.
        segmenter: finds the lungs; where it finds none the film stays whole.
        lungs: ``crop`` to their box with a margin, or ``mask``: all but them becomes black.
    """

    size: int
    channels: Literal[1, 3] = 1
    resize: Resize = "squash"
    padding: Padding = "black"
    filter: Filter = "bilinear"
    segmenter: Segmenter | None = None
    lungs: Lungs = "crop"

    def __call__(self, image: Image.Image) -> Tensor:
        """More than 8 bits are spread over the film's own darkest to brightest."""
        film = eight_bits(image).convert("L" if self.channels == 1 else "RGB")
        if self.segmenter is not None:
            film = self._lungs_of(film, self.segmenter)
        pixels = torch.from_numpy(self._fitted(film))
        return pixels.unsqueeze(0) if self.channels == 1 else pixels.permute(2, 0, 1).contiguous()

    def _lungs_of(self, film: Image.Image, segmenter: Segmenter) -> Image.Image:
        mask = segmenter(film)
        if not isinstance(mask, np.ndarray) or mask.shape != (film.height, film.width) or mask.dtype != np.bool_:
            got = f"{mask.dtype} {mask.shape}" if isinstance(mask, np.ndarray) else type(mask).__name__
            expected = f"bool {(film.height, film.width)}"
            raise PluginError(f"segmenter {type(segmenter).__name__}: wrong mask", got=got, expected=expected)
        if not mask.any():
            return film
        if self.lungs == "mask":
            return Image.composite(film, Image.new(film.mode, film.size), Image.fromarray(mask.astype(np.uint8) * 255))
        left, right = _span(mask.any(axis=0))
        top, bottom = _span(mask.any(axis=1))
        return film.crop((left, top, right, bottom))

    def _fitted(self, film: Image.Image) -> np.ndarray[Any, np.dtype[np.uint8]]:
        size, how = self.size, Image.Resampling[self.filter.upper()]
        width, height = film.size
        if self.resize == "crop":
            # Cut out of the film as it is, so that a film like a ribbon is never blown up.
            side = min(width, height)
            left, top = (width - side) / 2, (height - side) / 2
            return np.array(film.resize((size, size), how, box=(left, top, left + side, top + side)))
        if self.resize == "squash":
            return np.array(film.resize((size, size), how))
        longer = max(width, height)
        inner = (max(1, round(size * width / longer)), max(1, round(size * height / longer)))
        pixels = np.array(film.resize(inner, how))
        before = ((size - inner[1]) // 2, (size - inner[0]) // 2)
        around = [(before[0], size - inner[1] - before[0]), (before[1], size - inner[0] - before[1]), (0, 0)][: pixels.ndim]
        return np.pad(pixels, around, mode="edge") if self.padding == "edge" else np.pad(pixels, around)


def _span(inside: np.ndarray[Any, np.dtype[np.bool_]]) -> tuple[int, int]:
    """From the first to behind the last True, with the margin, within the film."""
    places = inside.nonzero()[0]
    first, last = int(places[0]), int(places[-1]) + 1
    margin = round(_MARGIN * (last - first))
    return max(first - margin, 0), min(last + margin, len(inside))
