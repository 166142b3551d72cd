"""A square film in anatomical coordinates, and the soft shapes that are drawn on it.

Every operation on floats is one of + - * / sqrt, min, max and floor on whole arrays: IEEE 754 fixes their results to the
last bit, and no sum has an order of its own. So a film is the same on every machine; exp, sin, a sum or a matrix
product would not be.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rrgbench_datasets.phantom.draws import Draws

Array = NDArray[np.float64]
Film = NDArray[np.uint8]
Point = tuple[float, float]


def smooth(t: Array) -> Array:
    """0 below 0, 1 above 1, and a cubic between."""
    t = np.maximum(t, 0.0)
    np.minimum(t, 1.0, out=t)
    falling = 2.0 * t
    np.subtract(3.0, falling, out=falling)
    t *= t
    t *= falling
    return t


def profile(knots: Sequence[Point], at: Array) -> Array:
    """A smooth curve through ``knots`` (place, value), flat at each of them."""
    value = np.full_like(at, knots[0][1])
    for (place, here), (after, there) in itertools.pairwise(knots):
        value = value + (there - here) * smooth((at - place) / (after - place))
    return value


@dataclass(frozen=True)
class Pose:
    """How the patient stands before the film: scale and shift along both axes, and a tilt (x shifts with y)."""

    scale_x: float
    scale_y: float
    shift_x: float
    shift_y: float
    tilt: float


class Canvas:
    """Coordinates of every pixel: x runs from -1 at the left edge of the film to 1, y from -1 at the top to 1.

    ``x`` is (size, size), ``y`` is (size, 1), ``pixel`` is the width of a pixel.
    """

    def __init__(self, size: int, pose: Pose) -> None:
        line = (2.0 * np.arange(size) + 1.0) / size - 1.0
        self.size = size
        self.tilt = pose.tilt
        self.y = ((line - pose.shift_y) / pose.scale_y)[:, None]
        self.upright = ((line - pose.shift_x) / pose.scale_x)[None, :]
        self.x = self.upright - pose.tilt * self.y
        self.pixel = 2.0 / (size * pose.scale_x)

    def zeros(self) -> Array:
        """(size, size) of nothing."""
        return np.zeros((self.size, self.size))

    def within(self, distance: Array, soft: float) -> Array:
        """1 where ``distance`` is negative, 0 where it is positive, over an edge of width ``soft`` or a pixel."""
        return smooth(0.5 - distance / max(soft, 1.5 * self.pixel))

    def band(self, offset: Array, half_width: float) -> Array:
        """A soft line where ``offset`` is near 0; never thinner than the film can show."""
        half = max(half_width, 0.8 * self.pixel)
        t = offset / half
        t *= t
        t *= -0.5
        t += 1.0
        np.maximum(t, 0.0, out=t)
        t *= t
        return t

    def radius(self, centre: Point, radii: Point, lean: float = 0.0) -> Array:
        """(size, size): 1 on the ellipse, 0 in its centre; ``lean`` shears it."""
        v = (self.y - centre[1]) / radii[1]
        u = (self.x - centre[0] - lean * (self.y - centre[1])) / radii[0]
        return np.sqrt(u * u + v * v)

    def ellipse(self, centre: Point, radii: Point, soft: float, lean: float = 0.0) -> Array:
        """A filled ellipse with an edge of width ``soft`` in units of its radius."""
        distance = (self.radius(centre, radii, lean) - 1.0) * min(radii)
        return self.within(distance, soft * min(radii))

    def glow(self, centre: Point, radii: Point, lean: float = 0.0) -> Array:
        """A haze without an edge: 1 in the centre, a quarter on the ellipse."""
        r = self.radius(centre, radii, lean)
        t = 1.0 / (1.0 + r * r)
        return t * t

    def stroke(self, points: Sequence[Point], half_width: float, taper: float = 1.0) -> Array:
        """A line through ``points``, whose width changes by the factor ``taper`` from the first to the last."""
        drawn = self.zeros()
        count = len(points) - 1
        for index in range(count):
            share = index / count
            self._segment(drawn, points[index], points[index + 1], half_width * (1.0 + (taper - 1.0) * share))
        return drawn

    def bow(self, drawn: Array, start: Point, end: Point, sag: float, half_width: float, taper: float = 1.0) -> None:
        """Draw into ``drawn`` an arc that leaves its chord by ``sag`` at most; its width changes by the factor ``taper``."""
        dx, dy = end[0] - start[0], end[1] - start[1]
        square = max(dx * dx + dy * dy, 1e-12)
        length = math.sqrt(square)
        window, x, y = self._window(drawn, start, end, 1.5 * max(half_width, 0.8 * self.pixel) + abs(sag))
        t = ((x - start[0]) * dx + (y - start[1]) * dy) / square
        along = np.minimum(np.maximum(t, 0.0), 1.0)
        across = ((y - start[1]) * dx - (x - start[0]) * dy) / length - 4.0 * sag * along * (1.0 - along)
        beyond = (t - along) * length
        thinner = 1.0 + (taper - 1.0) * along
        line = self.band(np.sqrt(across * across + beyond * beyond) / thinner, half_width)
        np.maximum(window, line * (0.4 + 0.6 * thinner), out=window)

    def _segment(self, drawn: Array, start: Point, end: Point, half_width: float) -> None:
        window, x, y = self._window(drawn, start, end, 1.5 * max(half_width, 0.8 * self.pixel))
        dx, dy = end[0] - start[0], end[1] - start[1]
        along = ((x - start[0]) * dx + (y - start[1]) * dy) / max(dx * dx + dy * dy, 1e-12)
        along = np.minimum(np.maximum(along, 0.0), 1.0)
        u, v = x - start[0] - along * dx, y - start[1] - along * dy
        np.maximum(window, self.band(np.sqrt(u * u + v * v), half_width), out=window)

    def _window(self, drawn: Array, start: Point, end: Point, reach: float) -> tuple[Array, Array, Array]:
        """The part of ``drawn`` within ``reach`` of the box of two points, and its coordinates."""
        leans = (start[0] + self.tilt * start[1], end[0] + self.tilt * end[1])
        rows = _span(self.y[:, 0], min(start[1], end[1]) - reach, max(start[1], end[1]) + reach)
        columns = _span(self.upright[0], min(leans) - 1.2 * reach, max(leans) + 1.2 * reach)
        return drawn[rows, columns], self.x[rows, columns], self.y[rows]


def _span(places: Array, low: float, high: float) -> slice:
    """The part of rising ``places`` between ``low`` and ``high``."""
    first, last = places.searchsorted((low, high))
    return slice(int(first), int(last))


def curve(start: Point, bend: Point, end: Point, pieces: int = 8) -> list[Point]:
    """Points of the quadratic Bezier curve from ``start`` to ``end``."""
    points = []
    for index in range(pieces + 1):
        t = index / pieces
        a, b, c = (1.0 - t) * (1.0 - t), 2.0 * t * (1.0 - t), t * t
        points.append((a * start[0] + b * bend[0] + c * end[0], a * start[1] + b * bend[1] + c * end[1]))
    return points


def cloud(draws: Draws, size: int, cells: int) -> Array:
    """(size, size) smooth noise in [-1, 1] with about ``cells`` bumps along a side."""
    nodes = draws.octets((cells + 1) * (cells + 1)).reshape(cells + 1, cells + 1) / 127.5 - 1.0
    place = (2.0 * np.arange(size) + 1.0) * cells / (2.0 * size)
    left = np.floor(place).astype(np.int64)
    weight = smooth(place - left)
    rows: Array = nodes[left] + (nodes[left + 1] - nodes[left]) * weight[:, None]
    mixed: Array = rows[:, left] + (rows[:, left + 1] - rows[:, left]) * weight[None, :]
    return mixed


def grain(draws: Draws, size: int) -> Array:
    """(size, size) noise of films: bell-shaped (the sum of four octets), about unit variance, a little correlated."""
    a, b, c, d = draws.octets(4 * size * size).reshape(4, size, size)
    raw = ((a + b) + (c + d) - 510.0) / 148.0
    raw[:, 1:] = raw[:, 1:] * 0.8 + raw[:, :-1] * 0.5
    raw[1:] = raw[1:] * 0.8 + raw[:-1] * 0.5
    return raw


def develop(exposure: Array, contrast: float, brightness: float) -> Film:
    """Attenuation to grey: straight in the middle, with a toe and a shoulder; (size, size) uint8."""
    t = np.maximum(exposure * contrast + brightness, 0.0)
    grey = t * (1.0 + 0.35 * t) / (1.0 + 0.35 * t * t + 0.12 * t)
    return np.floor(np.minimum(np.maximum(grey, 0.0), 1.0) * 255.0 + 0.5).astype(np.uint8)
