"""Tools as distractors: swept handles with heads, blades, jaws and chucks."""

from __future__ import annotations

import numpy as np
from manifold3d import CrossSection, Manifold

from sdfpose_core.simulation.distractors.parts import (
    along,
    ball,
    block,
    disc,
    joined,
    log_uniform,
    rod,
    sheet,
    swept,
    torus,
    tube,
    turned,
)

__all__ = [
    "brush",
    "clamp",
    "drill",
    "hammer",
    "knife",
    "pan",
    "pliers",
    "scissors",
    "screwdriver",
    "spoon",
    "wrench",
]


def _handle(rng: np.random.Generator, length: float, radius: float) -> Manifold:
    """Handle along x from 0 to its length, swollen and waisted, round or flat."""
    swell = rng.uniform(0.7, 1.15, size=5) * 2.0 * radius
    sag = rng.uniform(-0.08, 0.08) * length
    path = ((0.0, 0.0), (0.3 * length, sag), (0.7 * length, sag), (length, 0.0))
    exponent = float(rng.uniform(2.0, 4.0))
    return swept(path, swell, swell * rng.uniform(0.6, 1.4), exponent=exponent)


def screwdriver(rng: np.random.Generator) -> Manifold:
    """Screwdriver or file: handle and shaft."""
    length, radius = log_uniform(rng, 0.06, 0.13), log_uniform(rng, 0.009, 0.02)
    shaft = log_uniform(rng, 0.05, 0.22)
    thin = float(rng.uniform(0.002, 0.005))
    steel = along(rod(thin, shaft + 0.02, thin * rng.uniform(0.4, 1.0)), "x")
    return _handle(rng, length, radius) + steel.translate((length + 0.5 * shaft - 0.01, 0.0, 0.0))


def hammer(rng: np.random.Generator) -> Manifold:
    """Hammer, mallet or axe: a head across the end of a handle."""
    length, radius = log_uniform(rng, 0.16, 0.34), log_uniform(rng, 0.009, 0.017)
    head = log_uniform(rng, 0.06, 0.15)
    thick = float(rng.uniform(0.018, 0.045))
    face = rod(0.5 * thick, head) if rng.random() < 0.5 else block(thick, head, thick, 0.003)
    if rng.random() < 0.4:  # a claw or a blade on one side
        edge = block(thick, 0.01, 0.2 * thick).translate((0.0, 0.75 * head, 0.0))
        face = face + (face + edge).hull()
    return _handle(rng, length, radius) + face.translate((length - 0.4 * thick, 0.0, 0.0))


def wrench(rng: np.random.Generator) -> Manifold:
    """Spanner: a flat shaft with a ring and an open jaw, or two of either."""
    length, wide = log_uniform(rng, 0.1, 0.28), float(rng.uniform(0.01, 0.024))
    thick = float(rng.uniform(0.004, 0.01))
    shape = CrossSection.square((length, wide), True)
    for side in (-1.0, 1.0):
        radius = wide * rng.uniform(0.9, 1.3)
        head = CrossSection.circle(radius, 24)
        gap = CrossSection.circle(0.55 * radius, 6)
        if rng.random() < 0.5:
            jaw = CrossSection.square((2.0 * radius, 0.95 * radius), True)
            gap = jaw.translate((0.9 * radius, 0.0)).rotate(float(rng.uniform(-20.0, 20.0)))
        end = (head - gap).rotate(0.0 if side > 0.0 else 180.0)
        at = (side * 0.5 * length, 0.0)
        shape = (shape - head.translate(at)) + end.translate(at)
    return sheet(shape, thick)


