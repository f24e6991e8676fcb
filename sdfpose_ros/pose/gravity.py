"""Direction of gravity in the camera frame, from /tf or an IMU."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node
from sensor_msgs.msg import Imu
from std_msgs.msg import Header

from sdfpose_core.errors import SdfposeError
from sdfpose_core.messages.interfaces import normalise_frame_id, stamp_ns
from sdfpose_core.observation.gravity import GravityFilter
from sdfpose_ros.graph.subscriptions import InputSubscriptions
from sdfpose_ros.graph.throttle import ThrottledLog
from sdfpose_ros.pose.transforms import TransformBuffer, TransformMissingError

__all__ = ["Gravity", "ImuSilentError"]

Source = Callable[[Header], NDArray[np.float64]]


class ImuSilentError(SdfposeError):
    """The IMU says nothing of gravity at the time of an image."""


class Gravity:
    """Finds the direction against gravity at the time of an image.

    A frame whose z axis points up comes before the IMU, which is used if that frame is unknown.

    Args:
        node: node that subscribes.
        transforms: those of /tf, None if no source needs them.
        frame_id: frame whose z axis points up; empty for none.
        use_imu: whether to subscribe to ``~/imu``.
        log: receives a warning if a source is not used.
    """

    def __init__(
        self,
        node: Node,
        transforms: TransformBuffer | None,
        frame_id: str,
        log: ThrottledLog,
        *,
        use_imu: bool,
    ) -> None:
        self._transforms = transforms
        self._frame_id = frame_id
        self._log = log
        self._topic = node.resolve_topic_name("~/imu")
        self._imu = GravityFilter()
        self._imu_frame = ""
        self._lock = threading.Lock()  # images are processed in another thread
        self._sources: list[Source] = [self._from_frame] if frame_id else []
        self._subscriptions: InputSubscriptions | None = None
        if use_imu:
            self._sources.append(self._from_imu)
            self._subscriptions = InputSubscriptions(node)
            self._subscriptions.add(Imu, self._topic).registerCallback(self._take)

    def close(self) -> None:
        """Destroy the subscription."""
        if self._subscriptions is not None:
            self._subscriptions.close()

    def __call__(self, header: Header) -> NDArray[np.float64] | None:
        """Return the unit vector (3,) against gravity in the frame of an image; None if unknown."""
        for number, source in enumerate(self._sources, start=1):
            instead = "the IMU is tried" if number < len(self._sources) else "gravity is not used"
            try:
                return source(header)
            except (ImuSilentError, TransformMissingError) as error:
                self._log.warning((Gravity, source.__name__), f"{error}; {instead}")
        return None

    def forget(self) -> None:
        """Forget the accelerations: time jumped back."""
        with self._lock:
            self._imu = GravityFilter()

    def _from_frame(self, header: Header) -> NDArray[np.float64]:
        assert self._transforms is not None
        rotation, _ = self._transforms.lookup(header.frame_id, self._frame_id, header.stamp)
        return rotation[:, 2]

    def _from_imu(self, header: Header) -> NDArray[np.float64]:
        with self._lock:
            up, frame_id = self._imu.up(stamp_ns(header)), self._imu_frame
        if up is None:
            raise ImuSilentError(
                f"{self._topic}: no acceleration of about 9.81 m/s² in the second before the "
                "image: expected sensor_msgs/Imu with the stamps of the camera's clock, at rest or "
                "in slow motion"
            )
        if frame_id == header.frame_id:
            return up
        assert self._transforms is not None
        rotation, _ = self._transforms.lookup(header.frame_id, frame_id, header.stamp)
        return rotation @ up

    def _take(self, message: Imu) -> None:
        x = message.linear_acceleration
        frame_id = normalise_frame_id(message)
        with self._lock:
            if frame_id != self._imu_frame:
                self._imu, self._imu_frame = GravityFilter(), frame_id
            if message.linear_acceleration_covariance[0] != -1.0:  # no accelerometer
                self._imu.add(np.array([x.x, x.y, x.z]), stamp_ns(message.header))
