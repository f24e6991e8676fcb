"""Lookup of transforms in /tf."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.time import Time

from sdfpose_core.errors import SdfposeError
from sdfpose_core.messages.objects import transform_arrays
from sdfpose_ros import stand_ins
from sdfpose_ros.pose.parameters import PoseNodeParameters

__all__ = ["TransformBuffer", "TransformMissingError", "transform_buffer"]


class TransformMissingError(SdfposeError):
    """The transform between two frames is not available at the time of an image."""


class TransformBuffer:
    """The transforms of /tf.

    Args:
        node: node that subscribes to /tf.
        timeout_s: longest wait for the transform at the time of an image, seconds.
    """

    def __init__(self, node: Node, timeout_s: float) -> None:
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

    def lookup(
        self, target: str, source: str, stamp: Any
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Look up rotation (3, 3) and translation (3,), metres, from one frame to another.

        Args:
            target: frame of the results.
            source: frame of the arguments.
            stamp: builtin_interfaces/Time of the image.

        Raises:
            TransformMissingError: there is no such transform at that time.
        """
        try:
            found = self._buffer.lookup_transform(
                target, source, Time.from_msg(stamp), self._timeout
            )
        except stand_ins.tf2_ros.TransformException as error:
            raise TransformMissingError(
                f"/tf: no transform from '{source}' to '{target}' at the time of the image "
                f"({error}): expected one within transform_timeout_s"
            ) from error
        return transform_arrays(found.transform)


def transform_buffer(node: Node, parameters: PoseNodeParameters) -> TransformBuffer | None:
    """Listen to /tf if parameters need it."""
    frames = (parameters.target_frame, parameters.gravity_frame, parameters.world_frame)
    if not (any(frames) or parameters.use_imu or parameters.listen_to_tf):
        return None
    return TransformBuffer(node, parameters.transform_timeout_s)
