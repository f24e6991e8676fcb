"""The latest images of a camera as serialised messages; only those that are shown are decoded."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from sdfpose_core.messages.compressed import raw_depth
from sdfpose_core.messages.decoding import (
    InputTopics,
    LabelRules,
    camera_from_info,
    colour_size,
    rgbd_frame,
)
from sdfpose_core.messages.stamps import serialised_stamp_ns
from sdfpose_core.observation.frame import RgbdFrame

__all__ = ["ImageBuffer"]

_ROLES = ("colour", "depth", "camera_info")
_COMPRESSED = ("/compressed", "/compressedDepth")

_MAX_BYTES = 192 * 2**20
"""Images are kept until their results arrive, but no more than this."""

_SLOP_NS = 20_000_000
"""Largest difference of the stamps within an image."""

_QOS = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)


class ImageBuffer:
    """Keeps the messages of ``~/colour``, ``~/depth`` and ``~/camera_info``.

    A topic whose name ends in ``/compressed`` or ``/compressedDepth`` has compressed images.

    Args:
        node: node that subscribes.
        depth_unit: metres per unit of depth; None for millimetres in 16-bit and metres in float
            images.
    """

    def __init__(self, node: Node, depth_unit: float | None = None) -> None:
        self._depth_unit = depth_unit
        names = {role: node.resolve_topic_name(f"~/{role}") for role in _ROLES}
        self._types = {
            role: CompressedImage if names[role].endswith(_COMPRESSED) else Image
            for role in ("colour", "depth")
        }
        self._topics = InputTopics(names["colour"], names["depth"], "", names["camera_info"], "")
        self._messages: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        self._bytes = 0
        self._info: CameraInfo | None = None
        self._subscriptions = [
            node.create_subscription(
                kind,
                f"~/{role}",
                lambda data, role=role: self._keep(role, data),
                _QOS,
                raw=True,
            )
            for role, kind in self._types.items()
        ]
        self._subscriptions.append(
            node.create_subscription(CameraInfo, "~/camera_info", self._take_info, _QOS)
        )

    def frame(self, stamp: int) -> RgbdFrame | None:
        """Decode the image of a stamp, nanoseconds; None if a part of it is not there.

        Raises:
            MessageError: a message of the image is invalid.
        """
        colour, depth = self._nearest("colour", stamp), self._nearest("depth", stamp)
        if colour is None or depth is None or self._info is None:
            return None
        size = colour_size(colour, self._topics.colour)
        return rgbd_frame(
            colour,
            raw_depth(depth, self._topics.depth),
            None,
            camera_from_info(self._info, self._topics.camera_info, size),
            LabelRules({}),
            self._topics,
            depth_unit=self._depth_unit,
        )

    def newest_stamp(self) -> int | None:
        """Stamp of the newest colour image, nanoseconds; None before the first one."""
        return max((stamp for role, stamp in self._messages if role == "colour"), default=None)

    def _keep(self, role: str, data: bytes) -> None:
        key = role, serialised_stamp_ns(data)
        self._bytes += len(data) - len(self._messages.pop(key, b""))
        self._messages[key] = data
        while self._bytes > _MAX_BYTES:
            _, oldest = self._messages.popitem(last=False)
            self._bytes -= len(oldest)

    def _take_info(self, message: CameraInfo) -> None:
        self._info = message

    def _nearest(self, role: str, stamp: int) -> Any:
        near = [x for r, x in self._messages if r == role and abs(x - stamp) <= _SLOP_NS]
        if not near:
            return None
        chosen = min(near, key=lambda x: abs(x - stamp))
        return deserialize_message(self._messages[role, chosen], self._types[role])
