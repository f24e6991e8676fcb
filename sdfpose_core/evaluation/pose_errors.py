"""Pose errors as defined by the NOCS benchmark (Wang et al., CVPR 2019)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["WRONG_MODE_DEG", "rotation_error_deg", "translation_error_m"]

WRONG_MODE_DEG = 30.0
"""A larger rotation error is no imprecision: the pose belongs to another mode, degrees."""


def rotation_error_deg(
    rotation: ArrayLike, true_rotation: ArrayLike, symmetric_about_y: ArrayLike = False
) -> NDArray[np.float64]:
    """Compute the angle between two rotations, degrees, 0 to 180; arguments broadcast.

    For an object that is symmetric about y, it is the angle between the two y axes. Both angles
    are computed with atan2: the arc cosine in the benchmark's code loses half the digits near 0
    and is NaN if rounding raises its argument above 1. NaN in the input gives NaN, which is below
    no threshold.

    Args:
        rotation: (..., 3, 3), object to camera frame.
        true_rotation: (..., 3, 3), object to camera frame.
        symmetric_about_y: (...), whether yaw is undefined.
    """
    r, true = np.asarray(rotation, dtype=np.float64), np.asarray(true_rotation, dtype=np.float64)
    difference = np.swapaxes(r, -1, -2) @ true
    axis = np.stack(
        [
            difference[..., 2, 1] - difference[..., 1, 2],
            difference[..., 0, 2] - difference[..., 2, 0],
            difference[..., 1, 0] - difference[..., 0, 1],
        ],
        axis=-1,
    )
    # ||axis|| = 2 sin(angle), trace = 1 + 2 cos(angle)
    trace = np.trace(difference, axis1=-2, axis2=-1)
    full = np.arctan2(np.linalg.norm(axis, axis=-1), trace - 1.0)
    # The second column of the difference is the true y axis in the estimated object frame.
    y_axis = difference[..., :, 1]
    tilt = np.arctan2(np.hypot(y_axis[..., 0], y_axis[..., 2]), y_axis[..., 1])
    return np.degrees(np.where(np.asarray(symmetric_about_y, dtype=np.bool_), tilt, full))


def translation_error_m(translation: ArrayLike, true_translation: ArrayLike) -> NDArray[np.float64]:
    """Compute the distance (...), metres, between translations (..., 3); arguments broadcast."""
    difference = np.asarray(translation, dtype=np.float64) - np.asarray(
        true_translation, dtype=np.float64
    )
    return np.asarray(np.linalg.norm(difference, axis=-1))
