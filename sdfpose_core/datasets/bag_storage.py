"""What the storage formats of a rosbag2 have in common."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import yaml

from sdfpose_core.errors import BagError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

__all__ = ["Channel", "Storage", "StorageError", "StoredMessage", "is_latched", "zstd"]

StoredMessage = tuple[int, int, bytes]
"""Recording time (nanoseconds), channel id and serialised message."""

_TRANSIENT_LOCAL = (1, "1", "transient_local")


class StorageError(BagError):
    """A storage file that cannot be read at all; the message does not name the file."""


@dataclass
class Channel:
    """A topic of a storage file.

    Attributes:
        topic: name of the topic.
        msgtype: message type, e.g. ``sensor_msgs/msg/Image``.
        encoding: serialisation of the messages; that of ROS 2 is ``cdr``.
        definition: text of the message definition; may be empty.
        definition_format: ``ros2msg``, ``ros2idl``, or anything else that the recorder wrote.
        digest: hash of the message type (REP-2011); may be empty.
        latched: whether the recorded publisher was transient local.
        count: number of messages.
    """

    topic: str
    msgtype: str
    encoding: str = "cdr"
    definition: str = ""
    definition_format: str = ""
    digest: str = ""
    latched: bool = False
    count: int = 0


class Storage(Protocol):
    """A storage file.

    Problems that concern only a part of the file are reported and do not stop the reading.
    """

    @property
    def channels(self) -> Mapping[int, Channel]:
        """The topics by channel id."""
        ...

    @property
    def span_ns(self) -> tuple[int, int] | None:
        """Recording times of the first and the last message; None if there is no message."""
        ...

    def messages(self, ids: Collection[int], start_ns: int = 0) -> Iterator[StoredMessage]:
        """Yield the messages of some channels in the order of their recording times.

        Args:
            ids: channel ids.
            start_ns: earlier messages are left out.
        """
        ...

    def close(self) -> None:
        """Close the file."""
        ...


def is_latched(offered_qos_profiles: str) -> bool:
    """Check whether one of the QoS profiles, in YAML, is transient local."""
    try:
        profiles: Any = yaml.safe_load(offered_qos_profiles)
    except yaml.YAMLError:
        return False
    return isinstance(profiles, list) and any(
        isinstance(x, dict) and x.get("durability") in _TRANSIENT_LOCAL for x in profiles
    )
