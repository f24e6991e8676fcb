"""Inputs of the pose node: subscriptions, stamp matching and the input watchdog."""

from __future__ import annotations

from collections.abc import Callable

from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.node import Node
from sdfpose.msg import InstanceLabels
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from sdfpose_core.messages.decoding import InputTopics
from sdfpose_core.messages.errors import MessageError
from sdfpose_core.messages.synchronizer import FrameMessages, FrameSynchronizer
from sdfpose_ros.graph.input_watchdog import SILENT_AFTER_S, InputWatchdog
from sdfpose_ros.graph.subscriptions import InputSubscriptions
from sdfpose_ros.graph.throttle import ThrottledLog
from sdfpose_ros.pose.camera_names import camera_topic
from sdfpose_ros.pose.mask_names import TOPIC
from sdfpose_ros.pose.parameters import PoseNodeParameters

__all__ = ["FrameInputs"]

_NO_MASKS = (
    "nobody makes masks: run the mask node ('sdfpose mask') or your own source of masks, or let "
    "this node make them (parameter masks)"
)


class FrameInputs:
    """Subscribes to the input topics and assembles frames.

    Masks and labels are inputs only if the parameter `masks` says so.

    As in image_transport, the name is resolved first and the transport is appended to the result:
    ``~/colour`` remapped to ``/camera/color/image_raw`` is read from
    ``/camera/color/image_raw/compressed``.

    Args:
        node: node that subscribes.
        parameters: parameters of the pose node.
        camera: name of the camera, whose topics are ``~/CAMERA/colour`` and so on; empty for the
            only one, with ``~/colour`` and so on.
        labelled: whether to subscribe to the labels of the mask ids.
        on_frame: called with the messages of each complete frame.
        on_error: called with the error when messages do not form a valid frame.
        on_restart: called when time has jumped back.
        is_busy: whether a frame is being processed. Meanwhile a player in lockstep sends nothing.
        log: receives the warnings of the input watchdog.

    Attributes:
        topics: resolved topic names.
        synchronizer: matches the stamps and counts the messages.
    """

    def __init__(
        self,
        node: Node,
        parameters: PoseNodeParameters,
        *,
        camera: str = "",
        labelled: bool,
        on_frame: Callable[[FrameMessages], None],
        on_error: Callable[[MessageError], None],
        on_restart: Callable[[], None],
        is_busy: Callable[[], bool],
        log: ThrottledLog,
    ) -> None:
        self._node = node
        self._is_busy = is_busy
        self._subscriptions = InputSubscriptions(node)
        self._image_size: tuple[int, int] | None = None
        transports = {
            "colour": parameters.colour_transport,
            "depth": parameters.depth_transport,
        }
        with_masks = parameters.masks == TOPIC
        if with_masks:
            transports["mask"] = parameters.mask_transport
        self.topics = InputTopics(
            **{
                name: _with_transport(
                    node.resolve_topic_name(camera_topic(camera, name)),
                    transports.get(name, "raw"),
                )
                for name in ("colour", "depth", "mask", "camera_info", "labels")
            }
        )
        image = {
            name: Image if transport == "raw" else CompressedImage
            for name, transport in transports.items()
        }
        source, topics = self._subscriptions.add, self.topics
        info = source(CameraInfo, topics.camera_info)
        info.registerCallback(self._take_info)
        self.synchronizer = FrameSynchronizer(
            colour=source(image["colour"], topics.colour),
            depth=source(image["depth"], topics.depth),
            mask=source(image["mask"], topics.mask) if with_masks else None,
            info=info,
            labels=source(InstanceLabels, topics.labels) if labelled and with_masks else None,
            topics=self.topics,
            queue_size=parameters.queue_size,
            slop_s=parameters.slop_s,
            on_frame=on_frame,
            on_error=on_error,
            on_restart=on_restart,
            labels_are_latched=lambda: self._subscriptions.is_latched(topics.labels),
        )
        self._watchdog = InputWatchdog(node, log, topics.colour)
        self._watch = node.create_timer(
            SILENT_AFTER_S, self._check, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )

    def close(self) -> None:
        """Destroy the subscriptions."""
        self._node.destroy_timer(self._watch)
        self._subscriptions.close()

    def _take_info(self, info: CameraInfo) -> None:
        self._image_size = info.width, info.height

    def _check(self) -> None:
        if self._is_busy():
            return
        statistics, topics = self.synchronizer.statistics, self.topics
        once = {topics.camera_info}
        if self.synchronizer.has_latched_labels:
            once.add(topics.labels)
        self._watchdog.check(
            statistics.received,
            statistics.matched,
            self._subscriptions.by_topic,
            self.synchronizer.recent,
            self.synchronizer.queue_size,
            once=once,
            absent={topics.mask: _NO_MASKS, topics.labels: _NO_MASKS},
            image_size=self._image_size,
            seconds=SILENT_AFTER_S,
        )


def _with_transport(topic: str, transport: str) -> str:
    return topic if transport == "raw" else f"{topic}/{transport}"
