"""Cans: drink cans, food tins from squat to tall, chip tubes, spray cans; closed surfaces."""

from __future__ import annotations

import numpy as np
from manifold3d import Manifold

from sdfpose_core.shapes.families.draws import Draws
from sdfpose_core.shapes.profiles import Meridian, bezier, join, round_corners
from sdfpose_core.shapes.solids import lathe

__all__ = ["build"]


def build(draws: Draws) -> Manifold:
    """One can: wall between a bottom end and a top end, each necked in, rimmed, recessed."""
    radius = 0.5 * draws.log_uniform("diameter", 0.052, 0.1)
    if draws.chance("squat", 0.2):
        height = 2.0 * radius * draws.log_uniform("aspect", 0.36, 1.1)
    else:
        height = 2.0 * radius * draws.log_uniform("aspect", 1.1, 3.4)
    spray = height > 3.2 * radius and draws.chance("spray", 0.2)
    end_limit = 0.2 * height

    bottom = _end(draws, "bottom", radius, end_limit)
    top = _spray_top(draws, radius) if spray else _end(draws, "top", radius, end_limit)
    lower, upper = float(bottom[-1, 1]), float(top[-1, 1])
    wall = _wall(draws, radius, lower, height - upper)
    # the top end is a bottom end upside down, traversed from the wall to the axis
    lid = np.column_stack([top[::-1, 0], height - top[::-1, 1]])
    meridian = join(bottom, wall, lid)
    exponent = draws.sometimes("exponent", 0.05, 2.2, 5.0, otherwise=2.0)
    depth = draws.sometimes("depth", 0.05, 0.55, 1.0, otherwise=1.0)
    return lathe(meridian, exponent=exponent, depth=depth)


def _end(draws: Draws, name: str, radius: float, limit: float) -> Meridian:
    """Bottom end from the axis to the wall: panel, recess or dome, rim, neck-in."""
    necked = draws.sometimes(f"{name}_neck", 0.45, 0.01, 0.24 if name == "top" else 0.16)
    neck_height = min(radius * draws.uniform(f"{name}_neck_height", 0.06, 0.5), 0.7 * limit)
    rim_radius = radius * (1.0 - necked)
    rim_height = draws.uniform(f"{name}_rim_height", 0.0015, 0.005)
    rim_out = draws.uniform(f"{name}_rim_out", 0.0, 0.0016)
    rim_width = draws.uniform(f"{name}_rim_width", 0.002, 0.0045)
    recess = draws.sometimes(f"{name}_recess", 0.75, 0.0005, 0.006)
    recess = min(recess, 0.5 * limit)
    dome = min(draws.sometimes(f"{name}_dome", 0.25, 0.0, 0.009), 0.5 * limit)
    edge = draws.uniform(f"{name}_edge", 0.0003, 0.0016)
    lid = draws.sometimes(f"{name}_lid", 0.12 if name == "top" else 0.0, 0.004, 0.012)
    if lid > 0.0:
        rim_out, rim_height, necked, rim_radius = 0.0018, min(lid, 0.5 * limit), 0.0, radius
    inner = rim_radius - rim_width
    panel = bezier(
        (0.0, recess + dome),
        (0.5 * inner, recess + dome),
        (0.85 * inner, recess + 0.3 * dome),
        (inner - 0.3 * recess, recess),
        8,
    )
    rim = round_corners(
        [
            panel[-1],
            [inner, 0.0],
            [rim_radius + rim_out, 0.0],
            [rim_radius + rim_out, rim_height],
            [rim_radius, rim_height],
        ],
        [0.0, edge, edge, edge, 0.0],
        3,
    )
    if necked < 0.01:
        return join(panel, rim, [[radius, rim_height + 0.0005]])
    curve = draws.uniform(f"{name}_neck_curve", 0.0, 0.8) * neck_height
    y = rim_height
    neck = bezier(
        (rim_radius, y),
        (rim_radius + 0.3 * (radius - rim_radius), y + 0.05 * curve),
        (radius, y + neck_height - curve),
        (radius, y + neck_height),
        12,
    )
    return join(panel, rim, neck)


def _spray_top(draws: Draws, radius: float) -> Meridian:
    """Top of a spray can, upside down: cap over a dome."""
    cap = radius * draws.uniform("spray_cap", 0.45, 0.98)
    height = radius * draws.uniform("spray_cap_height", 0.5, 1.6)
    dome = radius * draws.uniform("spray_dome", 0.1, 0.6)
    edge = draws.uniform("spray_edge", 0.0005, 0.006)
    taper = draws.uniform("spray_taper", 0.8, 1.0)
    tip = round_corners([[0.0, 0.0], [cap * taper, 0.0], [cap, height]], [0.0, edge, 0.0])
    shoulder = bezier(
        (cap, height),
        (cap + 0.5 * (radius - cap), height),
        (radius, height + 0.4 * dome),
        (radius, height + dome),
        12,
    )
    return join(tip, shoulder)


def _wall(draws: Draws, radius: float, low: float, high: float) -> Meridian:
    """Straight wall, sometimes ribbed or slightly waisted."""
    t = np.linspace(0.0, 1.0, 97)
    r = np.full_like(t, radius)
    ribs = draws.sometimes("rib_depth", 0.3, 0.0002, 0.0011)
    if ribs > 0.0:
        margin = draws.uniform("rib_margin", 0.05, 0.35)
        room = (1.0 - 2.0 * margin) * (high - low)
        count = max(1, round(room / draws.uniform("rib_pitch", 0.005, 0.014)))
        inside = np.clip((t - margin) / (1.0 - 2.0 * margin), 0.0, 1.0)
        r -= ribs * (0.5 - 0.5 * np.cos(2.0 * np.pi * count * inside))
    bulge = draws.sometimes("bulge", 0.12, -0.05, 0.06)
    r *= 1.0 + bulge * np.sin(np.pi * t) ** 2
    return np.stack([r, low + t * (high - low)], axis=1)
