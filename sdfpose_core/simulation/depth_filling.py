"""Post-processing of depth cameras that fills holes, rightly or wrongly."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["filled"]


def filled(depth: NDArray[np.float32], widest_px: int, *, far: bool) -> NDArray[np.float32]:
    """Fill the small holes of a depth image from the measured pixels to the left and right.

    Holes on a surface get its depth; shadows beside objects become ramps or background.

    Args:
        depth: (H, W), metres, 0 = missing.
        widest_px: larger holes stay (in their middle), and those at the image's border.
        far: whether a hole takes the farther depth of its ends; otherwise the depth in between.
    """
    height, width = depth.shape
    valid = depth > 0.0
    size = (widest_px + 1) | 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    closed = cv2.morphologyEx(valid.astype(np.uint8), cv2.MORPH_CLOSE, kernel) > 0
    column = np.broadcast_to(np.arange(width), (height, width))
    left = np.maximum.accumulate(np.where(valid, column, -1), axis=1)
    right = np.minimum.accumulate(np.where(valid, column, width)[:, ::-1], axis=1)[:, ::-1]
    at = np.nonzero(closed & ~valid & (left >= 0) & (right < width))
    before, after = left[at], right[at]
    low, high = depth[at[0], before], depth[at[0], after]
    share = ((at[1] - before) / (after - before)).astype(np.float32)
    out = depth.copy()
    out[at] = np.maximum(low, high) if far else low + share * (high - low)
    return out
