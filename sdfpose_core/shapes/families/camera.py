"""Cameras: compact, bridge, mirrorless and reflex; lens toward +x, the wide side along z."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from manifold3d import Manifold

from sdfpose_core.shapes.families.draws import Draws
from sdfpose_core.shapes.profiles import Meridian, join, round_corners
from sdfpose_core.shapes.solids import lathe, lathe_along_x, slab

__all__ = ["build"]


@dataclass(frozen=True)
class _Body:
    """Box of a camera's body, metres; its front face is at x = 0, its underside at y = 0."""

    depth: float
    height: float
    width: float


def build(draws: Draws) -> Manifold:
    """One camera; `reflex` slides from compact (0) over bridge and mirrorless to reflex (1)."""
    reflex = draws.uniform("reflex", 0.0, 1.0)
    body = _Body(
        depth=_mix(draws, "depth", reflex, (0.02, 0.036), (0.036, 0.072)),
        height=_mix(draws, "height", reflex, (0.05, 0.073), (0.066, 0.1)),
        width=_mix(draws, "width", reflex, (0.09, 0.124), (0.114, 0.16)),
    )
    solid = _shell(draws, body)
    lens_z = -body.width * draws.uniform("lens_offset", -0.04, 0.16)
    lens_y = body.height * draws.uniform("lens_height", 0.42, 0.56)
    solid += _lens(draws, body, reflex).translate((0.0, lens_y, lens_z))
    if draws.uniform("grip", 0.0, 1.0) < 0.25 + 0.75 * reflex:
        solid += _grip(draws, body, reflex)
    if draws.uniform("hump", 0.0, 1.0) < 0.1 + 1.0 * reflex:
        solid += _hump(draws, body, reflex, lens_z)
    return solid + _controls(draws, body)


def _mix(
    draws: Draws,
    name: str,
    reflex: float,
    compact: tuple[float, float],
    large: tuple[float, float],
) -> float:
    """Uniform between bounds that slide from those of a compact to those of a reflex camera."""
    low = compact[0] + reflex * (large[0] - compact[0])
    high = compact[1] + reflex * (large[1] - compact[1])
    return draws.uniform(name, low, high)


def _upright(
    size: tuple[float, float, float], corner_radius: float, edge_radius: float
) -> Manifold:
    """Slab whose rounded outline is seen from the front: thickness along x, then y, z sizes."""
    flat = slab((size[1], size[0], size[2]), corner_radius, edge_radius)
    return flat.rotate((0.0, 0.0, -90.0))


def _shell(draws: Draws, body: _Body) -> Manifold:
    """The body: rounded seen from the front, or rounded seen from above."""
    edge = body.depth * draws.uniform("edge_radius", 0.03, 0.35)
    corner = body.height * draws.uniform("corner_radius", 0.03, 0.3)
    if draws.chance("rounded_ends", 0.4):
        # ends rounded seen from above, as on classic and many reflex bodies
        ends = body.depth * draws.uniform("end_radius", 0.15, 0.5)
        shell = slab((body.depth, body.height, body.width), ends, min(edge, 0.2 * body.height))
    else:
        shell = _upright((body.depth, body.height, body.width), corner, edge)
    slope = draws.sometimes("shoulder_drop", 0.35, 0.03, 0.16)
    if slope > 0.0:
        shell = shell.warp_batch(lambda p: _drop_shoulders(p, body, slope))
    return shell.translate((-0.5 * body.depth, 0.5 * body.height, 0.0))


def _drop_shoulders(points: np.ndarray, body: _Body, amount: float) -> np.ndarray:
    """Lower the top of the body toward its ends."""
    out = np.abs(points[:, 2]) / (0.5 * body.width)
    up = np.clip(points[:, 1] / body.height + 0.5, 0.0, 1.0)
    y = points[:, 1] - amount * body.height * up * out**2
    return np.column_stack([points[:, 0], y, points[:, 2]])


def _lens(draws: Draws, body: _Body, reflex: float) -> Manifold:
    """Stepped barrel from inside the body toward +x, with a flat, hollow or domed front."""
    largest = 0.5 * min(0.92 * body.height, 0.085)
    radius = largest * draws.uniform("lens_radius", 0.45, 1.0)
    short, long = (0.004, 0.036), (0.018, 0.09)
    length = _mix(draws, "lens_length", reflex, short, long)
    if draws.chance("long_lens", 0.06 + 0.16 * reflex):
        length *= draws.uniform("long_factor", 1.3, 1.8)
    steps = 1 + round(draws.uniform("steps", 0.0, 2.0))
    marks = np.sort([draws.uniform(f"step_{i}", 0.15, 0.85) for i in range(steps - 1)])
    bounds = np.concatenate([[0.0], marks * length, [length]])
    outline = [[radius, -0.4 * body.depth]]
    r = radius
    for i in range(steps):
        outline += [[r, bounds[i]], [r, bounds[i + 1]]]
        if i + 1 < steps:
            r *= draws.uniform(f"step_radius_{i}", 0.78, 1.12)
            r = min(r, largest)
            outline.append([r, bounds[i + 1]])
    edge = draws.uniform("lens_edge", 0.0004, 0.003)
    front = _front(draws, r, length)
    meridian = round_corners(
        join([[0.0, -0.4 * body.depth]], outline, front), min(edge, 0.08 * length), 4
    )
    return lathe_along_x(meridian, segments=48)


