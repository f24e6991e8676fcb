"""Fruit, vegetables and other food as distractors."""

from __future__ import annotations

import numpy as np
from manifold3d import Manifold
from numpy.typing import NDArray

from sdfpose_core.simulation.distractors.parts import (
    along,
    joined,
    log_uniform,
    rod,
    swept,
    turned,
)

__all__ = ["apple", "banana", "carrot", "loaf", "pear", "pumpkin"]


def banana(rng: np.random.Generator) -> Manifold:
    """Banana, cucumber or sausage; some are a bunch."""
    length, thick = log_uniform(rng, 0.1, 0.22), log_uniform(rng, 0.022, 0.04)
    bend = length * rng.uniform(0.05, 0.4)
    path = ((-0.5 * length, 0.0), (-0.2 * length, bend), (0.2 * length, bend), (0.5 * length, 0.0))
    stalk = rng.uniform(0.15, 0.35)
    section = thick * np.array([stalk, stalk, 0.85, 1.0, 1.0, 0.85, 0.25])
    exponent = float(rng.uniform(1.7, 2.2))
    one = swept(path, section, section * 0.95, exponent=exponent).rotate((90.0, 0.0, 0.0))
    if rng.random() < 0.75:
        return one
    stem = np.array([-0.5 * length, 0.0, 0.0])
    turn = float(rng.uniform(12.0, 22.0))
    bunch = [
        one.translate(tuple(-stem)).rotate((0.0, i * turn, i * 4.0))
        for i in range(int(rng.integers(2, 5)))
    ]
    return joined(bunch)


def _outline(rng: np.random.Generator, neck: float) -> NDArray[np.float64]:
    """Outline (N, 2) of a fruit of unit radius; a neck above 0 makes a pear."""
    angle = np.linspace(-0.5 * np.pi, 0.5 * np.pi, 17)
    height = rng.uniform(0.8, 1.15)
    radius = np.cos(angle) * (1.0 - neck * np.clip(np.sin(angle), 0.0, 1.0))
    y = height * np.sin(angle) * (1.0 + 0.9 * neck * (angle > 0.0))
    dent = rng.uniform(0.05, 0.25)
    y += np.where(np.abs(angle) > 1.0, -np.sign(angle) * dent * (1.0 - np.cos(angle)) ** 8, 0.0)
    return np.stack([np.maximum(radius, 0.02), y], axis=1)


def apple(rng: np.random.Generator) -> Manifold:
    """Apple, orange, tomato or plum with a stalk."""
    radius = log_uniform(rng, 0.02, 0.05)
    fruit = turned(radius * _outline(rng, 0.0))
    if rng.random() < 0.5:
        return fruit
    stalk = rod(0.04 * radius, 0.6 * radius).rotate((0.0, 0.0, float(rng.uniform(-25, 25))))
    return fruit + stalk.translate((0.0, 0.95 * radius, 0.0))


def pear(rng: np.random.Generator) -> Manifold:
    """Pear, avocado or pepper, standing."""
    radius = log_uniform(rng, 0.028, 0.05)
    return turned(radius * _outline(rng, float(rng.uniform(0.25, 0.6))))


def carrot(rng: np.random.Generator) -> Manifold:
    """Carrot, maize or radish, lying."""
    length, thick = log_uniform(rng, 0.08, 0.24), log_uniform(rng, 0.018, 0.05)
    bend = length * rng.uniform(-0.08, 0.08)
    path = ((0.0, 0.0), (0.3 * length, bend), (0.7 * length, bend), (length, 0.0))
    section = thick * np.array([0.5, 1.0, 0.85, 0.6, 0.15])
    return swept(path, section, section).rotate((90.0, 0.0, 0.0))


def pumpkin(rng: np.random.Generator) -> Manifold:
    """Pumpkin, pepper or cauliflower: a fruit with ribs."""
    radius = log_uniform(rng, 0.035, 0.11)
    ribs, depth = int(rng.integers(4, 10)), rng.uniform(0.05, 0.14)

    def ribbed(p: NDArray[np.float64]) -> NDArray[np.float64]:
        wave = 1.0 - depth * np.cos(0.5 * ribs * np.arctan2(p[:, 2], p[:, 0])) ** 4
        return np.asarray(p * np.stack([wave, np.ones_like(wave), wave], axis=1))

    fruit = turned(radius * _outline(rng, 0.0), segments=48).warp_batch(ribbed)
    stalk = rod(0.1 * radius, 0.7 * radius, 0.06 * radius)
    return fruit + stalk.translate((0.0, 0.85 * radius, 0.0))


def loaf(rng: np.random.Generator) -> Manifold:
    """Bread, potato or sweet: a long body with tapered ends."""
    length = log_uniform(rng, 0.06, 0.28)
    radius = length * rng.uniform(0.1, 0.3)
    outline = [[0.3 * radius, 0.0], [radius, 0.2 * length], [radius, 0.8 * length],
               [0.3 * radius, length]]  # fmt: skip
    body = along(turned(outline, 0.6 * radius), "x")
    return body.scale((1.0, float(rng.uniform(0.6, 1.0)), 1.0))
