"""Inputs of the pose node: subscriptions, stamp matching and the input watchdog."""

from __future__ import annotations

from collections.abc import Callable

from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from sdfpose.msg import InstanceLabels
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from sdfpose_core.messages.decoding import InputTopics
from sdfpose_core.messages.errors import MessageError
from sdfpose_core.messages.synchronizer import (
    FrameMessages,
    FrameSynchronizer,
    required_queue_size,
)
from sdfpose_ros.graph.input_watchdog import SILENT_AFTER_S, warn_silent_inputs
from sdfpose_ros.graph.throttle import ThrottledLog
from sdfpose_ros.pose.parameters import PoseNodeParameters
from sdfpose_ros.stand_ins import message_filters

__all__ = ["FrameInputs"]

_DEPTH = 10
"""Messages of a topic that are queued for the node's thread."""


class FrameInputs:
    """Subscribes to the input topics and assembles frames.

    As in image_transport, the name is resolved first and the transport is appended to the result:
    ``~/colour`` remapped to ``/camera/color/image_raw`` is read from
    ``/camera/color/image_raw/compressed``.

    Args:
        node: node that subscribes.
        parameters: parameters of the pose node.
        labelled: whether to subscribe to the labels of the mask ids.
        on_frame: called with the messages of each complete frame.
        on_error: called with the error when messages do not form a valid frame.
        on_restart: called when time has jumped back.
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
        labelled: bool,
        on_frame: Callable[[FrameMessages], None],
        on_error: Callable[[MessageError], None],
        on_restart: Callable[[], None],
        log: ThrottledLog,
    ) -> None:
        self._node = node
        self._log = log
        self._sources: dict[str, message_filters.Subscriber] = {}
        transports = {
            "colour": parameters.colour_transport,
            "depth": parameters.depth_transport,
            "mask": parameters.mask_transport,
        }
        self.topics = InputTopics(
            **{
                name: _with_transport(
                    node.resolve_topic_name(f"~/{name}"), transports.get(name, "raw")
                )
                for name in ("colour", "depth", "mask", "camera_info", "labels")
            }
        )
        image = {
            name: Image if transport == "raw" else CompressedImage
            for name, transport in transports.items()
        }
        self.synchronizer = FrameSynchronizer(
            colour=self._source(image["colour"], self.topics.colour),
            depth=self._source(image["depth"], self.topics.depth),
            mask=self._source(image["mask"], self.topics.mask),
            info=self._source(CameraInfo, self.topics.camera_info),
            labels=self._source(InstanceLabels, self.topics.labels) if labelled else None,
            topics=self.topics,
            queue_size=parameters.queue_size,
            slop_s=parameters.slop_s,
            on_frame=on_frame,
            on_error=on_error,
            on_restart=on_restart,
        )
        self._matched_before = 0
        self._received_before: dict[str, int] = dict(self.synchronizer.statistics.received)
        self._watch = node.create_timer(
            SILENT_AFTER_S, self._warn_silent_inputs, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )

    def close(self) -> None:
        """Destroy the subscriptions."""
        self._node.destroy_timer(self._watch)
        for source in self._sources.values():
            self._node.destroy_subscription(source.sub)

    def _source(self, message: type, topic: str) -> message_filters.Subscriber:
        source = message_filters.Subscriber(
            self._node,
            message,
            topic,
            # One profile per subscription: rclpy writes the overrides into it.
            qos_profile=QoSProfile(depth=_DEPTH, reliability=ReliabilityPolicy.BEST_EFFORT),
            qos_overriding_options=QoSOverridingOptions.with_default_policies(),
        )
        self._sources[topic] = source
        return source

    def _warn_silent_inputs(self) -> None:
        """Log why there are no frames: a topic is silent, or the stamps do not match."""
        statistics = self.synchronizer.statistics
        silent = [
            topic
            for topic, count in statistics.received.items()
            if count == self._received_before[topic]
        ]
        matched = statistics.matched - self._matched_before
        colour = self.topics.colour
        colours = statistics.received[colour] - self._received_before[colour]
        self._received_before = dict(statistics.received)
        self._matched_before = statistics.matched
        if matched:
            return
        subscriptions = {topic: source.sub for topic, source in self._sources.items()}
        warn_silent_inputs(self._node, silent, subscriptions, self._log, SILENT_AFTER_S)
        if not silent:
            self._log.warning("unmatched", self._why_unmatched(colours / SILENT_AFTER_S))

    def _why_unmatched(self, rate_hz: float) -> str:
        statistics = self.synchronizer.statistics
        lags = self.synchronizer.lags()
        late = max(lags, key=lambda topic: lags[topic], default=self.topics.mask)
        lag_s = lags.get(late, 0.0)
        needed = required_queue_size(rate_hz, lag_s)
        return (
            f"messages arrive on {', '.join(statistics.received)}, but no stamps have matched for "
            f"{SILENT_AFTER_S:.0f} s: expected the same stamp on all messages of a frame; fix the "
            f"stamps, or raise slop_s or queue_size ({late} is {lag_s:.2f} s behind, which needs a "
            f"queue_size of {needed})"
        )


def _with_transport(topic: str, transport: str) -> str:
    return topic if transport == "raw" else f"{topic}/{transport}"
