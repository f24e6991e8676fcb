"""The camera node: publishes RGB-D frames, masks and ground truth, simulated or recorded."""

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
from sdfpose_core.observation.frame import GroundTruth, RgbdFrame, complete_ground_truth
from sdfpose_ros.graph.image_messages import frame_messages
from sdfpose_ros.graph.object_messages import ground_truth_message
from sdfpose_ros.graph.parameters import declare
from sdfpose_ros.graph.process import run_node
from sdfpose_ros.playback.parameters import CameraNodeParameters
from sdfpose_ros.playback.sources import (
    back_and_forth,
    folder_frames,
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
_OF_A_DETECTOR = ("mask", "labels")

_SETTLE_S = 0.5

_QOS = QoSProfile(depth=5)
"""Reliable, which is compatible with reliable and best-effort subscribers."""


def make_source(parameters: CameraNodeParameters, warn: Callable[[str], object]) -> FrameSource:
    """Create the source of frames that the parameters select.

    Args:
        parameters: parameters of the camera node.
        warn: called with a message for each frame that cannot be read.

    Raises:
        SdfposeError: there are no frames.
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
    return back_and_forth(frames, parameters.prerender) if parameters.prerender else frames


class CameraNode(Node):
    """An RGB-D camera with a perfect detector.

    Publishes ``~/colour``, ``~/depth``, ``~/camera_info``, ``~/ground_truth`` and, unless the
    parameter ``masks`` is false, ``~/mask`` and ``~/labels``.

    Args:
        source: creates the source of frames. The process ends after the last frame.
        name: node name.
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
            name: self.create_publisher(kind, f"~/{name}", _QOS)
            for name, kind in _TYPES.items()
            if self._settings.masks or name not in _OF_A_DETECTOR
        }
        self._truth = self.create_publisher(SdfObjectArray, "~/ground_truth", _QOS)
        # Messages of prerendered frames, by the id of the frame.
        self._message_cache: dict[int, dict[str, Any]] = {}
        self._prepared: tuple[RgbdFrame, Sequence[GroundTruth]] | None = None
        self._wait_deadline_s = time.monotonic() + self._settings.wait_s
        self.create_timer(
            1.0 / self._settings.rate_hz,
            self._publish_next,
            clock=Clock(clock_type=ClockType.STEADY_TIME),
        )

    def _publish_next(self) -> None:
        if self._prepared is None:  # before the wait: the subscribers load meanwhile
            self._prepared = next(self._frames, None)
        if time.monotonic() < self._wait_deadline_s:
            images = (x for name, x in self._publishers_by_name.items() if name in _IMAGES)
            if not all(x.get_subscription_count() for x in images):
                return
            # A subscription may not be set up on both sides yet: without a pause the first messages
            # would be lost.
            self._wait_deadline_s = 0.0
            time.sleep(_SETTLE_S)
        item, self._prepared = self._prepared, None
        if item is None:
            self.get_logger().info("the last frame was published: exiting")
            raise SystemExit(0)
        # The only place that creates a stamp; all others copy it from the image.
        stamp = self.get_clock().now().to_msg()
        self.publish(*item, Header(stamp=stamp, frame_id=self._settings.frame_id))

    def publish(
        self, frame: RgbdFrame, ground_truth: Sequence[GroundTruth], header: Header
    ) -> None:
        """Publish all messages of one frame; no ground truth if the frame has none."""
        truth = [
            ground_truth_message(item, header)
            for item in complete_ground_truth(frame, ground_truth)
        ]
        if truth:
            self._truth.publish(SdfObjectArray(header=header, objects=truth))
        messages = self._message_cache.get(id(frame))
        if messages is None:
            messages = frame_messages(frame, header, self._settings.depth_encoding)
            if self._settings.prerender:
                self._message_cache[id(frame)] = messages
        for message in messages.values():
            message.header = header
        for name, publisher in self._publishers_by_name.items():
            publisher.publish(messages[name])


def main(args: Sequence[str] | None = None) -> int:
    """Run the camera node."""
    return run_node(CameraNode, args)


if __name__ == "__main__":
    sys.exit(main())
