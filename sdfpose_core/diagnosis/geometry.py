"""Check of the intrinsics against the size of the image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sdfpose_core.diagnosis.findings import Finding
from sdfpose_core.diagnosis.sample import CameraView
from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.observation.intrinsics import principal_point_problem

__all__ = ["check_intrinsics"]

_FIELD_OF_VIEW_DEG = (20.0, 130.0)
"""Horizontal fields of view of cameras with a pinhole model."""

_SQUARE = 1.1
"""Largest ratio of the focal lengths: pixels are square."""


def check_intrinsics(views: Sequence[CameraView]) -> Finding | None:
    """Check that the intrinsics are those of the images; None without intrinsics.

    Args:
        views: moments to look at; the first one that has intrinsics counts.
    """
    view = next((x for x in views if x.camera is not None), None)
    if view is None or view.camera is None:
        return None
    camera, image = view.camera, view.colour if view.colour is not None else view.depth
    of_the_image = "use the camera info that the driver publishes for this image and resolution"
    if image is not None and image.shape[:2] != (camera.height, camera.width):
        return Finding(
            "fault",
            "intrinsics",
            f"they are those of {camera.width}x{camera.height} pixels, and the image has "
            f"{image.shape[1]}x{image.shape[0]}",
            of_the_image,
        )
    calibrated = view.calibrated or camera
    problem = principal_point_problem(calibrated)
    if problem is not None:
        return Finding("fault", "intrinsics", problem, of_the_image)
    angle = field_of_view_deg(camera)
    text = f"horizontal field of view {angle:.0f} degrees, {camera.width}x{camera.height} pixels"
    low, high = _FIELD_OF_VIEW_DEG
    if not low <= angle <= high:
        return Finding("warning", "intrinsics", text, f"check the focal length; {of_the_image}")
    ratio = max(calibrated.fx, calibrated.fy) / min(calibrated.fx, calibrated.fy)
    if ratio > _SQUARE:
        return Finding(
            "warning",
            "intrinsics",
            f"the focal lengths differ: fx {calibrated.fx:.0f}, fy {calibrated.fy:.0f} pixels",
            f"check the calibration; {of_the_image}",
        )
    return Finding("ok", "intrinsics", text)


def field_of_view_deg(camera: PinholeCamera) -> float:
    """Return the horizontal field of view, degrees."""
    left, right = -0.5 - camera.cx, camera.width - 0.5 - camera.cx
    return float(np.degrees(np.arctan(right / camera.fx) - np.arctan(left / camera.fx)))
