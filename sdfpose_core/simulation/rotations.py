"""Rotations for placing objects in the world."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["about", "random_rotation", "yaw"]


def about(axis: NDArray[np.float64], angle: float) -> NDArray[np.float64]:
    """Rotation (3, 3) about a unit axis (3,), radians (Rodrigues)."""
    x, y, z = axis
    k = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return np.eye(3) + np.sin(angle) * k + (1.0 - np.cos(angle)) * (k @ k)


def yaw(angle: float) -> NDArray[np.float64]:
    """Rotation (3, 3) about the world's y axis, radians."""
    return about(np.array([0.0, 1.0, 0.0]), angle)


def random_rotation(rng: np.random.Generator) -> NDArray[np.float64]:
    """Uniform random rotation (3, 3) from a uniform unit quaternion."""
    q = rng.normal(size=4)
    x, y, z, w = q / np.linalg.norm(q)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