def pliers(rng: np.random.Generator) -> Manifold:
    """Pliers or tongs: two curved handles that cross, and jaws."""
    length, spread = log_uniform(rng, 0.09, 0.2), float(rng.uniform(0.02, 0.06))
    thick = float(rng.uniform(0.007, 0.014))
    jaw = length * rng.uniform(0.25, 0.6)
    path = ((jaw, 0.0), (-0.2 * length, spread), (-0.6 * length, spread), (-length, 0.5 * spread))
    arm = swept(path, [0.6 * thick, thick, 1.1 * thick, 1.1 * thick], 0.9 * thick, exponent=2.5)
    other = arm.mirror((0.0, 1.0, 0.0)).translate((0.0, 0.0, 0.2 * thick))
    pivot = along(disc(0.8 * thick, 1.6 * thick), "z").translate((0.35 * jaw, 0.25 * spread, 0.0))
    return joined([arm, other, pivot]).rotate((90.0, 0.0, 0.0))


def scissors(rng: np.random.Generator) -> Manifold:
    """Scissors: two flat blades and two rings."""
    length, opening = log_uniform(rng, 0.06, 0.14), float(rng.uniform(2.0, 25.0))
    wide, thick = float(rng.uniform(0.012, 0.02)), float(rng.uniform(0.003, 0.007))
    ring = float(rng.uniform(0.018, 0.032))
    halves = []
    for side in (-1.0, 1.0):
        blade = sheet(
            CrossSection([np.array([[-0.4 * length, -0.4 * wide], [0.2 * length, -0.5 * wide],
                                    [length, 0.0], [-0.4 * length, 0.4 * wide]])]),
            thick,
        )  # fmt: skip
        bow = torus(ring, 0.2 * ring).scale((1.4, 1.0, 1.0))
        bow = bow.translate((-0.4 * length - 1.3 * ring, 0.0, side * 0.9 * ring))
        halves.append((blade + bow).rotate((0.0, side * opening, 0.0)))
    return joined(halves)


def spoon(rng: np.random.Generator) -> Manifold:
    """Spoon, ladle or spatula: a long thin handle and a hollow or flat end."""
    length, size = log_uniform(rng, 0.09, 0.24), log_uniform(rng, 0.014, 0.04)
    thick = float(rng.uniform(0.003, 0.007))
    rise = float(rng.uniform(0.0, 0.12)) * length
    path = ((0.0, 0.0), (0.3 * length, 0.2 * rise), (0.6 * length, rise), (length, rise))
    handle = swept(path, thick, [thick, thick, 1.5 * thick, 3.0 * thick])
    if rng.random() < 0.35:
        end = block(2.5 * size, thick, 1.6 * size, 0.3 * thick)
    else:
        outer = ball(1.4 * size, 0.5 * size, size)
        end = outer - ball(1.4 * size, 0.5 * size, size).translate((0.0, 0.6 * thick, 0.0))
        end = end.trim_by_plane((0.0, -1.0, 0.0), 0.0)
    return handle + end.translate((-1.25 * size, 0.3 * thick, 0.0))


def knife(rng: np.random.Generator) -> Manifold:
    """Knife: a handle and a flat blade, lying."""
    length, radius = log_uniform(rng, 0.08, 0.14), float(rng.uniform(0.007, 0.013))
    blade, wide = log_uniform(rng, 0.06, 0.24), float(rng.uniform(0.015, 0.045))
    outline = [[-0.01, -0.5 * radius], [blade, -0.5 * radius], [0.8 * blade, wide - radius],
               [-0.01, wide - radius]]  # fmt: skip
    steel = sheet(CrossSection([np.array(outline)]), float(rng.uniform(0.0015, 0.003)))
    handle = _handle(rng, length, radius).rotate((0.0, 180.0, 0.0))
    return handle.scale((1.0, 0.8, 1.0)) + steel


def brush(rng: np.random.Generator) -> Manifold:
    """Brush or broom: bristles under or at the end of a handle."""
    length, radius = log_uniform(rng, 0.08, 0.22), float(rng.uniform(0.007, 0.014))
    wide, tall = log_uniform(rng, 0.015, 0.06), log_uniform(rng, 0.015, 0.06)
    if rng.random() < 0.5:
        hair = block(2.5 * wide, tall, wide, 0.1 * wide).translate((-wide, -0.4 * tall, 0.0))
    else:
        hair = block(1.5 * tall, 0.5 * wide, wide, 0.1 * wide).translate((-0.7 * tall, 0.0, 0.0))
    return _handle(rng, length, radius) + hair


