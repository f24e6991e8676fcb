"""Devices as distractors; their fronts point toward +x."""

from __future__ import annotations

import numpy as np
from manifold3d import Manifold

from sdfpose_core.simulation.distractors.parts import (
    along,
    ball,
    block,
    disc,
    finger,
    joined,
    log_uniform,
    rod,
    swept,
    torus,
)

__all__ = [
    "headphones",
    "keyboard",
    "lamp",
    "monitor",
    "mouse",
    "phone",
    "remote",
    "router",
    "speaker",
]


def monitor(rng: np.random.Generator) -> Manifold:
    """Monitor on a foot, a tablet on a stand or a television."""
    wide = log_uniform(rng, 0.25, 0.65)
    tall, thick = wide / rng.uniform(1.25, 1.9), float(rng.uniform(0.008, 0.045))
    panel = block(thick, tall, wide, 0.2 * thick).rotate((0.0, 0.0, float(rng.uniform(-4.0, 12.0))))
    lift = float(rng.uniform(0.03, 0.14))
    neck_wide, deep = wide * rng.uniform(0.08, 0.25), float(rng.uniform(0.14, 0.24))
    behind = -0.5 * thick - 0.015
    neck = block(0.025, lift + 0.5 * tall, neck_wide)
    neck = neck.translate((behind, -0.25 * tall - 0.5 * lift, 0.0))
    level = -0.5 * tall - lift
    if rng.random() < 0.6:
        foot = block(deep, 0.012, wide * rng.uniform(0.25, 0.5), 0.004)
    else:
        foot = disc(0.5 * deep, 0.015, 0.004)
    joint = block(abs(behind) + 0.02, 0.08, neck_wide).translate((0.5 * behind, 0.0, 0.0))
    return joined([panel, neck, joint, foot.translate((behind + 0.03, level, 0.0))])


def keyboard(rng: np.random.Generator) -> Manifold:
    """Keyboard, piano or calculator: a flat slab with keys."""
    wide, deep = log_uniform(rng, 0.1, 0.46), float(rng.uniform(0.1, 0.16))
    thick, tall = float(rng.uniform(0.008, 0.02)), float(rng.uniform(0.003, 0.008))
    base = block(deep, thick, wide, 0.2 * thick)
    rows, pitch = int(rng.integers(4, 7)), 0.9 * deep / 6.5
    columns = max(3, int(0.94 * wide / pitch))
    size = 0.5 * pitch * rng.uniform(0.7, 0.9)
    low, high = 0.4 * thick, 0.5 * thick + tall
    x = (np.arange(rows) - 0.5 * (rows - 1)) * pitch
    z = (np.arange(columns) - 0.5 * (columns - 1)) * pitch
    key = Manifold.cube((2.0 * size, high - low, 2.0 * size), True)
    # The keys of a row are one comb: its gaps are cut out of a bar.
    bar = Manifold.cube((2.0 * size, high - low, columns * pitch), True)
    gap = Manifold.cube((3.0 * size, tall, pitch - 2.0 * size), True)
    gap = gap.translate((0.0, 0.5 * (high - low - tall) + 1e-4, 0.5 * pitch))
    row = bar - joined([gap.translate((0.0, 0.0, float(at))) for at in z[:-1]])
    if rng.random() < 0.3:
        row = row + key.translate((0.0, 0.001, float(z[0])))
    middle = 0.5 * (low + high)
    keys = joined([row.translate((float(at), middle, 0.0)) for at in x])
    return (base + keys).rotate((0.0, 0.0, float(-rng.uniform(0.0, 6.0))))


def mouse(rng: np.random.Generator) -> Manifold:
    """Computer mouse, soap or a stapler's body."""
    long, wide = log_uniform(rng, 0.035, 0.065), float(rng.uniform(0.022, 0.036))
    tall = float(rng.uniform(0.025, 0.04))
    body = ball(long, tall, wide).trim_by_plane((0.0, 1.0, 0.0), 0.0)
    return body.warp_batch(
        lambda p: p + np.stack([-6.0 * p[:, 1] ** 2, 0 * p[:, 0], 0 * p[:, 0]], 1)
    )


def phone(rng: np.random.Generator) -> Manifold:
    """Telephone, tablet, power bank or hard disk."""
    long = log_uniform(rng, 0.09, 0.26)
    thick = float(rng.uniform(0.007, 0.018))
    return block(long, thick, long * rng.uniform(0.45, 0.75), 0.3 * thick)


