"""Mugs: open cups of many outlines with a handle toward +x."""

from __future__ import annotations

import numpy as np
from manifold3d import Manifold
from numpy.typing import NDArray

from sdfpose_core.shapes.families.draws import Draws
from sdfpose_core.shapes.profiles import Meridian, cup, fillet_inset, join
from sdfpose_core.shapes.solids import bar, lathe

__all__ = ["build"]


def build(draws: Draws) -> Manifold:
    """One mug: a lathed cup and a bar for its handle."""
    diameter = draws.log_uniform("diameter", 0.063, 0.117)
    low, high = max(0.72, 0.066 / diameter), min(1.62, 0.139 / diameter)
    height = diameter * draws.log_uniform("aspect", low, high)
    radius = 0.5 * diameter
    wall = draws.uniform("wall", 0.0025, 0.006)

    outer = _outline(draws, radius, height)
    foot = _underside(draws, float(outer[0, 0]), radius)
    rim_wall = wall * draws.uniform("rim_wall", 0.7, 1.0)
    t = outer[:, 1] / height
    thickness = np.where(t > 0.85, wall + (rim_wall - wall) * (t - 0.85) / 0.15, wall)
    floor = float(foot[0, 1]) + wall * draws.uniform("floor", 1.0, 2.2)
    bottom_round = float(draws.values["heel"]) * radius
    fillet = bottom_round * 0.7 + draws.uniform("fillet", 0.0005, 0.01)
    vessel, cavity = cup(foot, outer, thickness, floor, fillet)

    exponent = draws.sometimes("exponent", 0.06, 2.2, 4.0, otherwise=2.0)
    return lathe(vessel, exponent) + (_handle(draws, outer, wall) - lathe(cavity, exponent))


def _outline(draws: Draws, radius: float, height: float) -> Meridian:
    """Outer wall: straight, tapered, barrel, waisted, flared or bellied, with a rounded heel."""
    taper = draws.sometimes("taper", 0.6, -0.12, 0.42)
    belly = draws.sometimes("belly", 0.45, -0.12, 0.2)
    belly_at = draws.uniform("belly_at", 0.25, 0.6)
    flare = draws.sometimes("flare", 0.3, 0.02, 0.16)
    heel = radius * draws.log_uniform("heel", 0.03, 0.55)
    heel_height = min(heel * draws.uniform("heel_height", 0.7, 1.3), 0.6 * height)
    t = np.union1d(
        np.linspace(0.0, 1.0, 33),
        heel_height / height * (1.0 - np.cos(np.linspace(0.0, np.pi / 2.0, 12))),
    )
    # the warp places the belly's widest point at belly_at
    bump = np.sin(np.pi * t ** (np.log(0.5) / np.log(belly_at)))
    r = 1.0 - taper * (1.0 - t) ** draws.uniform("taper_power", 0.8, 1.6)
    r = r + belly * bump + flare * np.clip((t - 0.65) / 0.35, 0.0, 1.0) ** 2
    r *= radius / r.max()
    y = t * height
    r = r - fillet_inset(y, min(heel, 0.75 * float(r[0])), heel_height)
    return join(np.stack([r, y], axis=1))


def _underside(draws: Draws, foot: float, radius: float) -> Meridian:
    """Underside from the axis to the foot's edge, flat or (where the foot is wide) hollow."""
    hollow = draws.sometimes("hollow", 0.5, 0.0006, 0.004)
    ring = draws.uniform("ring", 0.003, 0.007)
    if hollow <= 0.0 or foot < 0.55 * radius:
        return np.array([[0.0, 0.0], [foot, 0.0]])
    inside = foot - ring
    return np.array([[0.0, hollow], [inside - hollow, hollow], [inside, 0.0], [foot, 0.0]])


def _handle(draws: Draws, outer: Meridian, wall: float) -> Manifold:
    """Bar from the upper to the lower attachment: C, D, ear or square, by a superellipse."""
    height = float(outer[-1, 1])
    thick = draws.uniform("handle_thick", 0.0055, 0.013)
    width = thick * draws.log_uniform("handle_width", 0.85, 2.1)
    width = min(width, 0.022)
    span = height * draws.uniform("handle_span", 0.42, 0.8)
    slack = height - span - 1.3 * thick
    low = 0.65 * thick + max(slack, 0.0) * draws.uniform("handle_low", 0.25, 0.95)
    high = min(low + span, height - 0.6 * thick)
    reach = draws.uniform("handle_reach", 0.022, 0.046)
    exponent = draws.uniform("handle_exponent", 1.7, 4.5)
    ear = draws.uniform("handle_ear", -0.25, 0.6)
    droop = draws.sometimes("handle_droop", 0.3, -0.12, 0.15)

    phi = np.linspace(0.5 * np.pi, -0.5 * np.pi, 41)
    c, s = np.maximum(np.cos(phi), 0.0), np.sin(phi)
    power = 2.0 / exponent
    across = c**power
    along = np.sign(s) * np.abs(s) ** power
    # an ear is wider above than below; a droop lowers the outermost part
    out = (reach - 0.5 * thick) * across * (1.0 + 0.5 * ear * along) / (1.0 + 0.35 * abs(ear))
    y = 0.5 * (high + low) + 0.5 * (high - low) * along - droop * (high - low) * across
    x = _radius_at(outer, 0.5 * (high + low) + 0.5 * (high - low) * along, low, high) + out
    path = _resample(np.stack([x, y], axis=1), 30)
    # both ends run into the wall, not through it: the cavity is cut away later
    lead = 0.9 * wall
    start = [path[0, 0] - lead, path[0, 1]]
    end = [path[-1, 0] - lead, path[-1, 1]]
    path = np.concatenate([[start], path, [end]])
    u = np.linspace(-1.0, 1.0, len(path))
    root = draws.uniform("handle_root", 0.0, 0.5)
    swell = 1.0 + root * np.abs(u) ** 6
    waist = draws.uniform("handle_waist", 0.8, 1.0)
    taper = waist + (1.0 - waist) * u**2
    section = draws.uniform("handle_section", 2.0, 4.5)
    return bar(path, thick * swell * taper, width * swell * taper, exponent=section)


def _radius_at(
    outer: Meridian, y: NDArray[np.float64], low: float, high: float
) -> NDArray[np.float64]:
    """Radius of the straight line between the wall's points at `low` and `high`."""
    at = np.interp([low, high], outer[:, 1], outer[:, 0])
    return np.asarray(at[0] + (at[1] - at[0]) * np.clip((y - low) / (high - low), 0.0, 1.0))


def _resample(path: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """The same path with `count` points at equal arc lengths."""
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    at = np.linspace(0.0, length[-1], count)
    return np.stack([np.interp(at, length, path[:, k]) for k in range(2)], axis=1)
