"""Estimates in the frame in which objects are tracked: the world, or the camera's if it is unknown.

Without a camera pose, all functions return the estimate as it is.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.observation.camera_pose import MeasuredCameraPose
from sdfpose_core.observation.frame import ObjectEstimate
from sdfpose_core.tracking.motion import moved

__all__ = ["in_camera", "in_world", "place_sd_m"]


def in_world(estimate: ObjectEstimate, camera: MeasuredCameraPose | None) -> ObjectEstimate:
    """The estimate in the world; the camera's uncertainty adds to its covariance.

    Args:
        estimate: in the camera frame.
        camera: pose of the camera in the world.
    """
    if camera is None:
        return estimate
    covariance = estimate.covariance + camera.covariance_at(estimate.translation)
    return moved(replace(estimate, covariance=covariance), camera.rotation, camera.translation)


def in_camera(estimate: ObjectEstimate, camera: MeasuredCameraPose | None) -> ObjectEstimate:
    """The estimate in the camera frame, as uncertain as in the world.

    Args:
        estimate: in the world.
        camera: pose of the camera in the world.
    """
    if camera is None:
        return estimate
    back = camera.rotation.T
    return moved(estimate, back, -back @ camera.translation)


def place_sd_m(
    covariance: NDArray[np.float64], place: NDArray[np.float64], camera: MeasuredCameraPose | None
) -> float:
    """Largest standard deviation of a predicted place as the camera sees it, metres.

    Args:
        covariance: (3, 3) of the place, square metres.
        place: (3,), metres, camera frame.
        camera: pose of the camera in the world.
    """
    if camera is not None:
        seen = camera.covariance_at(place)[:3, :3]
        covariance = covariance + camera.rotation @ seen @ camera.rotation.T
    return float(np.sqrt(np.linalg.eigvalsh(covariance)[-1]))
