"""Recording of topics into an MCAP file for RViz, Foxglove and Rerun."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rosbags.interfaces import Connection
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys.store import Typestore

from sdfpose_core.datasets.bag_writing import offered_qos
from sdfpose_core.errors import SdfposeError
from sdfpose_core.messages.definitions import message_definitions

__all__ = ["McapRecorder", "RecordedTopic", "RecorderError"]


class RecorderError(SdfposeError):
    """The recording cannot be written."""


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
        RecorderError: the folder cannot be written, or a message has no definition.
    """

    def __init__(self, node: Node, path: Path, topics: Mapping[str, RecordedTopic]) -> None:
        self._node = node
        self._path = path
        # rosbags writes a folder. The MCAP file in it is self-contained.
        self._folder = path.with_suffix(".recording")
        shutil.rmtree(self._folder, ignore_errors=True)
        self._writer = Writer(
            self._folder, version=Writer.VERSION_LATEST, storage_plugin=StoragePlugin.MCAP
        )
        self._writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
        try:
            self._writer.open()
        except OSError as error:
            raise RecorderError(
                f"{path}: cannot be written: {error}: expected a writable folder"
            ) from error
        self._open = True
        self.counts = dict.fromkeys(topics, 0)
        store = message_definitions()
        self._subscriptions = [self._record(name, topic, store) for name, topic in topics.items()]

    def close(self) -> Path:
        """Finish the file and return its path."""
        if self._open:
            self._open = False
            for subscription in self._subscriptions:
                self._node.destroy_subscription(subscription)
            self._writer.close()
            (self._folder / f"{self._folder.name}.mcap").replace(self._path)
            shutil.rmtree(self._folder)
        return self._path

    def _record(self, name: str, topic: RecordedTopic, store: Typestore) -> Any:
        package, kind = topic.message.__module__.split(".")[0], topic.message.__name__
        if f"{package}/msg/{kind}" not in store.fielddefs:
            raise RecorderError(
                f"{name}: the definition of {package}/msg/{kind} is missing: expected it in "
                f"share/{package}/msg of the installation (reinstall the package)"
            )
        connection = self._writer.add_connection(
            name,
            f"{package}/msg/{kind}",
            typestore=store,
            offered_qos_profiles=[
                offered_qos(
                    latched=topic.qos.durability == DurabilityPolicy.TRANSIENT_LOCAL,
                    depth=topic.qos.depth,
                    reliable=topic.qos.reliability == ReliabilityPolicy.RELIABLE,
                )
            ],
        )

        def write(data: bytes, connection: Connection = connection) -> None:
            if self._open:
                now = self._node.get_clock().now().nanoseconds
                self._writer.write(connection, now, data)
                self.counts[name] += 1

        return self._node.create_subscription(topic.message, name, write, topic.qos, raw=True)
