"""Laptops: a base slab, a lid and their hinge; the user sits at +x, the hinge axis runs along z."""

from __future__ import annotations

import numpy as np
from manifold3d import Manifold

from sdfpose_core.shapes.families.draws import Draws
from sdfpose_core.shapes.profiles import Meridian
from sdfpose_core.shapes.solids import lathe, slab

__all__ = ["build"]


def build(draws: Draws) -> Manifold:
    """One open laptop."""
    width = draws.log_uniform("width", 0.25, 0.42)
    depth = width / draws.uniform("aspect", 1.2, 1.65)
    base_thickness = draws.log_uniform("base_thickness", 0.008, 0.032)
    lid_thickness = min(draws.log_uniform("lid_thickness", 0.0045, 0.015), base_thickness)
    wedge = draws.sometimes("wedge", 0.4, 0.2, 0.65)
    wedge = min(wedge, 1.0 - 0.0055 / base_thickness)
    corner = draws.log_uniform("corner_radius", 0.002, 0.028)
    edge = draws.uniform("edge_radius", 0.02, 0.5)
    lid_edge = draws.uniform("lid_edge_radius", 0.02, 0.5)
    angle = _angle(draws)

    base = slab((depth, base_thickness, width), corner, edge * base_thickness)
    if wedge > 0.0:
        base = base.warp_batch(lambda p: _wedge(p, depth, base_thickness, wedge))
    # the hinge: at the base's rear top edge, set in from it, sometimes dropped behind it
    inset = draws.uniform("hinge_inset", 0.0, 0.022)
    hinge_x = -0.5 * depth + inset
    hinge_y = 0.5 * base_thickness
    if draws.chance("drop_hinge", 0.2):
        hinge_x = -0.5 * depth - 0.3 * lid_thickness
        hinge_y = draws.uniform("hinge_drop", -0.2, 0.35) * base_thickness

    gap = draws.sometimes("hinge_gap", 0.5, 0.0, 0.008)
    lid_height = (depth - inset - gap) * draws.uniform("lid_height", 0.94, 1.04)
    lid_width = width * draws.sometimes("lid_width", 0.3, 0.95, 1.0, otherwise=1.0)
    lid = slab((lid_height, lid_thickness, lid_width), corner, lid_edge * lid_thickness)
    # closed, the lid lies on the base toward +x; it opens about the hinge's z axis
    lid = lid.translate((0.5 * lid_height + gap, 0.5 * lid_thickness, 0.0))
    lid = lid.rotate((0.0, 0.0, angle)).translate((hinge_x, hinge_y, 0.0))
    barrel = _barrel(draws, width, lid_thickness, base_thickness, gap)
    return base + lid + barrel.translate((hinge_x, hinge_y, 0.0))


def _angle(draws: Draws) -> float:
    """Opening angle between base and screen, degrees."""
    span = draws.choice("opening", ["usual", "narrow", "wide"], [0.88, 0.05, 0.07])
    low, high = {"usual": (60.0, 140.0), "narrow": (20.0, 60.0), "wide": (140.0, 175.0)}[span]
    return draws.uniform("angle", low, high)


def _wedge(points: np.ndarray, depth: float, thickness: float, amount: float) -> np.ndarray:
    """Thin the base toward its front (+x) from below."""
    forward = (points[:, 0] + 0.5 * depth) / depth
    up = (points[:, 1] + 0.5 * thickness) / thickness
    y = points[:, 1] + (1.0 - up) * amount * thickness * forward
    return np.column_stack([points[:, 0], y, points[:, 2]])


def _barrel(draws: Draws, width: float, lid: float, base: float, gap: float) -> Manifold:
    """Hinge: one long barrel or two short ones; always joins lid and base."""
    radius = max(0.5 * lid, gap * 1.15, 0.0025) * draws.uniform("barrel_radius", 1.0, 1.25)
    radius = min(radius, max(0.75 * base, gap * 1.15))
    length = width * draws.uniform("barrel_length", 0.08, 0.3)
    offset = 0.5 * width * draws.uniform("barrel_offset", 0.5, 0.72)
    if draws.chance("one_barrel", 0.4):
        length, offset = width * draws.uniform("long_barrel", 0.5, 0.95), 0.0
    meridian: Meridian = np.array(
        [[0.0, -0.5 * length], [radius, -0.5 * length], [radius, 0.5 * length], [0.0, 0.5 * length]]
    )
    rod = lathe(meridian, segments=24).rotate((90.0, 0.0, 0.0))
    if offset == 0.0:
        return rod
    return rod.translate((0.0, 0.0, offset)) + rod.translate((0.0, 0.0, -offset))
