"""Things of a household as distractors: cartons, books, plants, toys."""

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
    tube,
    turned,
)

__all__ = [
    "bear",
    "book",
    "carton",
    "clock",
    "dish",
    "milk_carton",
    "open_book",
    "open_carton",
    "plant",
    "shoe",
    "toy_car",
]


def carton(rng: np.random.Generator) -> Manifold:
    """Closed carton, or a packet of food."""
    if rng.random() < 0.4:
        x, y, z = (log_uniform(rng, 0.12, 0.38) for _ in range(3))
    else:
        x, y, z = (
            log_uniform(rng, 0.02, 0.09),
            log_uniform(rng, 0.08, 0.3),
            log_uniform(rng, 0.05, 0.22),
        )
    return block(x, y, z)


def open_carton(rng: np.random.Generator) -> Manifold:
    """Open carton, crate or drawer, with or without flaps."""
    x, z = log_uniform(rng, 0.12, 0.36), log_uniform(rng, 0.1, 0.3)
    y, wall = log_uniform(rng, 0.06, 0.24), float(rng.uniform(0.003, 0.01))
    hollow = Manifold.cube((x - 2.0 * wall, y, z - 2.0 * wall), True).translate((0.0, wall, 0.0))
    solid = block(x, y, z) - hollow
    if rng.random() < 0.5:
        return solid
    flaps = [solid]
    for turn, deep, wide in ((0.0, x, z), (90.0, z, x), (180.0, x, z), (270.0, z, x)):
        if rng.random() < 0.3:
            continue
        long = 0.45 * min(x, z)
        flap = block(long, wall, 0.98 * wide).translate((0.48 * long, 0.0, 0.0))
        flap = flap.rotate((0.0, 0.0, float(rng.uniform(-70.0, 60.0))))
        flap = flap.translate((0.5 * deep - 0.5 * wall, 0.5 * y - 0.3 * wall, 0.0))
        flaps.append(flap.rotate((0.0, turn, 0.0)))
    return joined(flaps)


def milk_carton(rng: np.random.Generator) -> Manifold:
    """Carton with a gable, a house or a tent."""
    side, tall = log_uniform(rng, 0.06, 0.1), log_uniform(rng, 0.08, 0.22)
    gable = side * rng.uniform(0.3, 0.6)
    profile = [[-0.5 * side, 0.0], [0.5 * side, 0.0], [0.5 * side, tall],
               [0.01, tall + gable], [-0.01, tall + gable], [-0.5 * side, tall]]  # fmt: skip
    body = CrossSection([np.array(profile)]).extrude(side).translate((0.0, 0.0, -0.5 * side))
    if rng.random() < 0.5:
        return body
    ridge = block(0.006, 0.02, side).translate((0.0, tall + gable + 0.008, 0.0))
    return body + ridge


def book(rng: np.random.Generator) -> Manifold:
    """Closed book or folder: a cover around pages, lying."""
    x, z = log_uniform(rng, 0.15, 0.27), log_uniform(rng, 0.1, 0.2)
    thick = log_uniform(rng, 0.012, 0.055)
    cover = 0.003
    pages = block(x - 0.008, thick - cover, z - 0.004).translate((0.0, 0.0, 0.002))
    boards = block(x, cover, z).translate((0.0, 0.5 * (thick - cover), 0.0))
    back = block(x, thick, cover).translate((0.0, 0.0, -0.5 * z + 0.5 * cover))
    return joined([pages, boards, boards.translate((0.0, cover - thick, 0.0)), back])


def open_book(rng: np.random.Generator) -> Manifold:
    """Open book: two bent stacks of pages."""
    x, z = log_uniform(rng, 0.14, 0.24), log_uniform(rng, 0.1, 0.18)
    thick = log_uniform(rng, 0.012, 0.03)
    path = ((0.0, 0.0), (0.2 * z, 1.2 * thick), (0.6 * z, 0.6 * thick), (z, 0.1 * thick))
    half = swept(path, [0.6 * thick, thick, thick, 0.9 * thick], x, exponent=12.0)
    share = float(rng.uniform(0.4, 1.0))
    return half + half.mirror((1.0, 0.0, 0.0)).scale((1.0, share, 1.0))


def dish(rng: np.random.Generator) -> Manifold:
    """Flat plate or lid."""
    radius = log_uniform(rng, 0.06, 0.14)
    tall = radius * rng.uniform(0.08, 0.2)
    wall = 0.004
    outer = turned([[0.6 * radius, 0.0], [radius, tall]])
    return outer - turned([[0.6 * radius, wall], [radius, tall + wall]])


