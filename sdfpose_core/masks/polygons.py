"""Rasterisation of the polygons that segmentation networks publish."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from sdfpose_core.errors import FrameError

__all__ = ["MIN_POINTS", "check_polygon", "polygon_mask"]

MIN_POINTS = 3
"""Fewer points enclose nothing."""


def check_polygon(points: NDArray[np.floating]) -> None:
    """Check the shape and the values of a polygon.

    Raises:
        FrameError: the array is not (N, 2) with at least `MIN_POINTS` points, or not finite.
    """
    shaped = points.ndim == 2 and points.shape[1] == 2 and len(points) >= MIN_POINTS
    if not shaped or not np.all(np.isfinite(points)):
        state = "not finite" if shaped else f"of shape {points.shape}"
        raise FrameError(
            f"polygon is {state}: expected at least {MIN_POINTS} finite points (u, v) in pixels"
        )


def polygon_mask(points: NDArray[np.floating], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Rasterise a polygon, its border included: the inverse of `cv2.findContours`.

    Args:
        points: (N, 2), (u, v), pixels, with pixel centres at integers; parts outside the image are
            ignored. Where the polygon overlaps itself, the even-odd rule holds.
        shape: (H, W) of the image.

    Returns:
        (H, W) mask.

    Raises:
        FrameError: the polygon is invalid, see `check_polygon`.
    """
    check_polygon(points)
    size = np.array(shape[::-1], dtype=np.float64)
    # OpenCV walks all rows between the vertices, also those outside the image.
    near = np.clip(points, -size, 2.0 * size)
    mask = np.zeros(shape, dtype=np.uint8)
    cv2.fillPoly(mask, [np.rint(near).astype(np.int32)], 1)
    return np.asarray(mask > 0)
