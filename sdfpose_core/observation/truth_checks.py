"""Plausibility of true poses: lengths in metres, in the camera's frame."""

from __future__ import annotations

import numpy as np

from sdfpose_core.categories import Categories
from sdfpose_core.observation.frame import MAX_DEPTH_M, GroundTruth, RgbdFrame, robust_centre

__all__ = ["truth_problem"]

_MAX_DISTANCE = 3.0
"""Largest plausible distance of an object's centre from its measured points, in median diagonals
of the category."""

_MIN_POINTS = 50


def truth_problem(
    truth: GroundTruth, categories: Categories, frame: RgbdFrame | None = None
) -> str | None:
    """Describe why a true pose seems wrong, for example in millimetres; None if it does not.

    Args:
        truth: the true pose.
        categories: known categories with their sizes; others are checked by distance only.
        frame: the frame that shows the object, if its mask ids are those of the truth.
    """
    distance = float(np.linalg.norm(truth.translation))
    if distance > MAX_DEPTH_M:
        return f"the true position is {distance:.4g} m from the camera: expected metres"
    category = categories.by_label(truth.category)
    if category is None:
        return None
    size = category.implausible_size(truth.scale)
    if size is not None:
        return f"the true size is {_numbers(truth.dimensions_m)}; {size}"
    v, u = np.nonzero((frame.mask == truth.mask_id) & (frame.depth > 0)) if frame else ((), ())
    if frame is None or len(u) < _MIN_POINTS:
        return None
    points = frame.camera.back_project(np.stack([u, v], axis=-1), frame.depth[v, u])
    middle = robust_centre(points)
    distance = float(np.linalg.norm(middle - truth.translation))
    if distance > _MAX_DISTANCE * category.diagonal_m:
        return (
            f"the true position {_numbers(truth.translation)} is {distance:.2f} m from the points "
            f"of its mask at {_numbers(middle)}: expected the centre of the object's box in the "
            "camera's optical frame (z forward, x right, y down), metres"
        )
    return None


def _numbers(values: np.ndarray) -> str:
    return "[" + ", ".join(f"{x:.3g}" for x in values) + "]"
