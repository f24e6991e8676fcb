"""Pose of the camera in the world at the time of an image, from /tf."""

from __future__ import annotations

import math

import numpy as np
from std_msgs.msg import Header

from sdfpose_core.messages.interfaces import stamp_ns
from sdfpose_core.observation.camera_pose import MeasuredCameraPose
from sdfpose_ros.graph.throttle import ThrottledLog
from sdfpose_ros.pose.transforms import TransformBuffer

__all__ = ["WorldFrame"]

_JUMP_M, _JUMP_DEG = 0.1, 10.0
"""Changes of the camera's pose from one image to the next that are larger than this..."""

_JUMP_M_S, _JUMP_DEG_S = 3.0, 300.0
"""...and faster than this are no motion of an arm."""


class WorldFrame:
    """Finds the pose of the camera in the world.

    Args:
        transforms: those of /tf.
        frame_id: the world.
        translation_sd_m: standard deviation of the camera's place along each axis, metres.
        rotation_sd_deg: standard deviation of its rotation about each axis, degrees.
        log: receives a warning if the pose jumps.
    """

    def __init__(
        self,
        transforms: TransformBuffer,
        frame_id: str,
        translation_sd_m: float,
        rotation_sd_deg: float,
        log: ThrottledLog,
    ) -> None:
        self._transforms = transforms
        self._frame_id = frame_id
        self._covariance = MeasuredCameraPose.covariance_of(
            translation_sd_m, math.radians(rotation_sd_deg)
        )
        self._log = log
        self._last: dict[str, tuple[int, MeasuredCameraPose]] = {}

    def __call__(self, header: Header) -> MeasuredCameraPose:
        """Return the pose of the camera at the time of an image.

        Raises:
            TransformMissingError: /tf does not tell it.
        """
        rotation, translation = self._transforms.lookup(
            self._frame_id, header.frame_id, header.stamp
        )
        pose = MeasuredCameraPose(rotation, translation, self._covariance)
        now_ns, last = stamp_ns(header), self._last.get(header.frame_id)
        if last is not None and now_ns > last[0]:
            self._check(last[1], pose, 1e-9 * (now_ns - last[0]))
        self._last[header.frame_id] = now_ns, pose
        return pose

    def _check(self, before: MeasuredCameraPose, now: MeasuredCameraPose, seconds: float) -> None:
        """Warn if the pose has changed more than an arm can move."""
        metres = float(np.linalg.norm(now.translation - before.translation))
        degrees = math.degrees(now.angle_to(before))
        if metres > max(_JUMP_M, _JUMP_M_S * seconds) or degrees > max(
            _JUMP_DEG, _JUMP_DEG_S * seconds
        ):
            self._log.warning(
                (WorldFrame, "jump"),
                f"/tf: the camera jumps by {metres:.2f} m and {degrees:.0f} degrees in "
                f"'{self._frame_id}' within {seconds:.2f} s; the objects are looked for where they "
                "stood: expected a world_frame in which the robot moves continuously, such as "
                "base_link or odom, not one that a localisation corrects, such as map",
            )