def _front(draws: Draws, radius: float, length: float) -> Meridian:
    """Front of the lens from its edge to the axis."""
    hollow = draws.uniform("front_hollow", 0.0, 0.012)
    hollow = min(hollow, 0.5 * length)
    glass = radius * draws.uniform("glass_radius", 0.45, 0.85)
    bulge = min(draws.uniform("glass_bulge", 0.0, 0.3) * glass, 0.8 * hollow)
    if hollow < 0.0012:
        return np.array([[0.0, length]])
    rim = radius - max(0.0025, 0.06 * radius)
    glass = min(glass, rim - 0.001)
    return np.array(
        [
            [rim, length],
            [glass, length - hollow],
            [0.6 * glass, length - hollow + 0.7 * bulge],
            [0.0, length - hollow + bulge],
        ]
    )


def _grip(draws: Draws, body: _Body, reflex: float) -> Manifold:
    """Hand grip at the right-hand (+z) end, standing out toward +x."""
    out = _mix(draws, "grip_out", reflex, (0.003, 0.012), (0.008, 0.036))
    wide = body.width * draws.uniform("grip_width", 0.12, 0.26)
    tall = body.height * draws.uniform("grip_height", 0.72, 0.98)
    depth = out + 0.6 * body.depth
    grip = slab(
        (depth, tall, wide),
        0.48 * min(wide, depth) * draws.uniform("grip_round", 0.4, 1),
        0.12 * min(wide, tall) * draws.uniform("grip_edge", 0.3, 1.0),
    )
    x = out - 0.5 * depth
    return grip.translate((x, 0.5 * tall, 0.5 * (body.width - wide) - 0.002))


def _hump(draws: Draws, body: _Body, reflex: float, lens_z: float) -> Manifold:
    """Finder hump or pop-up flash above the lens: the hull of a wide foot and a narrower top."""
    rise = _mix(draws, "hump_rise", reflex, (0.004, 0.012), (0.01, 0.03))
    foot = body.width * draws.uniform("hump_foot", 0.28, 0.46)
    top = foot * draws.uniform("hump_top", 0.45, 0.95)
    depth = body.depth * draws.uniform("hump_depth", 0.55, 1.0)
    ahead = draws.sometimes("hump_ahead", 0.4, 0.0, 0.014) * reflex
    behind = draws.sometimes("eyepiece", 0.5, 0.0, 0.012)
    base_y = body.height * 0.8
    low = slab((depth, 0.01, foot), 0.004, 0.002).translate((0.0, base_y, 0.0))
    length = (depth + ahead + behind) * draws.uniform("hump_top_depth", 0.7, 1.0)
    radius = min(0.45 * rise, 0.3 * top) * draws.uniform("hump_round", 0.2, 1.0)
    high = slab((length, max(0.008, 0.7 * rise), top), 2.0 * radius, radius)
    high = high.translate(
        (0.5 * (ahead - behind), body.height + rise - 0.5 * max(0.008, 0.7 * rise), 0.0)
    )
    return Manifold.batch_hull([low, high]).translate((-0.5 * body.depth, 0.0, lens_z))


def _controls(draws: Draws, body: _Body) -> Manifold:
    """Shutter button, dials and hot shoe on top, finder and screen at the back."""
    solid = Manifold()
    count = round(draws.uniform("dials", 0.0, 3.0))
    for i in range(count):
        radius = draws.uniform(f"dial_radius_{i}", 0.005, min(0.011, 0.45 * body.depth))
        rise = draws.uniform(f"dial_rise_{i}", 0.0015, 0.0055)
        z = body.width * (0.4 - 0.16 * i if i < 2 else -0.36)
        x = -body.depth * draws.uniform(f"dial_x_{i}", 0.35, 0.65)
        meridian = [
            [0.0, 0.75 * body.height],
            [radius, 0.75 * body.height],
            [radius, body.height + rise],
            [0.0, body.height + rise],
        ]
        dial = lathe(round_corners(meridian, [0.0, 0.0, 0.3 * rise, 0.0], 3), segments=32)
        solid += dial.translate((x, 0.0, z))
    if draws.chance("screen", 0.4):
        thick = draws.uniform("screen_thick", 0.001, 0.005)
        screen = _upright((2.0 * thick, 0.7 * body.height, 0.6 * body.width), 0.003, 0.0008)
        solid += screen.translate((-body.depth, 0.45 * body.height, -0.08 * body.width))
    return solid
