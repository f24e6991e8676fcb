"""A bag whose compressed images are played as raw ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from sdfpose_core.datasets.bag_reader import BagReader, Connection
from sdfpose_core.messages.compressed import raw_image
from sdfpose_core.messages.definitions import message_definitions
from sdfpose_core.messages.factory import bag_messages

__all__ = ["RawImages"]

_IMAGE, _COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"

_TRANSPORTS = ("/compressedDepth", "/compressed")
"""Suffixes of the topics of compressed images, preferred first."""


class RawImages:
    """Reads a bag as if its images had been recorded raw, on the names of the raw topics.

    Args:
        reader: the bag.

    Attributes:
        connections: the topics, with raw images in place of compressed ones.
        left_out: see `BagReader`.
    """

    def __init__(self, reader: BagReader) -> None:
        self._reader = reader
        self._store = message_definitions()
        self.left_out = reader.left_out
        self._compressed: dict[str, Connection] = {}
        taken = {x.topic for x in reader.connections}
        for transport in _TRANSPORTS:
            for x in reader.connections:
                name = x.topic.removesuffix(transport)
                if x.msgtype == _COMPRESSED and name != x.topic and name not in taken:
                    self._compressed[name] = x
                    taken.add(name)
        replaced = {x.topic: name for name, x in self._compressed.items()}
        self.connections = [
            replace(x, topic=replaced[x.topic], msgtype=_IMAGE) if x.topic in replaced else x
            for x in reader.connections
        ]

    def messages(
        self, connections: Iterable[Connection]
    ) -> Iterator[tuple[Connection, int, bytes]]:
        """See `BagReader`. A compressed image that cannot be decoded has no data."""
        chosen = {x.topic: x for x in connections}
        recorded = {name: self._compressed.get(name, x) for name, x in chosen.items()}
        names = {x.topic: name for name, x in recorded.items()}
        for connection, arrival_ns, data in self._reader.messages(recorded.values()):
            name = names[connection.topic]
            if name in self._compressed:
                yield chosen[name], arrival_ns, self._raw(data, connection.topic)
            else:
                yield connection, arrival_ns, data

    def deserialize(self, data: bytes, msgtype: str) -> Any:
        """See `BagReader`."""
        if msgtype == _IMAGE:
            return self._store.deserialize_cdr(data, msgtype)
        return self._reader.deserialize(data, msgtype)

    def as_installed(self, data: bytes, msgtype: str) -> bytes:
        """See `BagReader`."""
        return data if msgtype == _IMAGE else self._reader.as_installed(data, msgtype)

    def _raw(self, data: bytes, topic: str) -> bytes:
        try:
            image = raw_image(self._reader.deserialize(data, _COMPRESSED), topic)
        except Exception:  # parsers raise any exception on damaged data; the player counts it
            return b""
        new = bag_messages(self._store)
        names = ("height", "width", "encoding", "is_bigendian", "step", "data")
        message = new(
            _IMAGE, header=_header(new, image.header), **{x: getattr(image, x) for x in names}
        )
        return bytes(self._store.serialize_cdr(message, _IMAGE))


def _header(new: Any, header: Any) -> Any:
    """Copy a header, whose classes are those of the bag's definitions."""
    stamp = new("builtin_interfaces/msg/Time", sec=header.stamp.sec, nanosec=header.stamp.nanosec)
    return new("std_msgs/msg/Header", stamp=stamp, frame_id=header.frame_id)
