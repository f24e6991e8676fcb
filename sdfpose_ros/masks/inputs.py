"""Inputs of the mask node: subscriptions and stamp matching."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, Image

from sdfpose_core.messages.interfaces import JUMP_BACK_NS, Stamped, stamp_ns
from sdfpose_ros.masks.backends import MaskSource
from sdfpose_ros.masks.matched_images import MatchedImages
from sdfpose_ros.stand_ins import message_filters

__all__ = ["MaskInputs"]

_DEPTH = 10
"""Messages of a topic that are queued for the node's thread."""


class MaskInputs:
    """Subscribes to the inputs of a backend and matches their stamps.

    A backend that needs depth gets the latest camera info. Until the first camera info arrives, the
    newest set of matched messages is held back.

    Args:
        node: node that subscribes.
        source: the backend.
        queue_size: messages kept per input.
        slop_s: largest difference of the stamps within a set, seconds.
        on_matched: called with each set of matched messages.
        on_restart: called when time has jumped back (a bag loops, a simulation is reset).

    Attributes:
        topics: resolved topic of each input.
        subscriptions: subscription of each topic.
        received: number of messages of each topic.
        matched: number of sets passed to `on_matched`.
    """

    def __init__(
        self,
        node: Node,
        source: MaskSource,
        *,
        queue_size: int,
        slop_s: float,
        on_matched: Callable[[MatchedImages], None],
        on_restart: Callable[[], None],
    ) -> None:
        self._node = node
        self._queue_size = queue_size
        self._slop_s = slop_s
        self._on_matched = on_matched
        self._on_restart = on_restart
        self._needs_info = source.needs_camera
        self._info: CameraInfo | None = None
        self._waiting: dict[str, Any] | None = None
        self._newest_ns: dict[str, int] = {}
        self.topics: dict[str, str] = {}
        self.subscriptions: dict[str, Subscription[Any]] = {}
        self.received: dict[str, int] = {}
        self.matched = 0
        self._matched_before = 0
        self._received_before: dict[str, int] = {}
        sources = {
            name: self._subscribe(name, kind)
            for name, kind in {"colour": Image, **source.inputs}.items()
        }
        if self._needs_info:
            self._subscribe("camera_info", CameraInfo).registerCallback(self._take_info)
        self._names = list(sources)
        # Filters between the subscriptions and the matcher, so that the matcher can be replaced.
        self._inlets = [message_filters.SimpleFilter() for _ in sources]
        for (name, subscriber), inlet in zip(sources.items(), self._inlets, strict=True):
            subscriber.registerCallback(self._watch_clock, name)
            subscriber.registerCallback(inlet.signalMessage)
        self._connect()

    def since_last_check(self) -> tuple[int, list[str]]:
        """Return the number of sets since the last call, and the topics without a message."""
        silent = [x for x, n in self.received.items() if n == self._received_before.get(x, 0)]
        matched = self.matched - self._matched_before
        self._received_before, self._matched_before = dict(self.received), self.matched
        return matched, silent

    def _subscribe(self, name: str, kind: type) -> message_filters.Subscriber:
        topic = self._node.resolve_topic_name(f"~/{name}")
        self.topics[name], self.received[topic] = topic, 0
        subscriber = message_filters.Subscriber(
            self._node,
            kind,
            f"~/{name}",
            # One profile per subscription: rclpy writes the overrides into it.
            qos_profile=QoSProfile(depth=_DEPTH, reliability=ReliabilityPolicy.BEST_EFFORT),
            qos_overriding_options=QoSOverridingOptions.with_default_policies(),
        )
        self.subscriptions[topic] = subscriber.sub
        subscriber.registerCallback(self._count, topic)
        return subscriber

    def _connect(self) -> None:
        for inlet in self._inlets:
            inlet.callbacks.clear()
        self._matcher = message_filters.ApproximateTimeSynchronizer(
            self._inlets, self._queue_size, self._slop_s
        )
        self._matcher.registerCallback(self._take)

    def _count(self, _: object, topic: str) -> None:
        self.received[topic] += 1

    def _take_info(self, info: CameraInfo) -> None:
        self._info = info
        if self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            self._emit(waiting)

    def _watch_clock(self, message: Stamped, name: str) -> None:
        """When time jumps back, drop the queued messages, which will never be matched."""
        stamp = stamp_ns(message.header)
        if stamp < self._newest_ns.get(name, stamp) - JUMP_BACK_NS:
            self._connect()
            self._waiting = None
            self._newest_ns.clear()
            self._on_restart()
        self._newest_ns[name] = max(stamp, self._newest_ns.get(name, stamp))

    def _take(self, *messages: Any) -> None:
        named = dict(zip(self._names, messages, strict=True))
        if self._needs_info and self._info is None:
            self._waiting = named
        else:
            self._emit(named)

    def _emit(self, messages: dict[str, Any]) -> None:
        self.matched += 1
        self._on_matched(MatchedImages(messages, self._info, self.topics))
