"""Object transforms relative to another frame than the camera's; requires tf2_ros."""

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
    """The transform between two frames is not available at the time of an image."""


class TargetFrame:
    """Transforms the objects' transforms into a target frame.

    Args:
        node: node that subscribes to /tf.
        frame_id: target frame.
        timeout_s: longest wait for the transform at the time of an image, seconds.

    Raises:
        ConfigurationError: tf2_ros is not installed.
    """

    def __init__(self, node: Node, frame_id: str, timeout_s: float) -> None:
        if stand_ins.tf2_ros is None:
            raise ConfigurationError(
                f"parameter target_frame is '{frame_id}', which needs tf2_ros: install it (it is "
                "part of a ROS 2 installation), or leave target_frame empty and transform the "
                "poses in the node that receives them"
            )
        self.frame_id = frame_id
        self._timeout = Duration(seconds=timeout_s)
        # Without node=: it would add a service and a clock callback that are never removed.
        self._buffer = stand_ins.tf2_ros.Buffer()
        self._listener = stand_ins.tf2_ros.TransformListener(self._buffer, node)

    def forget(self) -> None:
        """Drop all buffered transforms after time jumped back. Static transforms stay."""
        self._buffer.clear()

    def close(self) -> None:
        """Destroy the subscriptions."""
        self._listener.unregister()

    def __call__(self, transforms: list[TransformStamped]) -> list[TransformStamped]:
        """Return the transforms with the target frame as their parent.

        Raises:
            TransformMissingError: there is no transform from the camera frame to the target frame
                at that time.
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
                f"/tf: no transform from '{header.frame_id}' to '{self.frame_id}' at the time of "
                f"the image ({error}): expected one within transform_timeout_s; the objects of "
                "this image are not published on /tf"
            ) from error
        return transform_arrays(found.transform)
