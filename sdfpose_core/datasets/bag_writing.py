"""Write bags that RViz, Foxglove and `ros2 bag` can open, without a ROS installation."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from rosbags.interfaces import (
    Connection,
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from sdfpose_core.datasets.bag_topics import TOPIC_TYPES
from sdfpose_core.errors import BagError
from sdfpose_core.messages.definitions import message_definitions
from sdfpose_core.messages.encoding import frame_messages
from sdfpose_core.messages.factory import bag_messages, header_message
from sdfpose_core.messages.objects import ground_truth_message
from sdfpose_core.observation.frame import GroundTruth, RgbdFrame, complete_ground_truth
from sdfpose_core.storage.files import temporary_sibling

__all__ = ["OBJECTS", "BagWriter", "offered_qos", "write_frames"]

_FOREVER = QosTime(9_223_372_036, 854_775_807)
"""The ROS 2 representation of an infinite duration."""

OBJECTS = "sdfpose/msg/SdfObjectArray"
"""Message type of result and ground-truth topics."""


class BagWriter:
    """Write a bag atomically: complete or not at all.

    Args:
        path: folder of the bag; must not exist yet.
        topics: message type by topic.
        latched: topics whose last message is sent to late subscribers (transient local).

    Attributes:
        new: factory of messages for `write`.

    Raises:
        BagError: the folder exists or cannot be written, or a type is unknown.

    Example:
        >>> with BagWriter(path, {"/chatter": "std_msgs/msg/String"}) as bag:   # doctest: +SKIP
        ...     bag.write("/chatter", bag.new("std_msgs/msg/String", data="hello"), 0)
    """

    def __init__(
        self, path: Path | str, topics: Mapping[str, str], latched: Sequence[str] = ()
    ) -> None:
        self._path = Path(path)
        if self._path.exists():
            raise BagError(f"{path}: already exists: choose the name of a new bag")
        self._store = message_definitions()
        unknown = sorted(set(topics.values()) - set(self._store.types))
        if unknown:
            raise BagError(
                f"{path}: the definition of {', '.join(unknown)} is missing: install the sdfpose "
                "messages (see packaging/README.md)"
            )
        self.new = bag_messages(self._store)
        # The storage file is named after the bag's folder, so the folder has its final name.
        self._folder = temporary_sibling(self._path)
        try:
            self._writer = Writer(
                self._folder / self._path.name,
                version=Writer.VERSION_LATEST,
                storage_plugin=StoragePlugin.MCAP,
            )
            self._writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
            self._writer.open()
        except OSError as error:
            raise BagError(f"{path}: cannot be written: {error}") from error
        self._connections: dict[str, Connection] = {
            topic: self._writer.add_connection(
                topic,
                kind,
                typestore=self._store,
                offered_qos_profiles=[offered_qos(latched=topic in latched)],
            )
            for topic, kind in topics.items()
        }

    def write(self, topic: str, message: Any, recorded_ns: int) -> None:
        """Write a message.

        Args:
            topic: one of the bag's topics.
            message: message of the topic's type; its parts may come from another bag.
            recorded_ns: time of recording, nanoseconds; MCAP has no negative times, which become
                0.
        """
        connection = self._connections[topic]
        data = self._store.serialize_cdr(message, connection.msgtype)
        self._writer.write(connection, max(recorded_ns, 0), data)

    def __enter__(self) -> BagWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._writer.close()
            if kind is None:
                (self._folder / self._path.name).replace(self._path)
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)


def offered_qos(*, latched: bool, depth: int = 10, reliable: bool = True) -> Qos:
    """Create the QoS profile that a player should offer.

    Args:
        latched: whether late subscribers get the last message (transient local).
        depth: queue size.
        reliable: whether lost messages are sent again.
    """
    return Qos(
        history=QosHistory.KEEP_LAST,
        depth=depth,
        reliability=QosReliability.RELIABLE if reliable else QosReliability.BEST_EFFORT,
        durability=QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE,
        deadline=_FOREVER,
        lifespan=_FOREVER,
        liveliness=QosLiveliness.AUTOMATIC,
        liveliness_lease_duration=_FOREVER,
        avoid_ros_namespace_conventions=False,
    )


def write_frames(
    path: Path | str,
    frames: Iterable[tuple[RgbdFrame, Sequence[GroundTruth]]],
    camera: str = "/camera",
) -> int:
    """Write frames as a camera node publishes them, with their ground truth.

    Args:
        path: folder of the bag.
        frames: frames with their ground truth; the stamps are also the recording times. For a
            frame without ground truth, no ground truth message is written.
        camera: prefix of the topic names.

    Returns:
        The number of frames.

    Raises:
        BagError: the bag cannot be written.
    """
    topics = {f"{camera}/{role}": kind for role, kind in TOPIC_TYPES.items()}
    truth_topic = f"{camera}/ground_truth"
    count = 0
    with BagWriter(path, {**topics, truth_topic: OBJECTS}) as bag:
        for frame, truths in frames:
            header = header_message(bag.new, frame.stamp_ns, frame.frame_id)
            objects = [
                ground_truth_message(bag.new, x, header)
                for x in complete_ground_truth(frame, truths)
            ]
            if objects:
                message = bag.new(OBJECTS, header=header, objects=objects)
                bag.write(truth_topic, message, frame.stamp_ns)
            for role, message in frame_messages(bag.new, frame, header).items():
                bag.write(f"{camera}/{role}", message, frame.stamp_ns)
            count += 1
    return count
