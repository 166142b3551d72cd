"""Lung fields without a model: the pair of dark, compact regions that stands out best from what is around it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from scipy.spatial import ConvexHull

from rrgbench.films import eight_bits

Mask = NDArray[np.bool_]
Grey = NDArray[np.float32]

_SIDE = 128
_FLATTEST = 16
"""Films whose 1st and 99th percentile lie nearer than so many grey levels show nothing."""
_LEVELS = np.arange(8, 72, 2.0)
"""The percentiles of grey that are tried, darkest first."""
_GROWTH, _LOSS, _ROUGHEST = 1.4, 0.1, 0.78
"""From one level to the next a lung grows by this factor at most, loses so much solidity, and is never less solid than that."""
_SMOOTHING = 7


@dataclass(frozen=True)
class _Region:
    """A connected dark region; places and lengths are shares of the film."""

    mask: Mask

    @cached_property
    def area(self) -> float:
        return float(self.mask.mean())

    @cached_property
    def box(self) -> tuple[float, float, float, float]:
        """Top, bottom, left, right."""
        rows, columns = self.mask.any(axis=1).nonzero()[0], self.mask.any(axis=0).nonzero()[0]
        return rows[0] / _SIDE, (rows[-1] + 1) / _SIDE, columns[0] / _SIDE, (columns[-1] + 1) / _SIDE

    @property
    def height(self) -> float:
        return self.box[1] - self.box[0]

    @cached_property
    def x(self) -> float:
        return float(self.mask.nonzero()[1].mean()) / _SIDE

    @cached_property
    def solidity(self) -> float:
        """Its share of its convex hull."""
        corners = np.argwhere(self.mask & ~ndimage.binary_erosion(self.mask))[:, None] + np.array(
            [(0, 0), (0, 1), (1, 0), (1, 1)]
        )
        return float(self.mask.sum() / ConvexHull(corners.reshape(-1, 2)).volume)

    @cached_property
    def is_a_lung(self) -> bool:
        """Whether it may be a lung by its size and form; what lies at the edge of the film is the air round the patient."""
        top, bottom, left, right = self.box
        height, width = bottom - top, right - left
        if not (0.03 <= self.area <= 0.28 and 0.25 <= height <= 0.9 and 0.12 <= width <= 0.5 and 0.16 <= self.x <= 0.84):
            return False
        edge = sum(int(line.sum()) for line in (self.mask[0], self.mask[-1], self.mask[:, 0], self.mask[:, -1]))
        return edge <= 0.6 * float(self.mask.sum()) ** 0.5 and self.area >= 0.4 * height * width and self.solidity >= 0.75


class Threshold:
    """The two lung fields of a frontal film by grey level and form, with rules and no weights.

    The film is made small, smoothed and freed of half of its slow changes in brightness. At each of 32 grey levels the dark
    regions are looked at: a pair counts whose regions have the size, form and place of two lungs. The pair that is largest,
    most alike, most solid and stands out most is taken; each of its lungs then grows from level to level as long as it stays
    one, and is smoothed. Heart, mediastinum and dense disease are left out, as they are no darker than their surroundings.

    Where no pair counts there are no lungs: on lateral films, on films with white lungs or with the lungs at the edge.
    """

    identity = "threshold 1"

    def __call__(self, image: Image.Image) -> Mask:
        """bool (H, W) for a film of that size, all False where no lungs are found."""
        grey = np.asarray(eight_bits(image).convert("L").resize((_SIDE, _SIDE), Image.Resampling.BOX), dtype=np.float32)
        found = _lungs(grey)
        if found is None:
            return np.zeros((image.height, image.width), dtype=np.bool_)
        soft = Image.fromarray(found.astype(np.uint8) * 255).resize(image.size, Image.Resampling.BILINEAR)
        return np.asarray(soft) >= 128


def _lungs(grey: Grey) -> Mask | None:
    low, high = np.percentile(grey, (1, 99))
    if high - low < _FLATTEST:
        return None
    even = ndimage.gaussian_filter(grey, 1.5) - 0.5 * ndimage.gaussian_filter(grey, 20)
    layers = [_layer(even < level) for level in np.percentile(even, _LEVELS)]
    best, chosen = 0.0, None
    for level, labels in enumerate(layers):
        for score, pair in _pairs(labels):
            told = score * _contrast(even, pair[0].mask | pair[1].mask) ** 0.5
            if told > best:
                best, chosen = told, (level, pair)
    if chosen is None:
        return None
    level, (one, other) = chosen
    first = _grown(one, layers[level + 1 :], other.mask)
    second = _grown(other, layers[level + 1 :], first)
    return _smooth(first) | _smooth(second)


def _layer(dark: Mask) -> NDArray[np.int32]:
    """The dark regions by number, thin bridges between them cut."""
    labels: NDArray[np.int32] = ndimage.label(ndimage.binary_opening(dark, iterations=2))[0]
    return labels


def _pairs(labels: NDArray[np.int32]) -> list[tuple[float, tuple[_Region, _Region]]]:
    """Pairs of regions that may be the lungs, with how well they fit each other."""
    large = [number for number, count in enumerate(np.bincount(labels.ravel())) if number and count >= 0.03 * labels.size]
    regions = [region for number in large if (region := _Region(labels == number)).is_a_lung]
    found = []
    for one in (region for region in regions if region.x <= 0.5):
        for other in (region for region in regions if region.x > 0.5):
            alike = min(one.area, other.area) / max(one.area, other.area)
            beside = min(one.box[1], other.box[1]) - max(one.box[0], other.box[0])
            beside /= max(one.height, other.height)
            if alike >= 0.3 and beside >= 0.5 and other.x - one.x >= 0.2:
                solid = min(one.solidity, other.solidity)
                found.append(((one.area + other.area) * alike**0.5 * beside * solid * solid, (one, other)))
    return found


def _contrast(grey: Grey, mask: Mask) -> float:
    """How much brighter the film is just outside of a mask than just inside; 0 where it is darker."""
    outside = ndimage.binary_dilation(mask, iterations=4) & ~ndimage.binary_dilation(mask)
    inside = mask & ~ndimage.binary_erosion(mask, iterations=4)
    return max(float(grey[outside].mean() - grey[inside].mean()), 0.0)


def _grown(lung: _Region, layers: Sequence[NDArray[np.int32]], other: Mask) -> Mask:
    """The lung at the brightest level up to which it stays one: it neither meets the other lung nor runs out of the chest."""
    solid = lung.solidity
    for labels in layers:
        inside = labels[lung.mask]
        if not inside.any():
            break
        more = _Region(labels == np.bincount(inside[inside > 0]).argmax())
        if not more.is_a_lung or bool((more.mask & other).any()) or more.area > _GROWTH * lung.area:
            break
        if more.solidity < max(_ROUGHEST, solid - _LOSS):
            break
        lung, solid = more, max(more.solidity, solid)
    return lung.mask


def _smooth(mask: Mask) -> Mask:
    """Without the notches of ribs and vessels, and without holes."""
    y, x = np.mgrid[-_SMOOTHING : _SMOOTHING + 1, -_SMOOTHING : _SMOOTHING + 1]
    wide: Any = np.pad(mask, 2 * _SMOOTHING)
    closed = ndimage.binary_closing(wide, structure=x * x + y * y <= _SMOOTHING * _SMOOTHING)
    whole: Mask = ndimage.binary_fill_holes(closed)[2 * _SMOOTHING : -2 * _SMOOTHING, 2 * _SMOOTHING : -2 * _SMOOTHING]
    return whole
