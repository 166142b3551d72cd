"""The lateral film, the patient facing left: sternum in front, spine behind, and the findings that this view shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rrgbench_datasets.phantom.anatomy import APEX, Body, Exposure
from rrgbench_datasets.phantom.canvas import Array, Canvas, Film, cloud, curve, develop, grain, profile
from rrgbench_datasets.phantom.draws import Draws
from rrgbench_datasets.phantom.findings import Finding


@dataclass
class Side:
    """The curves of a lateral chest, and what the findings add: haze inside the lungs, lines, heart size, lift of the domes.

    front, back: (size, 1), the x of the skin; sternum, rear: (size, 1), the x where the lungs end;
    dome: (size, size), the y of the diaphragm.
    """

    canvas: Canvas
    body: Body
    front: Array
    back: Array
    sternum: Array
    rear: Array
    dome: Array
    haze: Array
    lines: Array
    heart: float = 0.0
    lift: float = 0.0


def lateral(size: int, body: Body, exposure: Exposure, findings: Sequence[Finding], draws: Draws) -> Film:
    """The lateral film of one study with the findings that are drawn; (size, size) uint8."""
    canvas = Canvas(size, exposure.pose)
    side = _side(canvas, body, exposure.breath)
    lesions = Draws("lateral lesions", body.vessels, draws.below(1 << 30))
    for finding in findings:
        if finding.drawn and finding.name in _MARKS:
            _MARKS[finding.name](side, finding, Draws(finding.name, lesions.below(1 << 30)))
    dome = side.dome - side.lift
    lungs = canvas.within(side.sternum - canvas.x, 0.06) * canvas.within(canvas.x - side.rear, 0.08)
    lungs = lungs * canvas.within(canvas.y - dome, 0.03) * canvas.within(APEX - canvas.y, 0.05)
    trunk = _trunk(side)
    heart = _heart(canvas, body, side.heart)
    arms = profile(((-0.95, 0.20), (-0.25, 0.0), (0.3, 0.0), (1.0, 0.06)), canvas.y)
    film = trunk * (0.64 + 0.05 * body.build + arms) - 0.42 * lungs
    under = canvas.within(dome - canvas.y, 0.04) * trunk * canvas.within(np.abs(canvas.x) - 0.7, 0.5)
    film = film + 0.15 * under * (1.0 - lungs) - 0.22 * _bubble(canvas, body, dome)
    solid = np.maximum(0.26 * heart, side.haze) + 0.2 * np.minimum(0.26 * heart, side.haze)
    film = film + lungs * (solid + _markings(canvas, body) * (1.0 - 1.2 * side.haze) + 0.02 * cloud(draws, size, 24))
    film = film + body.bones * _bones(side, trunk, lungs) * (1.0 - 0.6 * side.haze) - _airway(canvas) + side.lines
    film = film + 0.03 * cloud(draws, size, 5) + exposure.noise * grain(draws, size)
    film = np.where(trunk > 0.02, film, 0.04 + exposure.noise * 0.5 * np.abs(cloud(draws, size, 12)))
    return develop(film, exposure.contrast, exposure.brightness)


def _side(canvas: Canvas, body: Body, breath: float) -> Side:
    deep = body.width * (0.97 + 0.06 * body.build)
    front = deep * profile(((-1.2, -0.36), (0.15, -0.78), (1.2, -0.72)), canvas.y)
    back = deep * profile(((-1.3, 0.50), (-0.1, 0.86), (1.2, 0.66)), canvas.y)
    t = np.minimum(np.maximum((canvas.y / body.height - APEX) / 1.15, 0.0), 1.0)
    reach = body.width * np.sqrt(t * (2.0 - t))
    low = np.maximum(canvas.y - 0.1, 0.0)
    u = canvas.x + 0.16
    fall = np.where(u > 0, 0.62 * u * u, 0.75 * u * u)
    dome = body.dome[0] + breath - 0.19 + fall
    blank = canvas.zeros()
    return Side(canvas, body, front, back, 0.13 - 0.75 * reach, 0.06 + 0.64 * reach - 0.25 * low * low, dome, blank, blank)


def _trunk(side: Side) -> Array:
    u = (side.canvas.x - 0.5 * (side.front + side.back)) / (0.5 * (side.back - side.front))
    return np.sqrt(np.maximum(1.0 - u * u * u * u, 0.0))


def _heart(canvas: Canvas, body: Body, enlarged: float) -> Array:
    size = body.heart * (1.0 + enlarged)
    heart = canvas.ellipse((-0.36 + 0.10 * size, 0.25), (0.25 * size, 0.30 * (0.6 + 0.4 * size)), 0.45, lean=0.30)
    arch = canvas.ellipse((-0.04, -0.30), (0.16 * body.knob, 0.14), 0.6)
    roots = canvas.ellipse((-0.16, -0.06), (0.15, 0.26), 0.8, lean=0.3)
    return np.maximum(heart, np.maximum(0.5 * arch, 0.6 * roots))


def _bubble(canvas: Canvas, body: Body, dome: Array) -> Array:
    _, wide, high = body.bubble
    return canvas.ellipse((0.10, body.dome[0] - 0.04 + high), (wide, high), 0.5) * canvas.within(dome + 0.03 - canvas.y, 0.03)


def _markings(canvas: Canvas, body: Body) -> Array:
    draws = Draws("lateral vessels", body.vessels)
    drawn = canvas.zeros()
    for right, down in (
        (0.30, -0.30),
        (0.38, -0.02),
        (0.40, 0.22),
        (0.26, 0.42),
        (0.06, 0.42),
        (-0.30, 0.30),
        (-0.28, -0.28),
        (0.0, -0.42),
    ):
        end = (0.02 + right * draws.uniform(0.8, 1.2), -0.04 + down * draws.uniform(0.8, 1.1))
        canvas.bow(drawn, (0.02, -0.04), end, draws.uniform(-0.05, 0.05), draws.uniform(0.010, 0.016), 0.3)
    return 0.08 * drawn + 0.12 * canvas.ellipse((0.03, -0.05), (0.11, 0.12), 1.0)


def _airway(canvas: Canvas) -> Array:
    drawn = canvas.zeros()
    canvas.bow(drawn, (-0.06, -1.0), (0.04, -0.12), 0.02, 0.04)
    return 0.13 * drawn


def _bones(side: Side, trunk: Array, lungs: Array) -> Array:
    canvas, body = side.canvas, side.body
    column = canvas.x - (side.rear - 0.05)
    phase = (canvas.y + 0.25 * column) / 0.15 + body.rib_phase
    gap = phase - np.floor(phase)
    vertebra = np.minimum(np.maximum(9.0 * np.minimum(gap, 0.82 - gap) + 0.3, 0.0), 1.0)
    spine = canvas.within(np.abs(column) - 0.085, 0.04) * (0.10 + 0.12 * vertebra)
    spine = spine * profile(((-0.7, 1.0), (0.1, 0.75), (0.6, 0.45)), canvas.y)
    sternum = canvas.band(canvas.x - side.sternum + 0.05, 0.03) * profile(
        ((-0.6, 0.0), (-0.4, 1.0), (0.2, 1.0), (0.4, 0.0)), canvas.y
    )
    phase = (canvas.y + 0.45 * canvas.x - 0.35 * canvas.x * canvas.x) / body.ribs + body.rib_phase
    near = np.abs(phase - np.floor(phase) - 0.5)
    ribs = (
        np.minimum(np.maximum(6.0 * (0.17 - near), 0.0), 1.0)
        * (0.25 + 0.75 * lungs)
        * profile(((-0.4, 0.3), (0.5, 1.0)), canvas.x)
    )
    cage = canvas.within(canvas.y - 0.7, 0.3) * canvas.within(-0.7 - canvas.y, 0.2) * trunk
    return spine * trunk + 0.10 * sternum + 0.075 * ribs * cage


def _effusion(side: Side, finding: Finding, draws: Draws) -> None:
    canvas = side.canvas
    deep, climb = ((0.00, 0.22), (0.16, 0.30), (0.46, 0.34))[finding.severity]
    inward = np.maximum(side.rear - canvas.x, 0.0)
    level = side.body.dome[0] + 0.08 - deep * draws.uniform(0.9, 1.1)
    meniscus = level - climb / (1.0 + 12.0 * inward * inward + 3.0 * inward)
    dense = 0.50 if finding.place == "bilateral" else 0.42
    side.haze = np.maximum(side.haze, dense * canvas.within(meniscus - canvas.y, 0.07))


def _cardiomegaly(side: Side, finding: Finding, draws: Draws) -> None:
    side.heart = (0.20, 0.34, 0.50)[finding.severity] * draws.uniform(0.93, 1.07)


LOBES: Mapping[str, tuple[tuple[float, float], tuple[float, float]]] = {
    "right upper lobe": ((-0.08, -0.38), (0.24, 0.20)),
    "right middle lobe": ((-0.34, 0.16), (0.22, 0.14)),
    "right lower lobe": ((0.32, 0.28), (0.22, 0.20)),
    "left upper lobe": ((-0.18, -0.30), (0.24, 0.24)),
    "left lower lobe": ((0.34, 0.32), (0.22, 0.20)),
}
"""Centre and radii of each lobe on a lateral film."""


def _consolidation(side: Side, finding: Finding, draws: Draws) -> None:
    canvas = side.canvas
    (x, y), (wide, high) = LOBES[finding.place]
    grow = (0.80, 1.0, 1.2)[finding.severity]
    ragged = canvas.radius((x, y), (wide * grow, high * grow)) + 0.30 * cloud(draws, canvas.size, 14)
    patch = canvas.within((ragged - 1.0) * high, 0.16)
    side.haze = np.maximum(side.haze, (0.24, 0.30, 0.36)[finding.severity] * patch)


def _nodule(side: Side, finding: Finding, draws: Draws) -> None:
    y = {"upper": -0.42, "mid": -0.08, "lower": 0.22}[finding.place.split()[1]]
    radius = (0.070, 0.095, 0.125)[finding.severity]
    spot = side.canvas.ellipse((draws.uniform(-0.25, 0.35), y + draws.uniform(-0.05, 0.05)), (radius, radius), 0.45)
    side.haze = np.maximum(side.haze, 0.36 * spot)


def _edema(side: Side, finding: Finding, draws: Draws) -> None:
    canvas = side.canvas
    haze = canvas.glow((0.04, -0.02), (0.46, 0.50)) * (0.9 + 0.3 * cloud(draws, canvas.size, 16))
    side.haze = np.maximum(side.haze, (0.16, 0.25, 0.34)[finding.severity] * haze)


def _atelectasis(side: Side, finding: Finding, draws: Draws) -> None:
    side.lift = (0.04, 0.06, 0.09)[finding.severity]
    y = side.body.dome[0] - 0.24 - side.lift + draws.uniform(-0.03, 0.03)
    plates = side.canvas.zeros()
    side.canvas.bow(plates, (0.02, y - 0.04), (0.48, y + 0.08), 0.02, (0.020, 0.028, 0.040)[finding.severity], 0.6)
    side.haze = np.maximum(side.haze, 0.30 * plates)


def _device(side: Side, finding: Finding, draws: Draws) -> None:
    canvas, shake = side.canvas, draws.uniform(-0.02, 0.02)
    if finding.place == "pacemaker":
        lead = curve((-0.44, -0.46), (-0.10, -0.50), (-0.12, 0.0), 6) + curve((-0.12, 0.0), (-0.14, 0.34), (-0.44, 0.34), 6)[1:]
        drawn = np.maximum(canvas.ellipse((-0.46, -0.44 + shake), (0.07, 0.11), 0.2), canvas.stroke(lead, 0.012))
    elif finding.place == "endotracheal tube":
        drawn = canvas.stroke([(-0.06, -1.1), (0.02, -0.34 + shake)], 0.018)
    elif finding.place == "enteric tube":
        drawn = canvas.stroke(curve((-0.02, -1.1), (0.22, -0.1), (0.02, 0.60)), 0.014)
    else:
        drawn = canvas.stroke(curve((-0.16, -0.86), (-0.14, -0.5), (-0.10, 0.02 + shake), 5), 0.012)
    side.lines = np.maximum(side.lines, 0.36 * drawn)


_MARKS: Mapping[str, Callable[[Side, Finding, Draws], None]] = {
    "effusion": _effusion,
    "cardiomegaly": _cardiomegaly,
    "consolidation": _consolidation,
    "nodule": _nodule,
    "edema": _edema,
    "atelectasis": _atelectasis,
    "device": _device,
}
"""A pneumothorax shows on the frontal film only."""
