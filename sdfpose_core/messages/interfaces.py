"""Protocols of ROS messages, satisfied by the classes of both rclpy and rosbags."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

__all__ = [
    "JUMP_BACK_NS",
    "AnyImage",
    "CameraInfo",
    "CompressedImage",
    "Header",
    "Image",
    "InstanceLabels",
    "Stamped",
    "normalise_frame_id",
    "stamp_ns",
]


class Stamp(Protocol):
    """builtin_interfaces/Time."""

    sec: int
    nanosec: int


class Header(Protocol):
    """std_msgs/Header."""

    stamp: Stamp
    frame_id: str


class Stamped(Protocol):
    """A message with a header."""

    header: Any  # Header; the fields of a protocol are invariant


class Image(Stamped, Protocol):
    """sensor_msgs/Image."""

    height: int
    width: int
    encoding: str
    is_bigendian: int
    step: int
    data: Any


class CompressedImage(Stamped, Protocol):
    """sensor_msgs/CompressedImage."""

    format: str
    data: Any


AnyImage = Image | CompressedImage
"""A raw or compressed image; `sdfpose_core.messages.compressed` decompresses it."""


class CameraInfo(Stamped, Protocol):
    """sensor_msgs/CameraInfo."""

    height: int
    width: int
    d: Any
    k: Any
    p: Any
    binning_x: int
    binning_y: int
    roi: Any


class InstanceLabels(Stamped, Protocol):
    """sdfpose/InstanceLabels."""

    instances: Sequence[Any]


JUMP_BACK_NS = 1_000_000_000
"""A stamp older than the newest by more than this means that time jumped back (a looping bag)."""


def stamp_ns(header: Header) -> int:
    """Return the stamp of a header in nanoseconds."""
    return header.stamp.sec * 1_000_000_000 + header.stamp.nanosec


def normalise_frame_id(message: Stamped) -> str:
    """Remove leading slashes from a message's frame id, which tf2 refuses; return the frame id."""
    header = message.header
    if header.frame_id.startswith("/"):
        header.frame_id = header.frame_id.lstrip("/")
    return str(header.frame_id)