def clamp(rng: np.random.Generator) -> Manifold:
    """Screw clamp: a frame like a C and a spindle through one of its ends."""
    opening, depth = log_uniform(rng, 0.04, 0.16), log_uniform(rng, 0.03, 0.08)
    thick = float(rng.uniform(0.008, 0.018))
    back = block(thick, opening + 2.0 * thick, thick)
    arm = block(depth, thick, thick).translate((0.5 * depth, 0.0, 0.0))
    reach = 0.5 * (opening + thick)
    frame = [back, arm.translate((0.0, reach, 0.0)), arm.translate((0.0, -reach, 0.0))]
    spindle = rod(0.35 * thick, opening).translate((0.85 * depth, 0.7 * opening, 0.0))
    grip = along(rod(0.25 * thick, 4.0 * thick), "z")
    grip = grip.translate((0.85 * depth, 1.15 * opening, 0.0))
    return joined([*frame, spindle, grip]).rotate((90.0, 0.0, 0.0))


def drill(rng: np.random.Generator) -> Manifold:
    """Cordless drill, hot-glue gun, hair dryer or spray gun: a body, a grip and a foot."""
    length, radius = log_uniform(rng, 0.1, 0.2), float(rng.uniform(0.022, 0.042))
    nose = radius * rng.uniform(0.25, 0.8)
    outline = [[0.8 * radius, 0.0], [radius, 0.15 * length], [radius, 0.65 * length],
               [nose, 0.8 * length], [nose, length]]  # fmt: skip
    body = along(turned(outline, 0.3 * radius), "x")
    body = body.scale((1.0, float(rng.uniform(1.0, 1.3)), 1.0))
    tall = log_uniform(rng, 0.08, 0.15)
    lean = rng.uniform(-0.02, 0.03)
    start = 0.3 * length
    path = ((start, 0.0), (start, -0.4 * tall), (start - lean, -0.7 * tall), (start - lean, -tall))
    thick = radius * rng.uniform(0.9, 1.4)
    grip = swept(path, [1.4 * thick, thick, 1.1 * thick], thick, exponent=2.6)
    parts = [body, grip]
    if rng.random() < 0.7:  # a battery
        foot = block(thick * rng.uniform(1.8, 3.5), thick * rng.uniform(0.6, 1.4), 1.6 * thick,
                     0.15 * thick)  # fmt: skip
        parts.append(foot.translate((start - lean, -tall, 0.0)))
    if rng.random() < 0.6:  # a bit
        bit = along(rod(0.2 * nose, 0.5 * length), "x")
        parts.append(bit.translate((1.2 * length, 0.0, 0.0)))
    return joined(parts)


def pan(rng: np.random.Generator) -> Manifold:
    """Frying pan, magnifying glass or racket: a handle at a flat hollow or a ring."""
    radius, height = log_uniform(rng, 0.035, 0.13), float(rng.uniform(0.15, 0.3))
    wall = 0.05 * radius
    if rng.random() < 0.7:
        flat = rod(0.85 * radius, height * radius, radius)
        inner = rod(0.85 * radius - wall, height * radius, radius - wall)
        vessel = flat - inner.translate((0.0, 1.5 * wall, 0.0))
    else:
        vessel = tube(radius, 0.88 * radius, 0.15 * radius)
    length = radius * rng.uniform(1.2, 2.2)
    handle = _handle(rng, length, 0.1 * radius)
    handle = handle.rotate((0.0, 0.0, float(rng.uniform(0.0, 15.0))))
    return vessel + handle.translate((0.93 * radius, 0.2 * height * radius, 0.0))
