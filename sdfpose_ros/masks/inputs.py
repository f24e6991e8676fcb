"""Inputs of the mask node: subscriptions and stamp matching."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, Image

from sdfpose_core.messages.interfaces import (
    JUMP_BACK_NS,
    Stamped,
    normalise_frame_id,
    stamp_ns,
)
from sdfpose_core.messages.stamps import RecentStamps
from sdfpose_ros.graph.input_watchdog import SILENT_AFTER_S, InputWatchdog
from sdfpose_ros.graph.subscriptions import InputSubscriptions
from sdfpose_ros.graph.throttle import ThrottledLog
from sdfpose_ros.masks.backends import MaskSource
from sdfpose_ros.masks.matched_images import MatchedImages
from sdfpose_ros.stand_ins import message_filters

__all__ = ["MaskInputs"]


class MaskInputs:
    """Subscribes to the inputs of a backend and matches their stamps.

    Of its constant inputs, a backend gets the latest messages; for a backend that needs depth, the
    camera info is one of them. Until all of them have arrived, the newest set of matched messages
    is held back.

    Args:
        node: node that subscribes.
        source: the backend.
        queue_size: messages kept per input.
        slop_s: largest difference of the stamps within a set, seconds.
        on_matched: called with each set of matched messages.
        on_restart: called when time has jumped back (a bag loops, a simulation is reset).
        log: receives the warnings of the input watchdog.

    Attributes:
        topics: resolved topic of each input.
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
        log: ThrottledLog,
    ) -> None:
        self._node = node
        self._queue_size = queue_size
        self._slop_s = slop_s
        self._on_matched = on_matched
        self._on_restart = on_restart
        self._constants = {
            **({"camera_info": CameraInfo} if source.needs_camera else {}),
            **source.constants,
        }
        self._latest: dict[str, Any] = {}
        self._waiting: dict[str, Any] | None = None
        self._recent = RecentStamps()
        self._subscriptions = InputSubscriptions(node)
        self.topics: dict[str, str] = {}
        self.matched = 0
        sources = {
            name: self._subscribe(name, kind)
            for name, kind in {"colour": Image, **source.inputs}.items()
        }
        for name, kind in self._constants.items():
            self._subscribe(name, kind).registerCallback(self._take_constant, name)
        self._names = list(sources)
        # Filters between the subscriptions and the matcher, so that the matcher can be replaced.
        self._inlets = [message_filters.SimpleFilter() for _ in sources]
        for (name, subscriber), inlet in zip(sources.items(), self._inlets, strict=True):
            subscriber.registerCallback(self._watch_clock, name)
            subscriber.registerCallback(inlet.signalMessage)
        self._connect()
        self._watchdog = InputWatchdog(node, log, self.topics["colour"])

    @property
    def received(self) -> dict[str, int]:
        """Number of messages by topic."""
        return self._subscriptions.received

    def check(self) -> None:
        """Log why there are no images: a topic is silent, or the stamps do not match."""
        info = self._latest.get("camera_info")
        self._watchdog.check(
            self.received,
            self.matched,
            self._subscriptions.by_topic,
            self._recent,
            self._queue_size,
            once={self.topics[name] for name in self._constants},
            image_size=None if info is None else (info.width, info.height),
            seconds=SILENT_AFTER_S,
        )

    def _subscribe(self, name: str, kind: type) -> message_filters.Subscriber:
        self.topics[name] = self._node.resolve_topic_name(f"~/{name}")
        return self._subscriptions.add(kind, self.topics[name])

    def _connect(self) -> None:
        for inlet in self._inlets:
            inlet.callbacks.clear()
        self._matcher = message_filters.ApproximateTimeSynchronizer(
            self._inlets, self._queue_size, self._slop_s
        )
        self._matcher.registerCallback(self._take)

    def _take_constant(self, message: Any, name: str) -> None:
        self._latest[name] = message
        if self._waiting is not None and self._is_complete:
            waiting, self._waiting = self._waiting, None
            self._emit(waiting)

    def _watch_clock(self, message: Stamped, name: str) -> None:
        """When time jumps back, drop the queued messages, which will never be matched."""
        stamp, topic = stamp_ns(message.header), self.topics[name]
        newest = self._recent.newest(topic)
        if newest is not None and stamp < newest - JUMP_BACK_NS:
            self._connect()
            self._waiting = None
            self._recent.clear()
            self._on_restart()
        self._recent.add(topic, stamp)

    def _take(self, *messages: Any) -> None:
        named = dict(zip(self._names, messages, strict=True))
        normalise_frame_id(named["colour"])
        if self._is_complete:
            self._emit(named)
        else:
            self._waiting = named

    @property
    def _is_complete(self) -> bool:
        return len(self._latest) == len(self._constants)

    def _emit(self, messages: dict[str, Any]) -> None:
        self.matched += 1
        info = self._latest.get("camera_info")
        self._on_matched(MatchedImages({**self._latest, **messages}, info, self.topics))
