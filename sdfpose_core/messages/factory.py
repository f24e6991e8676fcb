"""Factories that create messages by type name, independent of the package of their classes."""

from __future__ import annotations

from typing import Any, Protocol

from rosbags.typesys.store import Typestore

from sdfpose_core.messages.interfaces import Header

__all__ = ["MessageFactory", "bag_messages", "header_message", "time_message"]

_SECOND_NS = 1_000_000_000
_LAST_SECOND = 2**31 - 1


class MessageFactory(Protocol):
    """Creates messages.

    All fields are given by name; arrays of numbers are NumPy arrays of the field's type.
    """

    def __call__(self, kind: str, /, **fields: Any) -> Any:
        """Create a message of a type such as ``sensor_msgs/msg/Image``."""
        ...


def bag_messages(store: Typestore) -> MessageFactory:
    """Create a factory of rosbags messages.

    Args:
        store: definitions of the messages.
    """

    def new(kind: str, /, **fields: Any) -> Any:
        return store.types[kind](**fields)

    return new


def time_message(new: MessageFactory, stamp_ns: int) -> Any:
    """Create a stamp from nanoseconds."""
    sec = min(stamp_ns // _SECOND_NS, _LAST_SECOND)
    nanosec = stamp_ns - sec * _SECOND_NS  # more than a second in broken stamps at the end of time
    return new("builtin_interfaces/msg/Time", sec=sec, nanosec=nanosec)


def header_message(new: MessageFactory, stamp_ns: int, frame_id: str) -> Header:
    """Create a header from a stamp in nanoseconds and a frame id."""
    return new("std_msgs/msg/Header", stamp=time_message(new, stamp_ns), frame_id=frame_id)
