"""The body of a subject and how it was filmed: the numbers that vary, and the curves that films and findings share.

``side`` is -1 for the patient's right, which lies on the left of the film, and 1 for the left.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rrgbench_datasets.phantom.canvas import Array, Canvas, Pose, profile
from rrgbench_datasets.phantom.draws import Draws

APEX = -0.80


@dataclass(frozen=True)
class Body:
    """What of the anatomy differs between subjects; lengths in halves of a film, at follow-up the same."""

    width: float
    height: float
    build: float
    heart: float
    dome: tuple[float, float]
    ribs: float
    rib_phase: float
    bones: float
    breasts: float
    knob: float
    bubble: tuple[float, float, float]
    vessels: int


@dataclass(frozen=True)
class Exposure:
    """How one study was taken: it differs between the visits of a subject."""

    pose: Pose
    contrast: float
    brightness: float
    noise: float
    breath: float


def body_of(seed: int, subject: int) -> Body:
    """The body of a subject."""
    draws = Draws("body", seed, subject)
    base = draws.uniform(0.56, 0.66)
    return Body(
        width=draws.uniform(0.93, 1.05),
        height=draws.uniform(0.94, 1.06),
        build=draws.uniform(0.0, 1.0),
        heart=draws.uniform(0.94, 1.05),
        dome=(base - draws.uniform(0.01, 0.06), base),
        ribs=draws.uniform(0.165, 0.19),
        rib_phase=draws.uniform(),
        bones=draws.uniform(0.6, 1.0),
        breasts=max(0.0, draws.uniform(-0.7, 1.0)),
        knob=draws.uniform(0.8, 1.15),
        bubble=(draws.uniform(0.30, 0.46), draws.uniform(0.12, 0.22), draws.uniform(0.06, 0.10)),
        vessels=draws.below(1 << 30),
    )


def exposure_of(seed: int, subject: int, visit: int, view: str) -> Exposure:
    """How one film was taken."""
    draws = Draws("exposure", seed, subject, visit, view)
    zoom = draws.uniform(0.96, 1.05)
    pose = Pose(
        scale_x=zoom * draws.uniform(0.98, 1.02),
        scale_y=zoom * draws.uniform(0.98, 1.02),
        shift_x=draws.uniform(-0.06, 0.06),
        shift_y=draws.uniform(-0.05, 0.05),
        tilt=draws.uniform(-0.05, 0.05),
    )
    return Exposure(
        pose=pose,
        contrast=draws.uniform(0.90, 1.10),
        brightness=draws.uniform(-0.05, 0.05),
        noise=draws.uniform(0.010, 0.022),
        breath=draws.uniform(-0.03, 0.04),
    )


class Chest:
    """The curves of a frontal chest on a canvas: where lungs end, and where the domes of the diaphragm stand."""

    def __init__(self, canvas: Canvas, body: Body, breath: float) -> None:
        self.canvas, self.body, self.breath = canvas, body, breath
        self.lateral = self.wall(0.0)
        self.medial = profile(((APEX, 0.115), (0.6, 0.145)), canvas.y)
        self.outward = {side: side * canvas.x for side in (-1, 1)}

    def wall(self, lower: float) -> Array:
        """(size, 1): how far out the lung reaches at each y; with an apex that lies ``lower``."""
        t = np.minimum(np.maximum((self.canvas.y / self.body.height - APEX - lower) / 1.25, 0.0), 1.0)
        return self.body.width * (0.12 + 0.65 * np.sqrt(t * (2.0 - t)))

    def base(self, side: int) -> float:
        """The y of a costophrenic angle."""
        right, left = self.body.dome
        return (right if side < 0 else left) + self.breath + 0.02

    def dome(self, side: int, lift: float = 0.0) -> Array:
        """(size, size): y of the dome of the diaphragm above each point."""
        u = (self.outward[side] - 0.40 * self.body.width) / (0.40 * self.body.width)
        fall = np.where(u > 0, u * u * (0.95 + 0.25 * u), 0.45 * u * u)
        return self.base(side) - 0.20 * (1.0 - fall) - lift * (1.0 - 0.6 * np.minimum(u * u, 1.0))

    def lung(self, side: int, lift: float = 0.0) -> Array:
        """(size, size): 1 inside the lung."""
        canvas, u = self.canvas, self.outward[side]
        lateral = canvas.within(u - self.lateral, 0.03)
        medial = canvas.within(self.medial - u, 0.05)
        below = canvas.within(canvas.y - np.minimum(self.dome(side, lift), self.base(side) + 0.05), 0.025)
        above = canvas.within(APEX * self.body.height - canvas.y, 0.05)
        return lateral * medial * below * above
