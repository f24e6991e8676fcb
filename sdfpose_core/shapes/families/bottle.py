"""Bottles: wine, beer, water, squeeze and shampoo bottles, flasks, jugs; filled solids."""

from __future__ import annotations

import numpy as np
from manifold3d import Manifold

from sdfpose_core.shapes.families.draws import Draws
from sdfpose_core.shapes.profiles import Meridian, bezier, fillet_inset, join, round_corners
from sdfpose_core.shapes.solids import bar, lathe, slab

__all__ = ["build"]


def build(draws: Draws) -> Manifold:
    """One bottle: body, shoulder, neck, cap, and sometimes a pump head or a handle."""
    height = draws.log_uniform("height", 0.12, 0.335)
    aspect = draws.log_uniform("aspect", 1.75, 4.8)
    width = float(np.clip(height / aspect, 0.038, 0.125))
    radius = 0.5 * width

    round_section = draws.chance("round_section", 0.6)
    exponent = 2.0 if round_section else draws.uniform("exponent", 2.0, 6.0)
    depth = 1.0 if round_section else draws.uniform("depth", 0.42, 1.0)
    if round_section:
        depth = draws.sometimes("depth", 0.12, 0.55, 1.0, otherwise=1.0)

    cap_height = height * draws.uniform("cap_height", 0.03, 0.2)
    neck_height = height * draws.uniform("neck_height", 0.0, 1.0) ** 1.5 * 0.3
    shoulder_height = height * draws.uniform("shoulder_height", 0.02, 0.34)
    body_height = height - cap_height - neck_height - shoulder_height

    slimmest = max(0.0085, 0.16 * radius)
    widest = 0.97 * radius * min(1.0, depth * 1.05)
    neck = slimmest + (widest - slimmest) * draws.uniform("neck_radius", 0.0, 1.0) ** 1.7

    body = _body(draws, radius, body_height)
    base = _base(draws, float(body[0, 0]))
    shoulder = _shoulder(draws, body[-1], neck, shoulder_height)
    neck_top = neck * draws.uniform("neck_taper", 0.75, 1.05) if neck_height > 0.02 else neck
    neck_top = max(neck_top, 0.008)
    widest_cap = radius * min(1.0, depth * 1.1)
    top = _top(draws, shoulder, neck_top, neck_height, cap_height, widest_cap)
    meridian = join(base, body, top)

    # the section is the body's up to the shoulder, and becomes round as the neck is reached
    at = meridian[:, 1] > body[-1, 1]
    fade = (meridian[:, 0] - neck) / max(radius - neck, 1e-6)
    body_like = np.where(at, np.clip(fade, 0.0, 1.0), 1.0)
    if draws.chance("section_to_top", 0.12):
        body_like = np.ones(len(meridian))
    solid = lathe(
        meridian,
        exponent=2.0 + (exponent - 2.0) * body_like,
        depth=1.0 + (depth - 1.0) * body_like,
    )
    extra = draws.choice("extra", ["none", "pump", "handle"], [0.89, 0.06, 0.05])
    if extra == "pump":
        return solid + _pump(draws, float(meridian[-1, 1]), neck_top)
    if extra == "handle":
        return solid + _handle(draws, meridian, body_height, float(shoulder[-1, 1]))
    if neck_top > 0.55 * radius and draws.chance("stands_on_cap", 0.15):
        return solid.rotate((180.0, 0.0, 0.0))
    return solid


def _base(draws: Draws, radius: float) -> Meridian:
    """Underside from the axis to the edge, with a punt."""
    punt = draws.sometimes("punt", 0.5, 0.0, 0.25) * radius
    ring = 0.8 * radius
    if punt < 0.002:
        return np.array([[0.0, 0.0], [radius, 0.0]])
    dome = bezier((0.0, punt), (0.5 * ring, punt), (0.85 * ring, 0.2 * punt), (ring, 0.0), 8)
    return join(dome, [[radius, 0.0]])


def _body(draws: Draws, radius: float, height: float) -> Meridian:
    """Wall from the base to the shoulder: taper, waist or belly, ribs, rounded heel."""
    taper = draws.sometimes("taper", 0.5, -0.3, 0.22)
    waist = draws.sometimes("waist", 0.35, -0.14, 0.09)
    waist_at = draws.uniform("waist_at", 0.3, 0.7)
    waist_span = draws.uniform("waist_span", 0.15, 0.45)
    heel = radius * draws.log_uniform("heel", 0.04, 0.6)
    heel_height = min(heel * draws.uniform("heel_height", 0.7, 1.6), 0.6 * height)
    t = np.union1d(
        np.linspace(0.0, 1.0, 33),
        heel_height / height * (1.0 - np.cos(np.linspace(0.0, np.pi / 2.0, 10))),
    )
    r = 1.0 + np.minimum(taper * (1.0 - t), 0.0) + np.minimum(-taper * t, 0.0)
    r += waist * np.exp(-0.5 * ((t - waist_at) / (0.5 * waist_span)) ** 2) - max(waist, 0.0)
    if draws.chance("ribbed", 0.15):
        count = draws.uniform("ribs", 3.0, 8.0)
        amplitude = draws.uniform("rib_depth", 0.008, 0.03)
        fine = np.linspace(0.0, 1.0, 97)
        r, t = np.interp(fine, t, r), fine
        envelope = np.clip(8.0 * np.minimum(t - 0.12, 0.92 - t), 0.0, 1.0)
        r = r - amplitude * envelope * (0.5 - 0.5 * np.cos(2.0 * np.pi * count * t))
    y = t * height
    return join(np.stack([r * radius - fillet_inset(y, heel, heel_height), y], axis=1))


