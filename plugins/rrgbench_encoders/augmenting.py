"""What is done to films at random in training: a whole batch at once, with torch's generator.

Draws are made on the CPU, so that a device does not change them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Geometry:
    """Where each film of a batch is moved: rows and columns (B) in pixels, mirrored (B) bool, turned by angles (B) in radians or
    not at all."""

    rows: Tensor
    columns: Tensor
    mirrored: Tensor | None = None
    angles: Tensor | None = None

    def apply(self, images: Tensor, *, smooth: bool) -> Tensor:
        """(B, C, H, W) of the same type and range; the edge of a film is drawn out over what was outside of it.

        ``smooth`` averages neighbours where a film is turned; else each pixel is that of one place, as labels need it.
        """
        return self._gathered(images) if self.angles is None else self._sampled(images, self.angles, smooth)

    def _gathered(self, images: Tensor) -> Tensor:
        count, _, height, width = images.shape
        rows = (torch.arange(height) + self.rows[:, None]).clamp(0, height - 1)
        columns = (torch.arange(width) + self.columns[:, None]).clamp(0, width - 1)
        if self.mirrored is not None:
            columns = torch.where(self.mirrored[:, None], columns.flip(1), columns)
        image = torch.arange(count)[:, None, None].to(images.device)
        places = images[image, :, rows[:, :, None].to(images.device), columns[:, None, :].to(images.device)]
        return places.permute(0, 3, 1, 2)

    def _sampled(self, images: Tensor, angles: Tensor, smooth: bool) -> Tensor:
        count, _, height, width = images.shape
        y = torch.arange(height, dtype=torch.float32)[None, :, None] - (height - 1) / 2
        x = torch.arange(width, dtype=torch.float32)[None, None, :] - (width - 1) / 2
        if self.mirrored is not None:
            x = torch.where(self.mirrored[:, None, None], -x, x)
        sine, cosine = (f(angles)[:, None, None] for f in (torch.sin, torch.cos))
        wide, high = 2 / max(width - 1, 1), 2 / max(height - 1, 1)
        # Everything that is one number a row or a column is worked out first: only one sum is made for every pixel.
        grid = torch.empty(count, height, width, 2)
        grid[..., 0] = (cosine * x + self.columns[:, None, None]) * wide - sine * y * wide
        grid[..., 1] = (cosine * y + self.rows[:, None, None]) * high + sine * x * high
        grid = grid.to(images.device)
        mode = "bilinear" if smooth else "nearest"
        found = F.grid_sample(images.float(), grid, mode=mode, padding_mode="border", align_corners=True)
        return found if images.is_floating_point() else found.round_().to(images.dtype)


@dataclass(frozen=True)
class Augmentation:
    """Shift, turn and mirror films; change their contrast and brightness, and add noise. All off, a film stays as it is.

    Args:
        crop: a crop at random from the film with its edges drawn out by this share of its side: a shift.
        rotation: a film is turned by up to so many degrees, either way.
        horizontal_flip: every second film is mirrored.
        jitter: contrast and brightness change by up to this share.
        noise: the standard deviation of normal noise, as a share of the whole range.
    """

    crop: float = 0.0
    rotation: float = 0.0
    horizontal_flip: bool = False
    jitter: float = 0.0
    noise: float = 0.0

    def draw(self, count: int, size: int) -> Geometry:
        """How each of ``count`` square films of this many pixels is moved."""
        reach = round(self.crop * size)
        rows, columns = torch.randint(-reach, reach + 1, (2, count))
        mirrored = torch.rand(count) < 0.5 if self.horizontal_flip else None
        angles = (torch.rand(count) * 2 - 1) * math.radians(self.rotation) if self.rotation else None
        return Geometry(rows, columns, mirrored, angles)

    def tone(self, films: Tensor) -> Tensor:
        """Float (B, C, H, W) between 0 and 1 with other contrast and brightness, and noise, alike in all channels.
        Nothing is cut off at 0 and 1: that would make the brightest bones and the darkest lungs flat.
        """
        count, _, height, width = films.shape
        if self.jitter:
            contrast, brightness = (torch.rand(2, count, 1, 1, 1).to(films.device) * 2 - 1) * self.jitter
            films = (films - 0.5) * (1 + contrast) + 0.5 + brightness
        if self.noise:
            films = films + torch.randn(count, 1, height, width).to(films.device) * self.noise
        return films
