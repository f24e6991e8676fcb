"""Publishers of the frames of one camera."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile
from sdfpose.msg import InstanceLabels, SdfObjectArray
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from sdfpose_core.observation.frame import GroundTruth, RgbdFrame, complete_ground_truth
from sdfpose_ros.graph.image_messages import frame_messages
from sdfpose_ros.graph.object_messages import ground_truth_message
from sdfpose_ros.playback.parameters import CameraNodeParameters

__all__ = ["FramePublisher"]

_TYPES: Mapping[str, type] = {
    "camera_info": CameraInfo,
    "labels": InstanceLabels,
    "colour": Image,
    "depth": Image,
    "mask": Image,
}

_IMAGES = ("colour", "depth", "mask")
_OF_A_DETECTOR = ("mask", "labels")

_QOS = QoSProfile(depth=5)
"""Reliable, which is compatible with reliable and best-effort subscribers."""


class FramePublisher:
    """Publishes the frames of a camera, and their true poses.

    Args:
        node: node that publishes.
        prefix: of the topics, such as ``~``.
        settings: parameters of the camera node.
    """

    def __init__(self, node: Node, prefix: str, settings: CameraNodeParameters) -> None:
        self._settings = settings
        self._publishers: dict[str, Publisher[Any]] = {
            name: node.create_publisher(kind, f"{prefix}/{name}", _QOS)
            for name, kind in _TYPES.items()
            if settings.masks or name not in _OF_A_DETECTOR
        }
        self._truth = node.create_publisher(SdfObjectArray, f"{prefix}/ground_truth", _QOS)
        # Messages of prerendered frames, by the id of the frame.
        self._message_cache: dict[int, dict[str, Any]] = {}

    @property
    def is_awaited(self) -> bool:
        """Whether all images have subscribers."""
        images = (x for name, x in self._publishers.items() if name in _IMAGES)
        return all(x.get_subscription_count() for x in images)

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
        for name, publisher in self._publishers.items():
            publisher.publish(messages[name])
