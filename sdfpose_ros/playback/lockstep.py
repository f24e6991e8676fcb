"""Playback in lockstep: the next frame waits for the result of the previous one."""

from __future__ import annotations

import math
import time
from collections.abc import Collection
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSProfile
from sdfpose.msg import SdfObjectArray

from sdfpose_core.categories import default_categories
from sdfpose_core.datasets.bags import Pairing
from sdfpose_core.errors import BagError, FrameError
from sdfpose_core.messages.decoding import InputTopics
from sdfpose_core.messages.errors import MessageError
from sdfpose_core.messages.input_checks import checked_frame
from sdfpose_core.messages.interfaces import stamp_ns
from sdfpose_core.messages.pairing import FramePairing

__all__ = ["Lockstep", "PoseNodeMonitor"]

_QOS = QoSProfile(depth=50)
_SETTLING_S = 0.5
"""Time for a node to create all its subscriptions and for these to connect."""

_CHECK_PERIOD_S = 0.05
"""Period of the check of the graph."""

_STARTUP_S = 120.0
"""Longest wait for the pose node, which loads torch and the weights first."""


class PoseNodeMonitor:
    """Checks whether a pose node subscribes to the frames and publishes results.

    Args:
        node: node that queries the graph.
        played: topics that are played.
        topics: topics of a frame.
        results: topic of the results.

    Raises:
        BagError: a topic of a frame is not played.
    """

    def __init__(
        self,
        node: Node,
        played: Collection[str],
        topics: InputTopics,
        results: str,
    ) -> None:
        self._node = node
        self._inputs = (topics.colour, topics.depth, topics.mask, topics.camera_info)
        missing = [x for x in self._inputs if x not in played]
        if missing:
            raise BagError(
                f"{', '.join(missing)}: not played, but the player waits for a pose node: expected "
                "all topics of a frame (is the parameter topics complete?)"
            )
        self.results = node.resolve_topic_name(results)
        self._ready_since_s: float | None = None
        self._checked_s = -math.inf

    def missing_topics(self) -> list[str]:
        """Return the topics of a frame that no pose node subscribes to.

        A pose node is a node that publishes the results: a subscription alone may be that of a
        recorder. Without a pose node the topic of the results is returned as well.
        """
        own = _full_name(self._node.get_namespace(), self._node.get_name())
        publishers = self._node.get_publishers_info_by_topic(self.results)
        pose_nodes = {_full_name(x.node_namespace, x.node_name) for x in publishers} - {own}
        if not pose_nodes:
            return [*self._inputs, self.results]
        return [
            topic
            for topic in self._inputs
            if not any(
                _full_name(x.node_namespace, x.node_name) in pose_nodes
                for x in self._node.get_subscriptions_info_by_topic(topic)
            )
        ]

    def is_ready(self) -> bool:
        """Whether a pose node has been subscribed for long enough to get the next message."""
        now_s = time.monotonic()
        if now_s - self._checked_s < _CHECK_PERIOD_S:
            return False
        self._checked_s = now_s
        if self.missing_topics():
            self._ready_since_s = None
            return False
        if self._ready_since_s is None:
            self._ready_since_s = now_s
        return now_s - self._ready_since_s >= _SETTLING_S


class Lockstep:
    """Decides when the next message may be played.

    It matches the messages as the pose node does, and so knows which message completes a frame and
    leads to a result.

    Args:
        node: node that subscribes to the results.
        pose_node: has to be ready before anything is played.
        topics: topics of a frame.
        timeout_s: longest wait for a result, seconds.
        latched_labels: whether the labels were latched, see `FrameSynchronizer`.

    Attributes:
        frames: number of frames played completely.
        dropped: number of frames without a result, because that of a later frame arrived.
    """

    def __init__(
        self,
        node: Node,
        pose_node: PoseNodeMonitor,
        topics: InputTopics,
        timeout_s: float,
        latched_labels: bool = False,
    ) -> None:
        self._pose_node = pose_node
        self._topics = topics
        self._timeout_s = timeout_s
        pairing = Pairing()
        self._pairs = FramePairing(
            topics, pairing.slop_s, pairing.queue_size, lambda _: None, latched_labels
        )
        self._pending_ns: list[int] = []
        self._since_s = time.monotonic()
        self._started = False
        self.frames = self.dropped = 0
        node.create_subscription(SdfObjectArray, pose_node.results, self._take_result, _QOS)

    def may_play(self) -> bool:
        """Whether the pose node is ready and no result is pending.

        Raises:
            BagError: the pose node or the result takes too long.
        """
        waited_s = time.monotonic() - self._since_s
        if not self._started:
            self._started = self._pose_node.is_ready()
            if not self._started and waited_s > _STARTUP_S:
                raise BagError(
                    f"{', '.join(self._pose_node.missing_topics())}: no pose node on these topics "
                    f"after {_STARTUP_S:.0f} s: expected one that subscribes to the topics of the "
                    "bag (is it running, and is its --camera right?)"
                )
            return self._started
        if self._pending_ns and waited_s > self._timeout_s:
            raise BagError(
                f"{self._pose_node.results}: no result for the frame of "
                f"{1e-9 * self._pending_ns[0]:.9f} s within {self._timeout_s:g} s: see the log of "
                "the pose node, or raise result_timeout_s"
            )
        return not self._pending_ns

    def is_part(self, topic: str) -> bool:
        """Whether the messages of a topic are part of a frame."""
        return topic in self._pairs.topics

    def played(self, topic: str, message: Any) -> None:
        """Note a played message of a frame. If it completes the frame, a result is pending."""
        for messages in self._pairs.take(topic, message):
            try:
                checked_frame(messages, None, self._topics, default_categories())
            except (MessageError, FrameError):
                continue  # the pose node rejects it as well, so there is no result
            self._pending_ns.append(messages.stamp_ns)
            self._since_s = time.monotonic()
            self.frames += 1

    def _take_result(self, message: SdfObjectArray) -> None:
        stamp = stamp_ns(message.header)
        if stamp in self._pending_ns:
            # One camera info may complete two frames. The node then processes only the newer one.
            place = self._pending_ns.index(stamp)
            self.dropped += place
            del self._pending_ns[: place + 1]


def _full_name(namespace: str, name: str) -> str:
    return f"{namespace.rstrip('/')}/{name}"
