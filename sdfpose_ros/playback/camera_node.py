"""The camera node: publishes RGB-D frames, masks and ground truth, simulated or from folders."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile
from sdfpose.msg import InstanceLabels, SdfObjectArray
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from sdfpose_core.categories import default_categories
from sdfpose_core.errors import ConfigurationError
from sdfpose_core.observation.frame import GroundTruth, RgbdFrame
from sdfpose_ros.graph.image_messages import frame_messages
from sdfpose_ros.graph.object_messages import ground_truth_message
from sdfpose_ros.graph.parameters import declare
from sdfpose_ros.graph.process import run_node
from sdfpose_ros.playback.parameters import CameraNodeParameters
from sdfpose_ros.playback.sources import (
    folder_frames,
    forth_and_back,
    only_categories,
    simulated_frames,
)

__all__ = ["CameraNode", "FrameSource", "main", "make_source"]

FrameSource = Iterator[tuple[RgbdFrame, Sequence[GroundTruth]]]

_TYPES: Mapping[str, type] = {
    "camera_info": CameraInfo,
    "labels": InstanceLabels,
    "colour": Image,
    "depth": Image,
    "mask": Image,
}

_IMAGES = ("colour", "depth", "mask")

_SETTLE_S = 0.5

_QOS = QoSProfile(depth=5)
"""Reliable: it serves subscribers of both kinds."""


def make_source(parameters: CameraNodeParameters, warn: Callable[[str], object]) -> FrameSource:
    """The frames that the parameters ask for.

    Args:
        parameters: say which.
        warn: told of frames that cannot be read.

    Raises:
        SdfposeError: there are none.
    """
    frames: FrameSource
    if parameters.folders:
        frames = folder_frames(parameters.folders, loop=parameters.loop, warn=warn)
    else:
        frames = simulated_frames(
            seed=parameters.seed,
            width=parameters.width,
            rate_hz=parameters.rate_hz,
            turn_s=parameters.turn_s,
            loop=parameters.loop,
        )
    if parameters.categories:
        unknown = set(parameters.categories) - set(default_categories())
        if unknown:
            raise ConfigurationError(
                f"parameter categories: {', '.join(sorted(unknown))}: expected some of "
                f"{', '.join(default_categories())}"
            )
        frames = only_categories(frames, parameters.categories)
    return forth_and_back(frames, parameters.prerender) if parameters.prerender else frames


class CameraNode(Node):
    """An RGB-D camera with a perfect detector: ``~/colour``, ``~/depth``, ``~/mask``,
    ``~/camera_info``, ``~/labels`` and, for those who evaluate, ``~/ground_truth``.

    Args:
        source: makes the source of frames; the node ends the process after the last one.
        name: the node's name.
        options: further arguments of `rclpy.node.Node`.
    """

    def __init__(
        self,
        source: Callable[
            [CameraNodeParameters, Callable[[str], object]], FrameSource
        ] = make_source,
        *,
        name: str = "camera",
        **options: Any,
    ) -> None:
        super().__init__(name, **options)
        self._settings = declare(self, CameraNodeParameters)
        self._frames = source(self._settings, self.get_logger().warning)
        self._publishers_by_name: dict[str, Publisher[Any]] = {
            name: self.create_publisher(kind, f"~/{name}", _QOS) for name, kind in _TYPES.items()
        }
        self._truth = self.create_publisher(SdfObjectArray, "~/ground_truth", _QOS)
        # Of the frames that come again and again.
        self._made: dict[int, dict[str, Any]] = {}
        self._waits_until_s = time.monotonic() + self._settings.wait_s
        self.create_timer(
            1.0 / self._settings.rate_hz,
            self._publish_next,
            clock=Clock(clock_type=ClockType.STEADY_TIME),
        )

    def _publish_next(self) -> None:
        if time.monotonic() < self._waits_until_s:
            if not all(self._publishers_by_name[name].get_subscription_count() for name in _IMAGES):
                return
            # The first messages would be lost to subscriptions that are not yet set up on both
            # sides.
            self._waits_until_s = 0.0
            time.sleep(_SETTLE_S)
        item = next(self._frames, None)
        if item is None:
            self.get_logger().info("the last frame was published")
            raise SystemExit(0)
        # The camera's exposure is where stamps come from; everything else copies them.
        stamp = self.get_clock().now().to_msg()
        self.publish(*item, Header(stamp=stamp, frame_id=self._settings.frame_id))

    def publish(
        self, frame: RgbdFrame, ground_truth: Sequence[GroundTruth], header: Header
    ) -> None:
        """Publish one frame with everything that belongs to it."""
        truth = [ground_truth_message(item, header) for item in ground_truth]
        self._truth.publish(SdfObjectArray(header=header, objects=truth))
        messages = self._made.get(id(frame))
        if messages is None:
            messages = frame_messages(frame, header, self._settings.depth_encoding)
            if self._settings.prerender:
                self._made[id(frame)] = messages
        for message in messages.values():
            message.header = header
        for name, publisher in self._publishers_by_name.items():
            publisher.publish(messages[name])


def main(args: Sequence[str] | None = None) -> int:
    """Run the camera node."""
    return run_node(CameraNode, args)


if __name__ == "__main__":
    sys.exit(main())
