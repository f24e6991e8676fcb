"""What is looked at of a camera: the headers of all messages, and the images of some moments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.diagnosis.findings import Finding, Level
from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.messages.decoding import InputTopics
from sdfpose_core.observation.depth_unit import MILLIMETRE
from sdfpose_core.observation.frame import InstanceLabel

__all__ = ["CameraSample", "CameraView", "MessageHeader", "Stream", "silent_topic"]

_REQUIRED = ("colour", "depth", "camera_info")
"""Roles without which there are no poses."""


@dataclass(frozen=True)
class CameraView:
    """Images of one moment. Unlike those of a frame, they need not fit together.

    Attributes:
        colour: (H, W, 3) uint8, RGB; None without a usable image.
        depth: (h, w) float32, metres, 0 = missing, not limited to what cameras measure; None
            without a usable image.
        mask: (h, w) uint16, instance id per pixel; None without masks.
        labels: category and score per mask id; None if nothing gives the categories.
        camera: intrinsics of the colour image; None if there are none.
        calibrated: intrinsics before a region of interest and binning were applied.
        depth_unit: metres per unit that `depth` was decoded with.
    """

    colour: NDArray[np.uint8] | None = None
    depth: NDArray[np.float32] | None = None
    mask: NDArray[np.uint16] | None = None
    labels: Mapping[int, InstanceLabel] | None = None
    camera: PinholeCamera | None = None
    calibrated: PinholeCamera | None = None
    depth_unit: float = MILLIMETRE


@dataclass(frozen=True)
class MessageHeader:
    """The header of a message.

    Attributes:
        role: part of a frame that the message is, e.g. ``depth``.
        arrival_ns: time at which it arrived or was recorded, nanoseconds.
        stamp_ns: its stamp, nanoseconds.
        frame_id: its frame id.
    """

    role: str
    arrival_ns: int
    stamp_ns: int
    frame_id: str


@dataclass(frozen=True)
class Stream:
    """The times of the messages of a topic, in the order of their arrival.

    Attributes:
        topic: name of the topic.
        stamps_ns: (N,) int64, nanoseconds.
        arrivals_ns: (N,) int64, nanoseconds.
    """

    topic: str
    stamps_ns: NDArray[np.int64]
    arrivals_ns: NDArray[np.int64]

    @property
    def seconds(self) -> float:
        """Time from the first to the last arrival, seconds."""
        return 1e-9 * float(np.ptp(self.arrivals_ns)) if len(self.arrivals_ns) else 0.0


@dataclass(frozen=True)
class CameraSample:
    """What was observed of a camera.

    Attributes:
        topics: topics of the messages; None for frame folders, which have no stamps.
        headers: headers of all messages in the order of their arrival.
        views: images of some moments, in order.
        findings: what the reading itself has found: topics that are missing or silent, messages
            that cannot be decoded.
        latched_labels: whether the labels hold for all images until the next ones.
    """

    topics: InputTopics | None = None
    headers: Sequence[MessageHeader] = ()
    views: Sequence[CameraView] = ()
    findings: Sequence[Finding] = field(default_factory=list)
    latched_labels: bool = False

    def streams(self) -> dict[str, Stream]:
        """Return the times of the messages by role; roles without messages are left out."""
        times: dict[str, list[tuple[int, int]]] = {}
        for x in self.headers:
            times.setdefault(x.role, []).append((x.stamp_ns, x.arrival_ns))
        found = {}
        for role, rows in times.items():
            stamps, arrivals = np.array(rows, dtype=np.int64).T
            found[role] = Stream(getattr(self.topics, role), stamps, arrivals)
        return found


def silent_topic(role: str, topic: str, cause: str = "") -> Finding:
    """Return the finding about a topic of a camera that has no message.

    Args:
        role: part of a frame that the topic carries.
        topic: name of the topic.
        cause: likely cause, and what to do.
    """
    level: Level = "fault" if role in _REQUIRED else "warning"
    return Finding(level, "topics", f"{topic}: no message", cause or "check its publisher")
