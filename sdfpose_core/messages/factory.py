"""What makes messages of a type by its name, whichever package the classes are from."""

from __future__ import annotations

from typing import Any, Protocol

from rosbags.typesys.store import Typestore

from sdfpose_core.messages.interfaces import Header

__all__ = ["MessageFactory", "bag_messages", "header_message"]

_SECOND_NS = 1_000_000_000


class MessageFactory(Protocol):
    """Makes messages.

    Arrays of numbers are given as numpy arrays of the field's own type, all fields by name.
    """

    def __call__(self, kind: str, /, **fields: Any) -> Any:
        """A message of a type such as ``sensor_msgs/msg/Image``."""
        ...


def bag_messages(store: Typestore) -> MessageFactory:
    """A factory of messages that rosbags writes.

    Args:
        store: has their definitions.
    """

    def new(kind: str, /, **fields: Any) -> Any:
        return store.types[kind](**fields)

    return new


def header_message(new: MessageFactory, stamp_ns: int, frame_id: str) -> Header:
    """Header of a stamp, nanoseconds, and a frame."""
    sec, nanosec = divmod(stamp_ns, _SECOND_NS)
    stamp = new("builtin_interfaces/msg/Time", sec=sec, nanosec=nanosec)
    return new("std_msgs/msg/Header", stamp=stamp, frame_id=frame_id)
