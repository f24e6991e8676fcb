"""Playing in lock-step: the next frame waits for the result of the last one."""

from __future__ import annotations

import math
import time
from collections.abc import Collection
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSProfile
from sdfpose.msg import SdfObjectArray

from sdfpose_core.datasets.bags import Pairing, frame_of
from sdfpose_core.errors import BagError
from sdfpose_core.messages.decoding import InputTopics, LabelRules
from sdfpose_core.messages.errors import MessageError
from sdfpose_core.messages.interfaces import stamp_ns
from sdfpose_core.messages.pairing import FramePairing

__all__ = ["Audience", "Lockstep"]

_QOS = QoSProfile(depth=50)
_SETTLING_S = 0.5
"""A node makes its subscriptions one after the other, and connections take a moment."""

_LOOK_S = 0.05
"""How often it is looked who is there."""

_STARTUP_S = 120.0
"""How long the graph may take until it listens: torch and the weights are loaded before."""


class Audience:
    """Whether there is a pose node that takes the frames.

    Args:
        node: asks.
        played: topics that are played.
        topics: of the frames.
        results: topic of the results.

    Raises:
        BagError: a topic of the frames is not played.
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
                f"{', '.join(missing)}: not played, while a pose node is waited for: expected all "
                "topics of a frame"
            )
        self.results = node.resolve_topic_name(results)
        self._there_since_s: float | None = None
        self._looked_s = -math.inf

    def silent(self) -> list[str]:
        """The topics of frames that no node takes which gives results, and theirs if none does.

        Others may take the frames as well: a recorder is there long before the pose node is.
        """
        own = _full_name(self._node.get_namespace(), self._node.get_name())
        given = self._node.get_publishers_info_by_topic(self.results)
        pose_nodes = {_full_name(x.node_namespace, x.node_name) for x in given} - {own}
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

    def is_there(self) -> bool:
        """Whether everybody has been there for long enough to get the next message."""
        now_s = time.monotonic()
        if now_s - self._looked_s < _LOOK_S:
            return False
        self._looked_s = now_s
        if self.silent():
            self._there_since_s = None
            return False
        if self._there_since_s is None:
            self._there_since_s = now_s
        return now_s - self._there_since_s >= _SETTLING_S


class Lockstep:
    """Knows when the next message may be played.

    It puts the messages together as the pose node does, and so knows which of them completes a
    frame and has a result.

    Args:
        node: subscribes to the results.
        audience: has to be there before anything is played.
        topics: of the frames.
        timeout_s: how long a result may take, seconds.

    Attributes:
        frames: that were answered, or are to be.
        left_out: of these, frames of which the node gave the result of a later one.
    """

    def __init__(
        self, node: Node, audience: Audience, topics: InputTopics, timeout_s: float
    ) -> None:
        self._audience = audience
        self._topics = topics
        self._timeout_s = timeout_s
        pairing = Pairing()
        self._pairs = FramePairing(topics, pairing.slop_s, pairing.queue_size, lambda _: None)
        self._awaited_ns: list[int] = []
        self._since_s = time.monotonic()
        self._listening = False
        self.frames = self.left_out = 0
        node.create_subscription(SdfObjectArray, audience.results, self._take_result, _QOS)

    def may_play(self) -> bool:
        """Whether everybody listens, and no result is awaited.

        Raises:
            BagError: that takes too long.
        """
        waited_s = time.monotonic() - self._since_s
        if not self._listening:
            self._listening = self._audience.is_there()
            if not self._listening and waited_s > _STARTUP_S:
                raise BagError(
                    f"{', '.join(self._audience.silent())}: nobody there after {_STARTUP_S:.0f} s: "
                    "expected a pose node that takes the bag's topics (is its --camera right?)"
                )
            return self._listening
        if self._awaited_ns and waited_s > self._timeout_s:
            raise BagError(
                f"{self._audience.results}: no result for the frame of "
                f"{1e-9 * self._awaited_ns[0]:.9f} s within {self._timeout_s:g} s"
            )
        return not self._awaited_ns

    def is_part(self, topic: str) -> bool:
        """Whether the messages of a topic are parts of frames."""
        return topic in self._pairs.topics

    def played(self, topic: str, message: Any) -> None:
        """Take a part of a frame that was played; with its last part, the next one has to wait."""
        for messages in self._pairs.take(topic, message):
            try:
                frame_of(messages, LabelRules({}), self._topics)
            except MessageError:
                continue  # the node refuses it as well: there is no result
            self._awaited_ns.append(messages.stamp_ns)
            self._since_s = time.monotonic()
            self.frames += 1

    def _take_result(self, message: SdfObjectArray) -> None:
        stamp = stamp_ns(message.header)
        if stamp in self._awaited_ns:
            # One message, a camera info, may complete two frames: the node takes the newer one.
            place = self._awaited_ns.index(stamp)
            self.left_out += place
            del self._awaited_ns[: place + 1]


def _full_name(namespace: str, name: str) -> str:
    return f"{namespace.rstrip('/')}/{name}"
