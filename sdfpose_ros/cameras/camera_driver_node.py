"""The camera driver: publishes the images of a camera as realsense2_camera does."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from numpy.typing import NDArray
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CameraInfo, Image
from tf2_msgs.msg import TFMessage

from sdfpose_core.cameras.camera import (
    CameraDescription,
    CameraSettings,
    Distortion,
    RgbdCamera,
    RgbdImages,
)
from sdfpose_core.cameras.errors import RecordingEndedError
from sdfpose_core.cameras.makers import open_camera
from sdfpose_core.cameras.rectification import Rectifier
from sdfpose_core.cameras.supervision import SupervisedCamera
from sdfpose_core.messages.encoding import millimetres
from sdfpose_core.messages.factory import header_message
from sdfpose_ros.cameras.frames import colour_frame, static_transforms
from sdfpose_ros.cameras.health import camera_status
from sdfpose_ros.cameras.parameters import CameraDriverParameters, camera_settings
from sdfpose_ros.graph.image_messages import camera_info_message, image_message
from sdfpose_ros.graph.message_factory import ros_message
from sdfpose_ros.graph.parameters import declare
from sdfpose_ros.graph.process import run_node
from sdfpose_ros.graph.topics import CAMERA_DRIVER, DRIVER_TOPICS

__all__ = ["CameraDriverNode", "main"]

_QOS = QoSProfile(depth=5)
"""Reliable, which is compatible with reliable and best-effort subscribers."""

_STATIC_QOS = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
_WATCH_S = 1.0
_STOP_S = 5.0
"""Longest wait for the thread that reads; it looks up at each image or timeout."""


class CameraDriverNode(Node):
    """Publishes colour, registered depth, their intrinsics, frames and health of a camera.

    A camera that is unplugged is waited for; the node goes on. At the end of a recording, the
    process ends.

    Args:
        open_kind: opens a camera of a kind.
        options: further arguments of `rclpy.node.Node`.

    Raises:
        CameraError: there is no camera, or it cannot be used.
        ConfigurationError: its package is not installed, or a parameter is invalid.
    """

    def __init__(
        self, open_kind: Callable[[str, CameraSettings], RgbdCamera] = open_camera, **options: Any
    ) -> None:
        namespace, _, name = CAMERA_DRIVER.rpartition("/")
        super().__init__(name, namespace=namespace, **options)
        self._settings = declare(self, CameraDriverParameters)
        self._prefix = self._settings.camera_name or self.get_name()
        self._images = {
            role: self.create_publisher(
                CameraInfo if role.endswith("info") else Image, f"~/{topic}", _QOS
            )
            for role, topic in DRIVER_TOPICS.items()
        }
        self._frames = self.create_publisher(TFMessage, "/tf_static", _STATIC_QOS)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self._described: CameraDescription | None = None
        self._rectify: Callable[[RgbdImages], RgbdImages] | None = None
        self._failure: Exception | None = None
        self._stopped = threading.Event()
        self._camera = SupervisedCamera(
            partial(open_kind, self._settings.camera, camera_settings(self._settings)),
            self.get_logger(),
            self._stopped.wait,
            self._settings.timeout_s,
        )
        self._camera.start(wait=self._settings.wait_for_camera)
        self._counts, self._watched_s = self._camera.counts, time.monotonic()
        self.create_timer(_WATCH_S, self._watch, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self._thread = threading.Thread(target=self._run, name="camera", daemon=True)
        self._thread.start()

    def destroy_node(self) -> None:
        """Stop the camera, then destroy the node."""
        self._stopped.set()
        self._thread.join(_STOP_S)
        self._camera.close()
        super().destroy_node()

    def _run(self) -> None:
        """Read and publish until the node is destroyed; a failure is raised by the timer."""
        try:
            while self._running():
                images = self._camera.read()
                if images is not None and self._running():
                    self._publish(images)
        except Exception as error:
            if self._running():  # else an interrupt took the publishers away
                self._failure = error

    def _running(self) -> bool:
        return not self._stopped.is_set() and self.context.ok()

    def _watch(self) -> None:
        if isinstance(self._failure, RecordingEndedError):
            self.get_logger().info(f"{self._failure}: exiting")
            raise SystemExit(0)
        if self._failure is not None:
            raise self._failure
        counts, now_s = self._camera.counts, time.monotonic()
        status = camera_status(
            self.get_fully_qualified_name(),
            self._camera.description,
            self._camera.problem,
            counts,
            self._counts,
            now_s - self._watched_s,
        )
        self._counts, self._watched_s = counts, now_s
        array = DiagnosticArray(status=[status])
        array.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(array)

    def _publish(self, images: RgbdImages) -> None:
        camera = self._camera.description
        assert camera is not None
        if camera is not self._described:
            self._describe(camera)
        if self._rectify is not None:
            images = self._rectify(images)
        header = header_message(ros_message, images.stamp_ns, colour_frame(self._prefix))
        # Serialisation takes most of the time: nothing is sent that nobody hears.
        if self._images["colour"].get_subscription_count():
            self._images["colour"].publish(image_message(images.colour, "rgb8", header))
        if self._images["depth"].get_subscription_count():
            encoding = self._settings.depth_encoding
            self._images["depth"].publish(
                image_message(_encoded(images, encoding), encoding, header)
            )
        distortion = Distortion() if self._settings.rectify else camera.distortion
        info = camera_info_message(camera.camera, header, distortion.model, distortion.coefficients)
        self._images["camera_info"].publish(info)
        self._images["depth_info"].publish(info)

    def _describe(self, camera: CameraDescription) -> None:
        """Prepare for a camera that is new, or came back with other settings."""
        self._described, self._rectify = camera, None
        if self._settings.rectify and not camera.distortion.is_zero:
            self._rectify = Rectifier(camera.camera, camera.distortion)
        transforms = static_transforms(self._prefix, camera)
        self._frames.publish(TFMessage(transforms=transforms))


def _encoded(images: RgbdImages, encoding: str) -> NDArray[Any]:
    """Depth in the unit of an encoding (REP-118)."""
    if encoding == "16UC1" and np.isclose(images.depth_unit_m, 0.001, rtol=1e-6):
        return images.depth
    metres = images.depth * np.float32(images.depth_unit_m)
    return millimetres(metres) if encoding == "16UC1" else metres


def main(args: Sequence[str] | None = None) -> int:
    """Run the camera driver."""
    return run_node(CameraDriverNode, args)


if __name__ == "__main__":
    sys.exit(main())
