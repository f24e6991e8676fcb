"""Smooth random fields on images."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["quantile", "smooth_noise"]


def smooth_noise(
    shape: tuple[int, ...], wavelength_px: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Draw smooth noise of unit variance.

    Args:
        shape: (H, W), pixels.
        wavelength_px: correlation length, pixels.
        rng: source of all random draws.

    Returns:
        (H, W) float32.
    """
    height, width = shape
    step = max(wavelength_px, 1.0)
    if step == 1.0:
        return rng.standard_normal((height, width), dtype=np.float32)
    rows, columns = int(height / step) + 3, int(width / step) + 3
    coarse = rng.standard_normal((rows, columns), dtype=np.float32)
    # A random phase keeps the lattice from lying at the same pixels in every image.
    phase = rng.uniform(0.5, 1.5, size=2)
    motion = np.array([[1.0 / step, 0.0, phase[0]], [0.0, 1.0 / step, phase[1]]])
    field = cv2.warpAffine(
        coarse,
        motion,
        (width, height),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REFLECT,
    )
    # Linear interpolation at random phases keeps (2/3)^2 of the variance on average.
    return np.asarray(field * np.float32(1.5), dtype=np.float32)


def quantile(field: NDArray[np.float32], share: float) -> float:
    """Quantile of a smooth field, computed from every fourth pixel."""
    return float(np.quantile(field[::4, ::4], share))