def clock(rng: np.random.Generator) -> Manifold:
    """Clock, mirror or picture on a stand; its front points toward +x."""
    size, thick = log_uniform(rng, 0.05, 0.14), float(rng.uniform(0.01, 0.035))
    if rng.random() < 0.5:
        face = along(tube(size, 0.9 * size, thick) + disc(0.95 * size, 0.6 * thick), "x")
    else:
        wide = size * rng.uniform(0.7, 1.4)
        face = block(thick, 2.0 * size, 2.0 * wide) - block(
            thick, 1.7 * size, 1.7 * wide
        ).translate((0.7 * thick, 0.0, 0.0))
    face = face.rotate((0.0, 0.0, float(rng.uniform(5.0, 20.0))))
    leg = block(0.008, 1.3 * size, 0.3 * size).rotate((0.0, 0.0, -25.0))
    return face + leg.translate((-0.35 * size, -0.35 * size, 0.0))


def plant(rng: np.random.Generator) -> Manifold:
    """Plant in a pot."""
    radius, tall = log_uniform(rng, 0.03, 0.08), log_uniform(rng, 0.05, 0.12)
    parts = [rod(0.75 * radius, tall, radius).translate((0.0, 0.5 * tall, 0.0))]
    leaf = log_uniform(rng, 0.05, 0.16)
    wide = leaf * rng.uniform(0.06, 0.3)
    for turn in rng.uniform(0.0, 360.0, size=int(rng.integers(4, 11))):
        reach, droop = leaf * rng.uniform(0.3, 1.0), leaf * rng.uniform(0.2, 1.2)
        path = ((0.0, 0.0), (0.2 * reach, leaf), (0.7 * reach, leaf), (reach, droop))
        blade = swept(path, 0.002, wide * np.array([0.3, 0.8, 1.0, 0.1]), count=8)
        parts.append(blade.translate((0.1 * radius, tall - 0.01, 0.0)).rotate((0.0, turn, 0.0)))
    return joined(parts)


def toy_car(rng: np.random.Generator) -> Manifold:
    """Toy car, train or tractor: boxes on wheels."""
    long = log_uniform(rng, 0.07, 0.22)
    wide, tall = long * rng.uniform(0.35, 0.55), long * rng.uniform(0.15, 0.25)
    body = block(long, tall, wide, 0.2 * tall)
    top = block(long * rng.uniform(0.3, 0.6), 1.6 * tall, 0.85 * wide, 0.2 * tall)
    parts = [body, top.translate((long * rng.uniform(-0.15, 0.15), 0.8 * tall, 0.0))]
    wheel = along(disc(0.6 * tall, 0.2 * wide), "z")
    for x in (-0.3, 0.3):
        for z in (-0.5, 0.5):
            parts.append(wheel.translate((x * long, -0.4 * tall, z * wide)))
    return joined(parts)


def bear(rng: np.random.Generator) -> Manifold:
    """Teddy bear, doll or figurine: a body, a head and limbs."""
    size = log_uniform(rng, 0.03, 0.08)
    fat, long = rng.uniform(0.6, 1.1), rng.uniform(0.8, 1.5)
    parts = [ball(fat * size, long * size, 0.8 * fat * size)]
    head = size * rng.uniform(0.55, 0.85)
    top = (long + 0.7 * head / size) * size
    parts.append(ball(head, head, head).translate((0.0, top, 0.0)))
    for side in (-1.0, 1.0):
        ear = ball(0.35 * head, 0.35 * head, 0.2 * head)
        parts.append(ear.translate((side * 0.7 * head, top + 0.8 * head, 0.0)))
        arm = ball(0.3 * size, 0.8 * size, 0.3 * size).rotate((0.0, 0.0, side * 40.0))
        parts.append(arm.translate((side * 1.0 * fat * size, 0.3 * long * size, 0.1 * size)))
        leg = ball(0.35 * size, 0.35 * size, 0.9 * size)
        parts.append(leg.translate((side * 0.5 * fat * size, -0.85 * long * size, 0.7 * size)))
    return joined(parts)


def shoe(rng: np.random.Generator) -> Manifold:
    """Shoe, slipper or iron."""
    long = log_uniform(rng, 0.16, 0.3)
    wide, sole = 0.36 * long, float(rng.uniform(0.01, 0.03))
    outline = [[-0.5, -0.28], [0.1, -0.4], [0.45, -0.38], [0.55, 0.0], [0.4, 0.35], [-0.1, 0.3],
               [-0.5, 0.3]]  # fmt: skip
    base = sheet(CrossSection([np.array(outline) * [long, wide]]), sole)
    toe = ball(0.32 * long, 0.22 * long, 0.4 * wide).translate((0.2 * long, 0.0, 0.0))
    heel = ball(0.25 * long, 0.35 * long, 0.36 * wide).translate((-0.27 * long, 0.0, 0.0))
    top = (toe + heel).trim_by_plane((0.0, 1.0, 0.0), 0.0)
    top = top.trim_by_plane((0.0, -1.0, 0.0), -float(rng.uniform(0.18, 0.3)) * long)
    opening = ball(0.16 * long, 0.3 * long, 0.26 * wide).translate((-0.27 * long, 0.28 * long, 0.0))
    return base + (top - opening)
