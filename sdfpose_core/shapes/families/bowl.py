"""Bowls: open vessels from shallow plates to deep cups, with foot rings, flares and lips."""

from __future__ import annotations

import numpy as np
from manifold3d import Manifold

from sdfpose_core.shapes.families.draws import Draws
from sdfpose_core.shapes.profiles import Meridian, bezier, cup, join
from sdfpose_core.shapes.solids import lathe

__all__ = ["build"]


def build(draws: Draws) -> Manifold:
    """One bowl: a Bezier wall between foot and rim, its thickness, its foot."""
    radius = 0.5 * draws.log_uniform("diameter", 0.092, 0.235)
    height = 2.0 * radius * draws.log_uniform("aspect", 0.26, 0.64)
    foot_radius = radius * draws.uniform("foot_radius", 0.32, 0.74)
    foot_height = draws.sometimes("foot_height", 0.65, 0.001, 0.012)
    foot_height = min(foot_height, 0.2 * height)

    wall = draws.log_uniform("wall", 0.0022, 0.008)
    wall = float(np.clip(wall, 0.026 * radius, 0.07 * radius + 0.002))
    base = wall * draws.uniform("base_wall", 1.0, 1.7)

    outer = _wall(draws, radius, height, foot_radius, foot_height)
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(outer, axis=0), axis=1))])
    along /= along[-1]
    thickness = base + (wall - base) * np.minimum(1.0, along / 0.6)
    lip = draws.sometimes("lip", 0.25, 0.15, 0.8)
    thickness *= 1.0 + lip * np.exp(-0.5 * ((1.0 - along) / 0.05) ** 2)

    foot = _foot(draws, outer, foot_radius, foot_height, base)
    floor = foot_height + base
    fillet = draws.uniform("fillet", 0.0, 0.25) * foot_radius
    meridian, _ = cup(foot, outer, thickness, floor, fillet)

    exponent = draws.sometimes("exponent", 0.08, 2.2, 4.0, otherwise=2.0)
    depth = draws.sometimes("depth", 0.08, 0.65, 1.0, otherwise=1.0)
    solid = lathe(meridian, exponent=exponent, depth=depth)
    waves = draws.sometimes("scallop", 0.06, 0.01, 0.035)
    if waves > 0.0:
        count = round(draws.uniform("scallops", 5.0, 11.0))
        solid = solid.warp_batch(lambda p: _scallop(p, waves, count, radius))
    return solid


def _wall(
    draws: Draws, radius: float, height: float, foot_radius: float, foot_height: float
) -> Meridian:
    """Outer wall from the foot to the rim, by its slope and tension at both ends."""
    start = np.array([foot_radius, foot_height])
    end = np.array([radius, height])
    chord = end - start
    slope = np.arctan2(chord[1], chord[0])
    # a bowl is convex below: it leaves the foot flatter than the chord and meets the rim steeper
    low = slope * draws.uniform("foot_slope", 0.0, 1.0)
    high = slope + (np.deg2rad(97.0) - slope) * draws.uniform("rim_slope", 0.0, 1.0)
    length = float(np.linalg.norm(chord))
    a = length * draws.uniform("foot_tension", 0.15, 0.6)
    b = length * draws.uniform("rim_tension", 0.15, 0.6)
    p1 = start + a * np.array([np.cos(low), np.sin(low)])
    p2 = end - b * np.array([np.cos(high), np.sin(high)])
    p1 = np.minimum(p1, [1.02 * radius, height])
    curve = bezier(start, p1, p2, end, 28)
    curve[:, 1] = np.maximum.accumulate(curve[:, 1])
    flare = draws.sometimes("flare", 0.3, 0.02, 0.16)
    if flare > 0.0:
        t = np.clip((curve[:, 1] - 0.6 * height) / (0.4 * height), 0.0, 1.0)
        curve[:, 0] += flare * radius * t**2
    return join(curve)


def _foot(draws: Draws, outer: Meridian, radius: float, height: float, wall: float) -> Meridian:
    """Underside from the axis to the start of the wall."""
    if height <= 0.0:
        return np.array([[0.0, 0.0], [radius, 0.0]])
    ring = draws.uniform("ring_width", 0.003, 0.009)
    draft = draws.uniform("ring_draft", -0.25, 0.4) * height
    hollow = height * draws.uniform("ring_hollow", 0.0, 1.0)
    outside = min(radius + draft, radius + 0.3 * (outer[1, 0] - outer[0, 0]) + 0.004)
    inside = max(outside - ring, 0.4 * radius)
    if hollow < 0.001:
        return np.array([[0.0, 0.0], [outside, 0.0], [radius, height]])
    return np.array(
        [
            [0.0, hollow],
            [inside - 0.3 * hollow, hollow],
            [inside, 0.0],
            [outside, 0.0],
            [radius, height],
        ]
    )


def _scallop(points: np.ndarray, depth: float, count: int, radius: float) -> np.ndarray:
    """Wavy rim: radial waves that grow with the distance from the axis."""
    r = np.hypot(points[:, 0], points[:, 2])
    angle = np.arctan2(points[:, 2], points[:, 0])
    factor = 1.0 + depth * (r / radius) ** 2 * np.cos(count * angle)
    return np.column_stack([points[:, 0] * factor, points[:, 1], points[:, 2] * factor])
