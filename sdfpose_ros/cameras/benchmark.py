"""Frames that the camera driver loses, and what it costs, with a RealSense of software."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image

from sdfpose_core.errors import SdfposeError
from sdfpose_core.messages.interfaces import stamp_ns
from sdfpose_ros.graph.arguments import parameter_arguments
from sdfpose_ros.graph.process_group import ProcessGroup, ros_child_environment
from sdfpose_ros.graph.startup import STARTUP_S
from sdfpose_ros.graph.topics import CAMERA_DRIVER, DRIVER_TOPICS, topic_of

__all__ = ["CameraBenchmark", "CameraBenchmarkError", "benchmark_camera"]

_WARM_UP_S = 2.0
_QOS = QoSProfile(depth=10)


class CameraBenchmarkError(SdfposeError):
    """The camera driver ended, or sent no images."""


@dataclass(frozen=True)
class CameraBenchmark:
    """Options of the benchmark.

    Attributes:
        width, height: size of the images, pixels.
        rate_hz: images per second.
        seconds: duration of the measurement.
        domain: ROS domain.
        log_dir: folder for the log of the driver.
    """

    width: int
    height: int
    rate_hz: float
    seconds: float
    domain: int
    log_dir: Path


def benchmark_camera(options: CameraBenchmark) -> dict[str, Any]:
    """Measure the driver as a process of its own, with this process as its subscriber.

    Returns:
        ``frames`` that came, ``lost_colour`` and ``lost_depth`` between them, ``rate_hz``,
        ``cpu_percent`` of one core, of the driver's process, which feeds its device as well, and
        ``rss_mib`` of that process.

    Raises:
        CameraBenchmarkError: the driver ended or sent no images.
    """
    context = Context()
    rclpy.init(args=[], context=context, domain_id=options.domain)
    environment = ros_child_environment({"ROS_DOMAIN_ID": str(options.domain)})
    try:
        with ProcessGroup(options.log_dir, environment) as group:
            child = group.start_node(
                "camera",
                "sdfpose_ros.cameras.software_driver",
                [
                    "--ros-args",
                    *parameter_arguments(
                        width=options.width, height=options.height, rate_hz=options.rate_hz
                    ),
                ],
            )
            receiver = _Receiver(context)
            receiver.wait_for_images(group)
            receiver.spin(_WARM_UP_S)
            receiver.forget()
            process = psutil.Process(child.pid)
            before_s, started_s = _cpu_s(process), time.monotonic()
            receiver.spin(options.seconds)
            elapsed_s = time.monotonic() - started_s
            cpu = (_cpu_s(process) - before_s) / elapsed_s
            memory = process.memory_info().rss / 2**20
            return {
                **receiver.figures(options.rate_hz),
                "cpu_percent": 100.0 * cpu,
                "rss_mib": memory,
            }
    finally:
        context.try_shutdown()


class _Receiver:
    """Subscribes to colour and depth of the driver."""

    def __init__(self, context: Context) -> None:
        self._node = Node("camera_benchmark", context=context)
        self._executor = SingleThreadedExecutor(context=context)
        self._executor.add_node(self._node)
        self._stamps: dict[str, list[int]] = {"colour": [], "depth": []}
        for role, stamps in self._stamps.items():
            self._node.create_subscription(
                Image,
                topic_of(CAMERA_DRIVER, DRIVER_TOPICS[role]),
                lambda message, stamps=stamps: stamps.append(stamp_ns(message.header)),
                _QOS,
            )

    def spin(self, seconds: float) -> None:
        """Receive for this long."""
        end_s = time.monotonic() + seconds
        while (rest_s := end_s - time.monotonic()) > 0.0:
            self._executor.spin_once(timeout_sec=rest_s)

    def wait_for_images(self, group: ProcessGroup) -> None:
        """Wait for the first images.

        Raises:
            CameraBenchmarkError: there are none, or the driver ended.
        """
        end_s = time.monotonic() + STARTUP_S
        while not all(self._stamps.values()):
            self.spin(0.2)
            if group.ended() or time.monotonic() > end_s:
                raise CameraBenchmarkError(
                    f"the camera driver sends no images: {group.last_words('camera')}"
                )

    def forget(self) -> None:
        """Forget what came until now."""
        for stamps in self._stamps.values():
            stamps.clear()

    def figures(self, rate_hz: float) -> dict[str, Any]:
        """What came; a frame is lost if its stamp is missing between two others.

        Raises:
            CameraBenchmarkError: nothing came.
        """
        colour, depth = self._stamps["colour"], self._stamps["depth"]
        if min(len(colour), len(depth)) < 2:
            raise CameraBenchmarkError("the camera driver sends no images any more")
        seconds = 1e-9 * (max(colour) - min(colour))
        return {
            "frames": len(colour),
            "lost_colour": _missing(colour, rate_hz),
            "lost_depth": _missing(depth, rate_hz),
            "rate_hz": (len(colour) - 1) / seconds,
        }


def _missing(stamps_ns: list[int], rate_hz: float) -> int:
    """Number of stamps that are missing between the first and the last one."""
    return round(1e-9 * (max(stamps_ns) - min(stamps_ns)) * rate_hz) + 1 - len(stamps_ns)


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
