"""The pose of the camera in the world in a frame folder's `meta.json`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sdfpose_core.errors import FrameError
from sdfpose_core.observation.camera_pose import MeasuredCameraPose

__all__ = ["CAMERA_POSE", "camera_pose_entry", "camera_pose_of"]

CAMERA_POSE = "camera_pose"
"""Key of the pose, an object with ``R`` (3x3) and ``t`` (3), metres: x_world = R x_cam + t."""


def camera_pose_of(meta: Mapping[str, Any]) -> MeasuredCameraPose | None:
    """Read the pose; None if there is none.

    Raises:
        FrameError: the entry is no pose.
    """
    entry = meta.get(CAMERA_POSE)
    if entry is None:
        return None
    try:
        return MeasuredCameraPose(entry["R"], entry["t"])
    except (KeyError, TypeError, ValueError) as error:
        raise FrameError(
            f"{CAMERA_POSE} is {entry!r}: expected null, or R, 3x3, and t, 3 metres, from the "
            "camera's optical frame to the world"
        ) from error


def camera_pose_entry(pose: MeasuredCameraPose) -> dict[str, Any]:
    """The entry of a pose; its covariance is not kept."""
    return {"R": pose.rotation.tolist(), "t": pose.translation.tolist()}