def _shoulder(draws: Draws, start: Meridian, neck: float, height: float) -> Meridian:
    """From the body's end to the neck: dome, cone or S-curve, by two tensions."""
    lower = draws.uniform("shoulder_lower", 0.0, 1.0)
    upper = draws.uniform("shoulder_upper", 0.0, 1.0)
    flat = draws.uniform("shoulder_flat", 0.0, 1.0)
    r, y = float(start[0]), float(start[1])
    span = max(r - neck, 0.0)
    end = (neck, y + height)
    control = (neck + flat * (1.0 - upper) * 0.7 * span, y + height - 0.7 * upper * height)
    return bezier((r, y), (r, y + 0.75 * lower * height), control, end, 20)


def _top(
    draws: Draws,
    shoulder: Meridian,
    neck: float,
    neck_height: float,
    cap_height: float,
    widest: float,
) -> Meridian:
    """Shoulder, neck and closure; a wide cap hides the neck and sits on the shoulder itself."""
    if not draws.chance("wide_cap", 0.16):
        bottom = float(shoulder[-1, 1]) + neck_height
        return join(shoulder, _cap(draws, neck, bottom, cap_height))
    outer = max(1.02 * neck, widest * draws.uniform("cap_width", 0.55, 1.0))
    seat = int(np.argmax(shoulder[:, 0] < outer))
    bottom = float(shoulder[seat, 1])
    top = float(shoulder[-1, 1]) + min(neck_height, cap_height) + cap_height
    upper = outer * draws.uniform("cap_taper", 0.8, 1.0)
    edge = draws.log_uniform("cap_edge", 0.0006, 0.006)
    cap = round_corners([[outer, bottom], [upper, top], [0.0, top]], edge)
    return join(shoulder[:seat], cap)


def _cap(draws: Draws, neck: float, bottom: float, height: float) -> Meridian:
    """Finish ring and closure (or a bare mouth), from the neck's end to the axis."""
    style = draws.choice("cap", ["screw", "bare", "nozzle", "dome"], [0.5, 0.25, 0.14, 0.11])
    top = bottom + height
    edge = draws.log_uniform("cap_edge", 0.0006, 0.005)
    if style == "bare":
        lip = neck + draws.uniform("lip", 0.0, 0.0025)
        down = min(draws.uniform("lip_height", 0.003, 0.014), 0.8 * height)
        points = [[neck, bottom], [neck, top - down], [lip, top - down], [lip, top], [0.0, top]]
        return round_corners(points, min(edge, 0.0015))
    if style == "nozzle":
        collar = neck * draws.uniform("nozzle_collar", 1.0, 1.35)
        collar_height = height * draws.uniform("nozzle_collar_height", 0.25, 0.6)
        tip = max(neck * draws.uniform("nozzle_tip", 0.25, 0.7), 0.004)
        points = [
            [neck, bottom],
            [collar, bottom],
            [collar, bottom + collar_height],
            [0.8 * collar, bottom + collar_height],
            [tip, top],
            [0.0, top],
        ]
        return round_corners(points, edge)
    outer = neck + draws.uniform("cap_overhang", 0.0, min(0.005, 0.35 * neck))
    upper = outer * draws.uniform("cap_taper", 0.8, 1.0)
    if style == "dome":
        dome = bezier(
            (outer, bottom), (outer, bottom + 0.8 * height), (0.6 * outer, top), (0.0, top), 14
        )
        return join([[neck, bottom]], dome)
    gap = min(draws.sometimes("cap_gap", 0.5, 0.001, 0.006), 0.3 * height)
    points = [[neck, bottom], [neck, bottom + gap], [outer, bottom + gap], [upper, top], [0.0, top]]
    return round_corners(points, [0.0, 0.0, min(edge, 0.001), edge, 0.0])


def _pump(draws: Draws, top: float, neck: float) -> Manifold:
    """Dispenser on the cap: a stem and a nozzle toward +x."""
    stem = max(0.0045, neck * draws.uniform("stem", 0.35, 0.7))
    rise = draws.uniform("stem_rise", 0.01, 0.026)
    reach = draws.uniform("nozzle_reach", 0.018, 0.04)
    thick = draws.uniform("nozzle_thick", 0.008, 0.014)
    meridian = [[0.0, top - 0.003], [stem, top - 0.003], [stem, top + rise], [0.0, top + rise]]
    head = slab((reach + 1.6 * stem, thick, 1.6 * thick), 0.006, 0.003)
    offset = 0.5 * reach - 0.5 * stem
    return lathe(np.array(meridian), segments=24) + head.translate((offset, top + rise, 0.0))


def _handle(draws: Draws, meridian: Meridian, body_height: float, shoulder_top: float) -> Manifold:
    """Jug handle toward +x, from the shoulder down to the body."""
    low = body_height * draws.uniform("handle_low", 0.3, 0.7)
    high = body_height + (shoulder_top - body_height) * draws.uniform("handle_high", 0.0, 0.9)
    reach = draws.uniform("handle_reach", 0.02, 0.042)
    thick = meridian[:, 0].max() * draws.uniform("handle_thick", 0.2, 0.34)
    outside = meridian[2:]
    order = np.argsort(outside[:, 1], kind="stable")
    at_low, at_high = np.interp([low, high], outside[order, 1], outside[order, 0]) - 0.6 * thick
    out = max(at_low, at_high) + reach
    path = bezier((at_high, high), (out, high), (out, low), (at_low, low), 20)
    return bar(path, thick, thick * draws.uniform("handle_width", 1.0, 1.8), exponent=2.4)
