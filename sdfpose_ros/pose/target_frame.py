"""Poses in another frame than the camera's, where tf2_ros is installed."""

from __future__ import annotations

import numpy as np
from geometry_msgs.msg import TransformStamped
from numpy.typing import NDArray
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.time import Time
from std_msgs.msg import Header

from sdfpose_core.errors import ConfigurationError, SdfposeError
from sdfpose_core.messages.objects import transform_arrays
from sdfpose_ros import stand_ins
from sdfpose_ros.graph.object_messages import transform_message

__all__ = ["TargetFrame", "TransformMissingError"]


class TransformMissingError(SdfposeError):
    """There is no transform between two frames at the time of an image."""


class TargetFrame:
    """Turns the objects' transforms into those from another frame.

    Args:
        node: subscribes to /tf.
        frame_id: the other frame.
        timeout_s: how long to wait for the transform of an image's time, seconds.

    Raises:
        ConfigurationError: tf2_ros is not installed.
    """

    def __init__(self, node: Node, frame_id: str, timeout_s: float) -> None:
        if stand_ins.tf2_ros is None:
            raise ConfigurationError(
                f"parameter target_frame is '{frame_id}', which needs tf2_ros: install it (it is "
                "part of a ROS 2 installation), or leave target_frame empty and transform the "
                "poses in their receiver"
            )
        self.frame_id = frame_id
        self._timeout = Duration(seconds=timeout_s)
        # Not the node's: such a one keeps a service and a callback of the node's clock for ever.
        self._buffer = stand_ins.tf2_ros.Buffer()
        self._listener = stand_ins.tf2_ros.TransformListener(self._buffer, node)

    def forget(self) -> None:
        """Forget transforms of a time that came later; those of /tf_static stay."""
        self._buffer.clear()

    def close(self) -> None:
        """End the subscriptions."""
        self._listener.unregister()

    def __call__(self, transforms: list[TransformStamped]) -> list[TransformStamped]:
        """The same objects' transforms, with the target frame as their parent.

        Raises:
            TransformMissingError: the target frame is not connected to the camera's at that time.
        """
        if not transforms:
            return []
        header = transforms[0].header
        rotation, translation = self._camera_pose(header)
        target = Header(stamp=header.stamp, frame_id=self.frame_id)
        moved = []
        for transform in transforms:
            r, t = transform_arrays(transform.transform)
            moved.append(
                transform_message(
                    rotation @ r, rotation @ t + translation, target, transform.child_frame_id
                )
            )
        return moved

    def _camera_pose(self, header: Header) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        assert stand_ins.tf2_ros is not None
        try:
            found = self._buffer.lookup_transform(
                self.frame_id, header.frame_id, Time.from_msg(header.stamp), self._timeout
            )
        except stand_ins.tf2_ros.TransformException as error:
            raise TransformMissingError(
                f"/tf: no transform from '{header.frame_id}' to '{self.frame_id}' at the image's "
                f"time ({error}): expected one within the timeout; the objects' frames of this "
                "image are left out"
            ) from error
        return transform_arrays(found.transform)