def remote(rng: np.random.Generator) -> Manifold:
    """Remote control or game pad with buttons."""
    long, wide = log_uniform(rng, 0.1, 0.22), float(rng.uniform(0.035, 0.055))
    thick = float(rng.uniform(0.014, 0.025))
    body = block(long, thick, wide, 0.35 * thick)
    button = disc(0.12 * wide, 0.006)
    at = [(x * long, 0.5 * thick, z * wide) for x in (-0.3, -0.15, 0.0, 0.2) for z in (-0.25, 0.25)]
    parts = [body, *(button.translate(x) for x in at)]
    if rng.random() < 0.4:
        grip = ball(0.4 * long, 0.8 * thick, 0.5 * wide)
        parts += [grip.translate((side * 0.45 * long, -0.2 * thick, 0.4 * wide))
                  for side in (-1.0, 1.0)]  # fmt: skip
    return joined(parts)


def router(rng: np.random.Generator) -> Manifold:
    """Router or radio: a flat box with antennas."""
    wide, deep = log_uniform(rng, 0.12, 0.26), log_uniform(rng, 0.08, 0.16)
    thick = float(rng.uniform(0.02, 0.05))
    parts = [block(deep, thick, wide, 0.15 * thick)]
    for place in np.linspace(-0.42, 0.42, int(rng.integers(1, 5))):
        long = float(rng.uniform(0.08, 0.18))
        antenna = rod(0.006, long, 0.004).translate((0.0, 0.5 * long, 0.0))
        antenna = antenna.rotate((float(rng.uniform(-25.0, 25.0)), 0.0, 0.0))
        parts.append(antenna.translate((-0.45 * deep, 0.3 * thick, float(place) * wide)))
    return joined(parts)


def speaker(rng: np.random.Generator) -> Manifold:
    """Loudspeaker, printer or toaster: a box with round or square openings."""
    deep, tall, wide = (log_uniform(rng, low, 0.28) for low in (0.08, 0.1, 0.08))
    body = block(deep, tall, wide, 0.05 * min(deep, tall, wide))
    if rng.random() < 0.6:
        radius = 0.36 * min(wide, 0.5 * tall)
        for level, size in ((-0.22, 1.0), (0.27, 0.6)):
            hollow = along(rod(size * radius, 0.03, 0.5 * size * radius), "x")
            body = body - hollow.translate((0.5 * deep, level * tall, 0.0))
        return body
    slot = block(0.7 * deep, 0.1, 0.2 * wide).translate((0.0, 0.5 * tall, 0.0))
    return body - slot.translate((0.0, 0.0, 0.2 * wide)) - slot.translate((0.0, 0.0, -0.2 * wide))


def lamp(rng: np.random.Generator) -> Manifold:
    """Desk lamp: a foot, a bent arm and a shade; or a shade on a pole."""
    radius, thin = float(rng.uniform(0.05, 0.1)), float(rng.uniform(0.004, 0.012))
    height, shade = log_uniform(rng, 0.22, 0.5), float(rng.uniform(0.04, 0.1))
    foot = disc(radius, 0.02, 0.006).translate((0.0, 0.01, 0.0))
    if rng.random() < 0.4:
        cup = rod(1.5 * shade, 1.6 * shade, shade).translate((0.0, height, 0.0))
        pole = rod(thin, height).translate((0.0, 0.5 * height, 0.0))
        return joined([foot, pole, cup])
    elbow = np.array([-rng.uniform(0.02, 0.15), 0.6 * height, 0.0])
    tip = np.array([rng.uniform(0.05, 0.25), height, 0.0])
    arm = finger(np.stack([np.zeros(3), elbow, tip]), [thin, thin, thin])
    cup = rod(shade, 1.4 * shade, 0.35 * shade) - rod(
        0.9 * shade, 1.4 * shade, 0.3 * shade
    ).translate((0.0, -0.1 * shade, 0.0))
    cup = cup.translate((0.0, -0.6 * shade, 0.0)).rotate((0.0, 0.0, float(rng.uniform(0.0, 60.0))))
    return joined([foot, arm, cup.translate(tuple(tip))])


def headphones(rng: np.random.Generator) -> Manifold:
    """Headphones, lying."""
    radius, pad = float(rng.uniform(0.07, 0.1)), float(rng.uniform(0.03, 0.045))
    path = ((-radius, 0.0), (-1.1 * radius, 2.0 * radius), (1.1 * radius, 2.0 * radius),
            (radius, 0.0))  # fmt: skip
    band = swept(path, 0.008, [0.015, 0.03, 0.015], count=20)
    ears = []
    for side in (-1.0, 1.0):
        ear = along(torus(0.7 * pad, 0.35 * pad) + disc(0.7 * pad, 0.3 * pad), "x")
        ears.append(ear.translate((side * (radius - 0.25 * pad), -0.2 * pad, 0.0)))
    return joined([band, *ears]).rotate((90.0, 0.0, 0.0))
