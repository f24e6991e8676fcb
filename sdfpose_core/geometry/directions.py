"""Directions that are spread evenly."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["fibonacci_sphere"]


def fibonacci_sphere(count: int) -> NDArray[np.float32]:
    """Create evenly spread unit vectors (count, 3) (Gonzalez, Math. Geosciences 2010)."""
    i = np.arange(count) + 0.5
    y = 1.0 - 2.0 * i / count
    angle = np.pi * (1.0 + 5.0**0.5) * i
    radius = np.sqrt(1.0 - y * y)
    return np.stack([radius * np.cos(angle), y, radius * np.sin(angle)], axis=1).astype(np.float32)
