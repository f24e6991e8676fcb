"""Recording of topics into an MCAP file for RViz, Foxglove and Rerun."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from sdfpose_core.datasets.bag_writing import offered_qos
from sdfpose_core.datasets.mcap_writing import McapFile
from sdfpose_core.messages.definitions import message_definitions

__all__ = ["McapRecorder", "RecordedTopic"]


@dataclass(frozen=True)
class RecordedTopic:
    """Type and quality of service of a topic to record."""

    message: type
    qos: QoSProfile


class McapRecorder:
    """Records the messages of topics without decoding them.

    Args:
        node: node that subscribes.
        path: path of the file. An existing file is replaced when the recording is closed.
        topics: type and QoS of each topic, by name.

    Attributes:
        counts: number of recorded messages of each topic.

    Raises:
        BagError: the folder cannot be written, or a message has no definition.
    """

    def __init__(self, node: Node, path: Path, topics: Mapping[str, RecordedTopic]) -> None:
        self._node = node
        self._file = McapFile(path, message_definitions(), replace=True)
        self.counts = self._file.counts
        self._subscriptions = [self._record(name, topic) for name, topic in topics.items()]

    def close(self) -> Path:
        """Finish the file and return its path."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions = []
        return self._file.close()

    def _record(self, name: str, topic: RecordedTopic) -> Any:
        package, kind = topic.message.__module__.split(".")[0], topic.message.__name__
        profile = offered_qos(
            latched=topic.qos.durability == DurabilityPolicy.TRANSIENT_LOCAL,
            depth=topic.qos.depth,
            reliable=topic.qos.reliability == ReliabilityPolicy.RELIABLE,
        )
        self._file.add_topic(name, f"{package}/msg/{kind}", profile)

        def write(data: bytes) -> None:
            if self._subscriptions:  # otherwise it is closed
                self._file.write(name, data, self._node.get_clock().now().nanoseconds)

        return self._node.create_subscription(topic.message, name, write, topic.qos, raw=True)
