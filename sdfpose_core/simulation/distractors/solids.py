"""Distractors without a purpose: primitives, solids composed of them, and lumps."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from manifold3d import CrossSection, Manifold
from numpy.typing import NDArray

from sdfpose_core.simulation.distractors.parts import (
    Axis,
    along,
    ball,
    block,
    joined,
    log_uniform,
    rod,
    torus,
    tube,
)
from sdfpose_core.simulation.rotations import random_rotation

__all__ = [
    "box",
    "composed",
    "cone",
    "cylinder",
    "ellipsoid",
    "lump",
    "prism",
    "ring",
    "roll",
    "sphere",
]

_AXES: tuple[Axis, ...] = ("x", "y", "z")


def box(rng: np.random.Generator) -> Manifold:
    """Box with sharp or rounded edges."""
    x, y, z = (log_uniform(rng, 0.02, 0.3) for _ in range(3))
    edge = rng.uniform(0.02, 0.45) * min(x, y, z) if rng.random() < 0.4 else 0.0
    return block(x, y, z, edge)


def cylinder(rng: np.random.Generator) -> Manifold:
    """Cylinder that is no can: a thin rod, a flat disc or a drum."""
    kind = rng.random()
    if kind < 0.4:
        radius = log_uniform(rng, 0.004, 0.02)
        return rod(radius, radius * log_uniform(rng, 8.5, 40.0))
    if kind < 0.75:
        radius = log_uniform(rng, 0.02, 0.15)
        return rod(radius, radius * log_uniform(rng, 0.08, 0.35))
    radius = log_uniform(rng, 0.07, 0.12)
    return rod(radius, radius * log_uniform(rng, 0.6, 2.0))


def cone(rng: np.random.Generator) -> Manifold:
    """Cone, whole or cut."""
    radius = log_uniform(rng, 0.02, 0.1)
    top = radius * rng.uniform(0.0, 0.55) * (rng.random() < 0.7)
    return rod(radius, radius * log_uniform(rng, 0.6, 4.0), top)


def sphere(rng: np.random.Generator) -> Manifold:
    """Ball."""
    radius = log_uniform(rng, 0.015, 0.11)
    return ball(radius, radius, radius)


def ellipsoid(rng: np.random.Generator) -> Manifold:
    """Ellipsoid."""
    return ball(*(log_uniform(rng, 0.015, 0.1) for _ in range(3)))


def ring(rng: np.random.Generator) -> Manifold:
    """Torus."""
    radius = log_uniform(rng, 0.02, 0.11)
    return torus(radius, radius * rng.uniform(0.12, 0.5))


def roll(rng: np.random.Generator) -> Manifold:
    """Hollow cylinder: a roll of tape, a piece of pipe."""
    radius = log_uniform(rng, 0.02, 0.09)
    inner = radius * rng.uniform(0.45, 0.9)
    return tube(radius, inner, radius * log_uniform(rng, 0.3, 1.0))


def prism(rng: np.random.Generator) -> Manifold:
    """Prism or pyramid with three to six sides."""
    sides = int(rng.integers(3, 7))
    figure = CrossSection.circle(1.0, sides)
    if sides == 4:  # a wedge
        figure = CrossSection([np.array([[0.0, 0.0], [1.0, 0.0], [rng.uniform(0, 1), 1.0]])])
    figure = figure.scale((log_uniform(rng, 0.02, 0.1), log_uniform(rng, 0.02, 0.1)))
    height = log_uniform(rng, 0.02, 0.25)
    top = float(rng.uniform(0.05, 0.6)) if rng.random() < 0.3 else 1.0
    solid = figure.extrude(height, scale_top=(top, top))
    return along(solid.rotate((-90.0, 0.0, 0.0)), _AXES[int(rng.integers(3))])


def lump(rng: np.random.Generator) -> Manifold:
    """Ball or box with a wavy surface: a stone, bread, crumpled paper, a bag."""
    half = np.array([log_uniform(rng, 0.02, 0.11) for _ in range(3)])
    half = np.clip(half, 0.5 * half.max(), None)
    waves = rng.normal(size=(6, 3)) * rng.uniform(1.0, 5.0)
    phase = rng.uniform(0.0, 2.0 * np.pi, size=6)
    amplitude = rng.uniform(0.03, 0.12)
    exponent = rng.uniform(2.0, 6.0)

    def displaced(p: NDArray[np.float64]) -> NDArray[np.float64]:
        norm = np.sum(np.abs(p) ** exponent, axis=1) ** (-1.0 / exponent)
        height = 1.0 + amplitude * np.sin(p @ waves.T + phase).mean(axis=1) * np.sqrt(6.0)
        return np.asarray(p * (norm * height)[:, None] * half)

    return Manifold.sphere(1.0, 32).warp_batch(displaced)


_PARTS: tuple[Callable[[np.random.Generator], Manifold], ...] = (
    box, box, cylinder, cylinder, cone, sphere, ellipsoid, ring, roll, prism,
)  # fmt: skip


def composed(rng: np.random.Generator) -> Manifold:
    """Two or three primitives that reach into one another."""
    parts = [_oriented(rng, _part(rng))]
    for _ in range(int(rng.integers(1, 3))):
        part = _oriented(rng, _part(rng))
        base = np.array(parts[-1].bounding_box()).reshape(2, 3)
        own = np.array(part.bounding_box()).reshape(2, 3)
        # The middle of a face of the new part's box lies just inside the box of the last one.
        axis = int(rng.integers(3))
        sign = 1.0 if rng.random() < 0.5 else -1.0
        shift = base.mean(axis=0) - own.mean(axis=0)
        reach = 0.5 * (np.ptp(base, axis=0)[axis] + np.ptp(own, axis=0)[axis])
        shift[axis] += sign * rng.uniform(0.75, 0.92) * reach
        others = [k for k in range(3) if k != axis]
        shift[others] += rng.uniform(-0.25, 0.25, size=2) * np.ptp(base, axis=0)[others]
        parts.append(part.translate(tuple(shift)))
    solid = joined(parts)
    pieces = solid.decompose()
    return max(pieces, key=lambda x: x.volume())


def _part(rng: np.random.Generator) -> Manifold:
    """Primitive of a middling size."""
    solid = _PARTS[int(rng.integers(len(_PARTS)))](rng)
    sides = np.ptp(np.array(solid.bounding_box()).reshape(2, 3), axis=0)
    size = float(np.clip(sides.max(), 0.04, 0.18) / sides.max())
    return solid.scale((size,) * 3)


def _oriented(rng: np.random.Generator, solid: Manifold) -> Manifold:
    """Turn a part, mostly by right angles."""
    if rng.random() < 0.75:
        return along(solid, _AXES[int(rng.integers(3))])
    turn = np.column_stack([random_rotation(rng), np.zeros(3)])
    return solid.transform(turn)
