"""What each finding does to a frontal film. Places and sizes follow the severity that the report states."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from rrgbench_datasets.phantom.anatomy import Chest
from rrgbench_datasets.phantom.canvas import Array, cloud, curve
from rrgbench_datasets.phantom.draws import Draws
from rrgbench_datasets.phantom.findings import Finding


@dataclass
class Marks:
    """What all findings of a film add up to.

    haze: more attenuation, inside the lungs; air: 1 where a lung has left its wall; lines: metal and plastic, anywhere;
    lift: how much higher each dome stands; heart: how much wider the heart is; congestion: how thick the vessels look.
    """

    haze: Array
    air: Array
    lines: Array
    lift: dict[int, float] = field(default_factory=lambda: {-1: 0.0, 1: 0.0})
    heart: float = 0.0
    congestion: float = 1.0


def mark(chest: Chest, findings: Sequence[Finding], draws: Draws) -> Marks:
    """The marks of these findings; each draws from a stream of its own."""
    blank = chest.canvas.zeros()
    marks = Marks(blank, blank, blank)
    for finding in sorted(findings, key=lambda finding: tuple(_MARKS).index(finding.name)):
        _MARKS[finding.name](marks, chest, finding, Draws(finding.name, draws.below(1 << 30)))
    return marks


def markers(chest: Chest, zones: Sequence[str], draws: Draws) -> Array:
    """(size, size): 1 on a round piece of metal in each of the zones."""
    drawn = chest.canvas.zeros()
    for zone in zones:
        side, height = sides(zone)[0], zone.split()[1]
        x = side * ({"upper": 0.34, "mid": 0.46, "lower": 0.52}[height] + draws.uniform(-0.03, 0.03))
        y = {"upper": -0.46, "mid": -0.08, "lower": 0.26}[height] + draws.uniform(-0.03, 0.03)
        drawn = np.maximum(drawn, chest.canvas.ellipse((x, y), (0.11, 0.11), 0.3))
    return drawn


def sides(place: str) -> tuple[int, ...]:
    """The sides that a place names."""
    if place == "bilateral":
        return (-1, 1)
    return (-1,) if place.startswith("right") else (1,)


def _effusion(marks: Marks, chest: Chest, finding: Finding, draws: Draws) -> None:
    """Fluid in the angle; its upper edge, the meniscus, climbs the lateral wall."""
    canvas = chest.canvas
    deep, climb = ((0.02, 0.20), (0.20, 0.30), (0.52, 0.36))[finding.severity]
    for side in sides(finding.place):
        inward = np.maximum(chest.lateral - chest.outward[side], 0.0)
        level = chest.base(side) - 0.06 - deep * draws.uniform(0.9, 1.1)
        meniscus = level - climb / (1.0 + 16.0 * inward * inward + 4.0 * inward)
        fluid = (canvas.x * side > 0) * canvas.within(meniscus - canvas.y, 0.06)
        marks.haze = np.maximum(marks.haze, 0.55 * fluid)
        marks.air = marks.air * (1.0 - fluid)


def _cardiomegaly(marks: Marks, chest: Chest, finding: Finding, draws: Draws) -> None:
    marks.heart = (0.26, 0.42, 0.60)[finding.severity] * draws.uniform(0.93, 1.07)


LOBES: Mapping[str, tuple[tuple[float, float], tuple[float, float]]] = {
    "right upper lobe": ((-0.36, -0.36), (0.24, 0.22)),
    "right middle lobe": ((-0.36, 0.10), (0.22, 0.16)),
    "right lower lobe": ((-0.46, 0.32), (0.24, 0.18)),
    "left upper lobe": ((0.38, -0.32), (0.24, 0.24)),
    "left lower lobe": ((0.50, 0.32), (0.22, 0.20)),
}
"""Centre and radii of each lobe on a frontal film."""


def _consolidation(marks: Marks, chest: Chest, finding: Finding, draws: Draws) -> None:
    canvas = chest.canvas
    (x, y), (wide, high) = LOBES[finding.place]
    grow = (0.80, 1.0, 1.2)[finding.severity]
    centre = (x + draws.uniform(-0.03, 0.03), y + draws.uniform(-0.03, 0.03))
    ragged = canvas.radius(centre, (wide * grow, high * grow)) + 0.30 * cloud(draws, canvas.size, 14)
    patch = canvas.within((ragged - 1.0) * high, 0.16) * (0.85 + 0.15 * cloud(draws, canvas.size, 20))
    if finding.place == "right upper lobe":
        patch = patch * canvas.within(canvas.y + 0.16, 0.02)
    marks.haze = np.maximum(marks.haze, (0.26, 0.34, 0.42)[finding.severity] * patch)


def _nodule(marks: Marks, chest: Chest, finding: Finding, draws: Draws) -> None:
    side = sides(finding.place)[0]
    y = {"upper": -0.42, "mid": -0.06, "lower": 0.20}[finding.place.split()[1]]
    x = side * ((0.40, 0.50, 0.56)[("upper", "mid", "lower").index(finding.place.split()[1])] + draws.uniform(-0.06, 0.06))
    radius = (0.070, 0.095, 0.125)[finding.severity]
    spot = chest.canvas.ellipse((x, y + draws.uniform(-0.06, 0.06)), (radius, radius * draws.uniform(0.9, 1.1)), 0.45)
    marks.haze = np.maximum(marks.haze, 0.48 * spot)


def _pneumothorax(marks: Marks, chest: Chest, finding: Finding, draws: Draws) -> None:
    """The lung leaves the wall: between them no vessels, and the thin bright line of the pleura."""
    canvas = chest.canvas
    side = sides(finding.place)[0]
    gap = (0.10, 0.18, 0.30)[finding.severity] * draws.uniform(0.9, 1.1)
    half = canvas.x * side > 0
    edge = chest.outward[side] - (chest.wall(1.2 * gap) - gap)
    air = canvas.within(-edge, 0.01) * half
    marks.air = np.maximum(marks.air, air)
    collapsed = (0.0, 0.03, 0.10)[finding.severity] * (1.0 - air) * half
    marks.haze = marks.haze * (1.0 - 0.8 * air) + 0.17 * canvas.band(edge, 0.012) * half + collapsed


def _edema(marks: Marks, chest: Chest, finding: Finding, draws: Draws) -> None:
    """Haze like the wings of a bat around the hila, thick vessels, short lines at the wall."""
    canvas = chest.canvas
    strength = (0.6, 1.0, 1.4)[finding.severity]
    wings = canvas.glow((-0.28, -0.02), (0.34, 0.46)) + canvas.glow((0.28, -0.02), (0.34, 0.46))
    mottle = 0.9 + 0.3 * cloud(draws, canvas.size, 16)
    haze = 0.27 * strength * wings * mottle
    for side in (-1, 1):
        for step in range(2 + finding.severity):
            y = 0.24 + 0.065 * step
            start, end = (0.72 * side * chest.body.width, y), (0.60 * side * chest.body.width, y - 0.01)
            haze = haze + 0.10 * canvas.stroke([start, end], 0.008)
    marks.haze = np.maximum(marks.haze, haze) + 0.25 * np.minimum(marks.haze, haze)
    marks.congestion = 1.0 + 0.25 * strength


def _atelectasis(marks: Marks, chest: Chest, finding: Finding, draws: Draws) -> None:
    """Plates of collapsed lung above a dome that stands higher."""
    canvas = chest.canvas
    for side in sides(finding.place):
        marks.lift[side] = (0.07, 0.10, 0.13)[finding.severity]
        y = chest.base(side) - 0.20 - marks.lift[side] - 0.06
        inner, outer = (0.20 * side, y - 0.02 + draws.uniform(-0.03, 0.03)), (0.64 * side, y + draws.uniform(-0.06, 0.06))
        plates = canvas.zeros()
        canvas.bow(plates, inner, outer, 0.02 * side, (0.022, 0.032, 0.044)[finding.severity], 0.6)
        if finding.severity:
            higher = (0.34 * side, y - 0.13 + draws.uniform(-0.03, 0.03)), (0.60 * side, y - 0.11)
            canvas.bow(plates, *higher, 0.01 * side, 0.020, 0.5)
        marks.haze = np.maximum(marks.haze, 0.34 * plates)


def _device(marks: Marks, chest: Chest, finding: Finding, draws: Draws) -> None:
    canvas, shake = chest.canvas, draws.uniform(-0.02, 0.02)
    if finding.place.endswith("picc"):
        side = sides(finding.place)[0]
        path = curve((0.98 * side, -0.30), (0.72 * side, -0.62), (0.34 * side, -0.56), 6)
        path += curve((0.34 * side, -0.56), (0.0 if side > 0 else -0.08, -0.50), (-0.10, 0.02 + shake), 6)[1:]
        drawn = canvas.stroke(path, 0.012)
    elif finding.place == "pacemaker":
        box = canvas.ellipse((0.56, -0.50 + shake), (0.13, 0.10), 0.15)
        lead = curve((0.50, -0.50), (0.06, -0.72), (-0.10, -0.20), 8) + curve((-0.10, -0.20), (-0.08, 0.42), (0.24, 0.40), 6)[1:]
        drawn = np.maximum(box, canvas.stroke(lead, 0.012))
    elif finding.place == "endotracheal tube":
        drawn = canvas.stroke([(0.01, -1.1), (0.01 + 0.5 * shake, -0.40 + shake)], 0.020)
    elif finding.place == "enteric tube":
        path = [(-0.03, -1.1), (-0.01, -0.2), *curve((0.05, 0.45), (0.14, 0.68), (0.36, 0.64), 5)]
        drawn = canvas.stroke(path, 0.014)
    else:
        path = curve((-0.30, -1.05), (-0.14, -0.70), (-0.10, 0.05 + shake), 8)
        drawn = canvas.stroke(path, 0.014)
    marks.lines = np.maximum(marks.lines, 0.42 * drawn)


_MARKS: Mapping[str, Callable[[Marks, Chest, Finding, Draws], None]] = {
    "cardiomegaly": _cardiomegaly,
    "consolidation": _consolidation,
    "nodule": _nodule,
    "edema": _edema,
    "atelectasis": _atelectasis,
    "pneumothorax": _pneumothorax,
    "effusion": _effusion,
    "device": _device,
}
"""In the order in which they are drawn: air pushes what is in the lung away, and fluid lies under air."""
