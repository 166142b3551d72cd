"""The frontal film: a chest in layers of attenuation, and the findings added to it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rrgbench_datasets.phantom.anatomy import APEX, Body, Chest, Exposure
from rrgbench_datasets.phantom.canvas import Array, Canvas, Film, cloud, curve, develop, grain, profile
from rrgbench_datasets.phantom.draws import Draws
from rrgbench_datasets.phantom.findings import Finding
from rrgbench_datasets.phantom.lesions import mark, markers

SIDES = (-1, 1)


def frontal(
    size: int, body: Body, exposure: Exposure, findings: Sequence[Finding], draws: Draws, zones: Sequence[str] = ()
) -> Film:
    """The film of one study with the findings that are drawn, and markers in some zones; (size, size) uint8."""
    canvas = Canvas(size, exposure.pose)
    chest = Chest(canvas, body, exposure.breath)
    lesions = Draws("lesions", body.vessels, draws.below(1 << 30))
    marks = mark(chest, [finding for finding in findings if finding.drawn], lesions)
    trunk = _trunk(canvas, body)
    lungs = chest.lung(-1, marks.lift[-1]) + chest.lung(1, marks.lift[1])
    heart = _heart(canvas, body, marks.heart)
    centre = np.maximum(_mediastinum(canvas, body), 0.40 * heart)
    vessels = _markings(chest, body) * (1.0 - 2.2 * centre) * (1.0 - marks.air) * (1.0 - 1.2 * marks.haze) * marks.congestion
    film = _soft_tissue(canvas, body, trunk) - lungs * _air(chest) + _belly(chest, body, marks.lift, lungs, trunk)
    film = film + lungs * (np.maximum(vessels, 0.0) + 0.02 * cloud(draws, size, 24))
    filled = np.maximum(centre, marks.haze) + 0.1 * np.minimum(centre, marks.haze)
    film = film + lungs * filled + 0.32 * centre * (1.0 - lungs) - _airway(canvas)
    film = film + body.bones * _bones(canvas, body, trunk, lungs) * (1.0 - 1.2 * marks.haze)
    film = film - 0.12 * lungs * marks.air * (1.0 - 2.0 * centre) + marks.lines
    if zones:
        film = film + 0.6 * markers(chest, zones, Draws("markers", body.vessels, draws.below(1 << 30)))
    film = film + 0.03 * cloud(draws, size, 5) + exposure.noise * grain(draws, size)
    film = np.where(trunk > 0.02, film, 0.04 + exposure.noise * 0.5 * np.abs(cloud(draws, size, 12)))
    return develop(film + _letter(canvas), exposure.contrast, exposure.brightness)


def _trunk(canvas: Canvas, body: Body) -> Array:
    """How much body the ray crosses, 0 to 1: neck, shoulders, trunk."""
    wide = body.width * (1.0 + 0.10 * body.build)
    knots = ((-1.3, 0.22), (-0.98, 0.25), (-0.74, 0.86), (-0.45, 1.06), (-0.10, 0.96), (0.9, 0.93), (1.3, 0.95))
    u = canvas.x / (wide * profile(knots, canvas.y))
    return np.sqrt(np.maximum(1.0 - u * u * u * u, 0.0))


def _soft_tissue(canvas: Canvas, body: Body, trunk: Array) -> Array:
    shoulders = profile(((-1.0, 0.10), (-0.72, 0.16), (-0.35, 0.0), (0.2, 0.0), (0.9, 0.10)), canvas.y)
    tissue = trunk * (0.62 + 0.06 * body.build + shoulders)
    for side in SIDES:
        breast = canvas.ellipse((0.43 * side, 0.34), (0.36, 0.30), 0.25)
        tissue = tissue + 0.07 * body.breasts * breast * (0.5 + 0.5 * profile(((0.0, 0.0), (0.6, 1.0)), canvas.y))
        arm = canvas.ellipse((0.94 * side, -0.52), (0.16, 0.20), 0.4)
        tissue = tissue + 0.12 * arm * body.bones
    return tissue


def _air(chest: Chest) -> Array:
    """How much darker the air of the lungs makes the film: most where the lungs are deep, less at the wall and the bases."""
    u = (np.abs(chest.canvas.x) - 0.42) / 0.46
    deep = np.maximum(1.0 - u * u, 0.0)
    return (0.36 + 0.10 * deep) * profile(((-0.8, 0.95), (-0.2, 1.0), (0.5, 0.88)), chest.canvas.y)


def _belly(chest: Chest, body: Body, lift: dict[int, float], lungs: Array, trunk: Array) -> Array:
    canvas = chest.canvas
    right = canvas.within(canvas.x, 0.3)
    dome = chest.dome(-1, lift[-1]) * right + chest.dome(1, lift[1]) * (1.0 - right)
    under = canvas.within(dome - canvas.y, 0.04) * canvas.within(np.abs(canvas.x) - chest.lateral, 0.3)
    liver = under * (0.13 + 0.04 * canvas.within(canvas.x, 0.8))
    place, wide, high = body.bubble
    top = chest.base(1) - 0.20 - lift[1] + high + 0.04
    bubble = canvas.ellipse((place, top), (wide, high), 0.5) * (0.75 + 0.25 * canvas.within(canvas.y - top, 0.02))
    return (liver - 0.30 * bubble) * (1.0 - lungs) * trunk


def _markings(chest: Chest, body: Body) -> Array:
    """Hila and the vessels that leave them, thinner towards the wall; more of them run down than up."""
    canvas, draws = chest.canvas, Draws("vessels", body.vessels)
    hila, drawn = canvas.zeros(), canvas.zeros()
    for side in SIDES:
        x, y = 0.17 * side, -0.06 + 0.025 * -side
        hila = hila + 0.13 * canvas.ellipse((x, y), (0.09, 0.15), 1.0, lean=-0.3 * side)
        for drop in (-0.60, -0.40, -0.16, 0.06, 0.24, 0.40, 0.56):
            reach = draws.uniform(0.20, 0.42) if drop > -0.5 else 0.16
            end = (x + side * reach, y + drop * draws.uniform(0.75, 1.0))
            sag = side * draws.uniform(0.01, 0.06) * (-1.0 if drop < 0 else 1.0)
            canvas.bow(drawn, (x, y + 0.1 * drop), end, -sag, draws.uniform(0.010, 0.016), 0.3)
            fork = (x + side * reach * 0.5 - 0.0, y + drop * 0.45)
            canvas.bow(drawn, fork, (end[0] + side * 0.06, end[1] + draws.uniform(-0.14, 0.14)), 0.0, 0.008, 0.4)
    return hila + 0.10 * drawn


def _mediastinum(canvas: Canvas, body: Body) -> Array:
    half = profile(((-0.95, 0.09), (-0.50, 0.125), (-0.25, 0.15), (0.1, 0.15), (0.7, 0.14)), canvas.y)
    column = canvas.within(np.abs(canvas.x) - half, 0.08) * profile(((-1.0, 0.3), (-0.6, 1.0), (0.4, 1.0), (0.9, 0.4)), canvas.y)
    arch = canvas.ellipse((0.115, -0.33), (0.10 * body.knob, 0.10 * body.knob), 0.35)
    trunk = canvas.ellipse((0.13, -0.17), (0.09, 0.10), 0.5)
    return np.maximum(np.maximum(0.36 * column, 0.38 * arch), 0.30 * trunk)


def _heart(canvas: Canvas, body: Body, enlarged: float) -> Array:
    """0 to 1: the left ventricle towards the apex, the right atrium on the other side."""
    size = body.heart * (1.0 + enlarged)
    left = canvas.ellipse((0.02 + 0.13 * size, 0.32), (0.27 * size, 0.25 * (0.7 + 0.3 * size)), 0.16, lean=0.35)
    right = canvas.ellipse((-0.02 - 0.03 * size, 0.26), (0.155 * size, 0.25), 0.25)
    neck = canvas.ellipse((0.06, 0.06), (0.15 * size, 0.22), 0.3, lean=0.25)
    return np.maximum(np.maximum(left, right), neck)


def _airway(canvas: Canvas) -> Array:
    trachea = canvas.within(np.abs(canvas.x) - 0.04, 0.05) * canvas.within(canvas.y + 0.24, 0.08)
    bronchi = np.maximum(
        canvas.stroke([(0.0, -0.26), (-0.12, -0.10)], 0.028), canvas.stroke([(0.0, -0.26), (0.15, -0.10)], 0.025)
    )
    return 0.15 * np.maximum(trachea, 0.6 * bronchi)


def _bones(canvas: Canvas, body: Body, trunk: Array, lungs: Array) -> Array:
    cage = canvas.within(np.abs(canvas.x) - 0.80 * body.width, 0.1) * canvas.within(APEX - canvas.y, 0.08)
    cage = cage * canvas.within(canvas.y - 0.78, 0.3)
    u = np.abs(canvas.x)
    behind = _rings((canvas.y - 0.16 * u + 0.62 * u * u * u) / body.ribs + body.rib_phase, 0.30)
    before = _rings((canvas.y - 0.95 * u + 0.30 * u * u) / (body.ribs * 1.12) + body.rib_phase * 0.7, 0.36)
    front = canvas.within(0.34 - u, 0.2) * canvas.within(canvas.y - 0.35, 0.3)
    ribs = cage * (0.15 * behind * canvas.within(0.08 - u, 0.1) + 0.08 * before * front) * (0.4 + 0.6 * lungs)
    discs = _rings(canvas.y / 0.125 + body.rib_phase, 0.62)
    spine = canvas.within(u - 0.085, 0.05) * (0.03 + 0.06 * discs)
    bones = ribs + spine * trunk
    for side in SIDES:
        points = curve((0.07 * side, -0.56), (0.36 * side, -0.60), (0.44 * side, -0.70), 4)
        points = points + curve((0.44 * side, -0.70), (0.58 * side, -0.80), (0.84 * side, -0.74), 4)[1:]
        bones = bones + 0.16 * canvas.stroke(points, 0.032)
        blade = canvas.stroke(curve((0.74 * side, -0.62), (0.70 * side, -0.30), (0.76 * side, 0.02), 4), 0.05)
        bones = bones + 0.05 * blade
    return bones


def _rings(phase: Array, share: float) -> Array:
    """Bands that come back with every whole number of ``phase``: ``share`` of the way bright, brightest at their edges."""
    t = phase - np.floor(phase)
    inside = np.minimum(np.maximum(8.0 * np.minimum(t, share - t) + 0.15, 0.0), 1.0)
    hollow = (t - 0.5 * share) / (0.5 * share)
    return inside * (0.7 + 0.3 * np.minimum(hollow * hollow, 1.0))


def _letter(canvas: Canvas) -> Array:
    """The L that marks the patient's left."""
    x, y = 0.90, -0.90
    return np.maximum(canvas.stroke([(x, y), (x, y + 0.09)], 0.012), canvas.stroke([(x, y + 0.09), (x + 0.05, y + 0.09)], 0.012))
