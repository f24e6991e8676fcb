"""Hands as distractors, empty or with room for a thing between fingers and thumb."""

from __future__ import annotations

import numpy as np
from manifold3d import Manifold

from sdfpose_core.shapes.model import CadModel
from sdfpose_core.shapes.solids import triangles
from sdfpose_core.simulation.distractors.parts import ball, finger, joined

__all__ = ["gripping_hand", "hand"]

_FINGER_PITCH_M = 0.019


def hand(rng: np.random.Generator) -> Manifold:
    """Hand with a forearm, more or less open."""
    return _hand(rng, float(rng.uniform(0.0, 0.08)))


def gripping_hand(rng: np.random.Generator, width_m: float) -> CadModel:
    """Create a hand that holds something of a width between fingers and thumb.

    The hand comes from -x: what it holds has its near side at the grip point and is `width_m` wide
    along z. The fingers lie side by side along y.

    Args:
        rng: source of all random draws.
        width_m: distance between fingers and thumb, metres.

    Returns:
        The model `hand`, whose parameters `grip_x_m`, `grip_y_m` and `grip_z_m` are the grip point
        in the model's frame.
    """
    vertices, faces = triangles(_hand(rng, width_m))
    centre = 0.5 * (vertices.min(axis=0) + vertices.max(axis=0))
    grip = {f"grip_{k}_m": float(-x) for k, x in zip("xyz", centre, strict=True)}
    return CadModel.centred("hand", "", vertices, faces, grip)


def _hand(rng: np.random.Generator, width: float) -> Manifold:
    """Hand about the grip point, see `gripping_hand`."""
    size = float(rng.uniform(0.85, 1.15))
    thick = 0.009 * size
    side = 0.5 * width + thick
    wrist = np.array([-0.085 * size, 0.0, 0.0])
    rows = (np.arange(4) - 1.5) * _FINGER_PITCH_M * size
    knuckles = [np.array([-0.005 * size - thick, y, side]) for y in rows]
    root = np.array([-0.02 * size - thick, 0.02 * size, -side])
    palm = Manifold.batch_hull(
        [Manifold.sphere(thick * 1.1, 12).translate(tuple(x)) for x in (*knuckles, root)]
        + [ball(0.02 * size, 0.03 * size, 0.022 * size).translate(tuple(wrist))]
    )
    parts = [palm]
    curl = rng.uniform(0.0, 0.5)
    for length, knuckle in zip((0.8, 1.0, 0.95, 0.75), knuckles, strict=True):
        reach = 0.075 * size * length * rng.uniform(0.9, 1.1)
        middle = knuckle + np.array([0.55 * reach, 0.0, 0.0])
        tip = knuckle + np.array([reach, 0.0, -curl * min(side, 0.4 * reach)])
        parts.append(finger([knuckle, middle, tip], [thick, 0.9 * thick, 0.75 * thick]))
    tip = root + np.array([0.065 * size, -0.01 * size, 0.0])
    parts.append(finger([root, tip], [thick, 0.9 * thick]))
    bend = rng.normal(0.0, 0.3, size=2)
    arm = np.array([-1.0, bend[0], bend[1]]) * rng.uniform(0.1, 0.3)
    ends = [(wrist, 0.024), (wrist + arm, 0.036)]
    forearm = [ball(0.8 * r * size, r * size, 0.8 * r * size).translate(tuple(x)) for x, r in ends]
    return joined([*parts, Manifold.batch_hull(forearm)])
