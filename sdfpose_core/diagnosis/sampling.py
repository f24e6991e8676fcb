"""Choice of the messages of some moments, and the images in them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.diagnosis.findings import Finding, Level
from sdfpose_core.diagnosis.sample import CameraSample, CameraView, MessageHeader
from sdfpose_core.messages.compressed import raw_depth
from sdfpose_core.messages.decoding import (
    InputTopics,
    calibrated_camera,
    camera_from_info,
    check_rectified,
    decode_colour,
    decode_depth,
    decode_mask,
    default_depth_unit,
    labels_from_message,
)
from sdfpose_core.messages.errors import CameraInfoError, LabelsError, MessageError
from sdfpose_core.messages.interfaces import stamp_ns
from sdfpose_core.observation.depth_unit import MILLIMETRE

__all__ = ["CameraSampler", "missing_as_zero"]

_Decoded = TypeVar("_Decoded")

_VIEWS = 6
"""Number of moments."""

_PER_MOMENT = 3
"""Images of each topic that are kept for a moment."""

_IMAGES = ("colour", "depth", "mask")

_SAME_NS = 20_000_000
"""Messages of one frame have stamps within this time, nanoseconds."""

_SAME_CLOCK_NS = 1_000_000_000
"""Stamps that differ by more than this are of different clocks."""


@dataclass
class _Moment:
    """Images with their times of arrival, by role."""

    images: dict[str, list[tuple[int, Any]]] = field(
        default_factory=lambda: {x: [] for x in _IMAGES}
    )

    def has_stamp(self, role: str, stamp: int) -> bool:
        return any(_near(x, stamp) for _, x in self.images[role])


class CameraSampler:
    """Keeps the headers of all messages, and the images of a few moments.

    Args:
        topics: topics of the camera; that of the mask and that of the labels may be empty.
        seconds: expected time from the first to the last message, seconds.
        depth_unit: metres per unit of depth; None for millimetres in 16-bit and metres in float
            images.
    """

    def __init__(
        self, topics: InputTopics, seconds: float, depth_unit: float | None = None
    ) -> None:
        self._topics = topics
        self._roles = {topic: role for role, topic in asdict(topics).items() if topic}
        self._interval_ns = max(round(1e9 * seconds / _VIEWS), 1)
        self._depth_unit = depth_unit
        self._start_ns: int | None = None
        self._moments = [_Moment() for _ in range(_VIEWS)]
        self._headers: list[MessageHeader] = []
        self._infos: list[Any] = []
        self._labels: list[Any] = []
        self._refused: dict[tuple[str, str], Finding] = {}

    @property
    def topics(self) -> Iterable[str]:
        """Names of the topics whose messages are wanted."""
        return self._roles.keys()

    @property
    def silent(self) -> dict[str, str]:
        """The topics without a message, by role."""
        heard = {x.role for x in self._headers}
        return {role: topic for topic, role in self._roles.items() if role not in heard}

    def take(self, topic: str, message: Any, arrival_ns: int) -> None:
        """Take a message of one of the topics.

        Args:
            topic: the topic.
            message: the message.
            arrival_ns: time of its arrival or recording, nanoseconds.
        """
        role = self._roles[topic]
        header = message.header
        stamp = stamp_ns(header)
        self._headers.append(MessageHeader(role, arrival_ns, stamp, header.frame_id.lstrip("/")))
        if role == "camera_info":
            self._infos.append(message)
        elif role == "labels":
            self._labels.append(message)
        else:
            self._keep(role, message, stamp, arrival_ns)

    def sample(
        self, findings: Sequence[Finding] = (), *, latched_labels: bool = False
    ) -> CameraSample:
        """Return what was observed.

        Args:
            findings: what the reader of the messages has found.
            latched_labels: whether the publisher of the labels latches them.
        """
        views = [self._view(x) for x in self._moments if any(x.images.values())]
        return CameraSample(
            self._topics,
            self._headers,
            views,
            [*findings, *self._refused.values()],
            latched_labels,
        )

    def _keep(self, role: str, message: Any, stamp: int, arrival_ns: int) -> None:
        if self._start_ns is None:
            self._start_ns = arrival_ns
        place = (arrival_ns - self._start_ns) // self._interval_ns
        moment = self._moments[min(max(place, 0), _VIEWS - 1)]
        # A mask or a registered depth may come much later than its colour image.
        late = [x for x in self._moments if role != "colour" and x.has_stamp("colour", stamp)]
        for x in late or [moment]:
            kept = x.images[role]
            if not x.has_stamp(role, stamp) and (late or len(kept) < _PER_MOMENT):
                kept.append((arrival_ns, message))

    def _view(self, moment: _Moment) -> CameraView:
        chosen = _chosen(moment)
        topics = self._topics
        colour, depth, mask = (chosen.get(x) for x in _IMAGES)
        reference = colour or depth or mask
        pixels = self._decoded(decode_colour, colour, topics.colour)
        metres, unit = None, MILLIMETRE
        raw = self._decoded(raw_depth, depth, topics.depth)
        if raw is not None:
            metres = self._decoded(decode_depth, raw, topics.depth, self._depth_unit)
            unit = self._depth_unit or default_depth_unit(raw.encoding)
        info = _nearest(self._infos, reference)
        size = None if pixels is None else (pixels.shape[1], pixels.shape[0])
        camera = self._decoded(camera_from_info, info, topics.camera_info, size)
        if camera is not None:
            self._decoded(check_rectified, info, topics)
        labels = _nearest(self._labels, reference)
        return CameraView(
            pixels,
            None if metres is None else missing_as_zero(metres),
            self._decoded(decode_mask, mask, topics.mask),
            self._decoded(labels_from_message, labels, topics.labels),
            camera,
            None if camera is None else calibrated_camera(info),
            unit,
        )

    def _decoded(
        self, decode: Callable[..., _Decoded], message: Any, *args: Any
    ) -> _Decoded | None:
        """Decode a message; None if there is none, or if it is refused, which becomes a finding."""
        if message is None:
            return None
        try:
            return decode(message, *args)
        except MessageError as error:
            level: Level = "warning" if decode is check_rectified else "fault"
            finding = Finding(level, _name(error), str(error))
            self._refused.setdefault((decode.__name__, error.topic), finding)
            return None


def missing_as_zero(depth: NDArray[np.floating]) -> NDArray[np.float32]:
    """Set NaN, Inf and negative depth (H, W), metres, to 0 = missing, however far the rest is."""
    with np.errstate(invalid="ignore"):
        valid = (depth > 0.0) & (depth < np.inf)
    return np.where(valid, depth, np.float32(0.0)).astype(np.float32)


def _chosen(moment: _Moment) -> Mapping[str, Any]:
    """Choose the images of a moment that belong together, by stamp or else by arrival."""
    colours = moment.images["colour"]
    if not colours:
        return {role: x[0][1] for role, x in moment.images.items() if x}

    def partners(colour: tuple[int, Any]) -> dict[str, Any]:
        return {
            role: _partner(colour, moment.images[role]) for role in _IMAGES if moment.images[role]
        }

    def agreement(found: Mapping[str, Any]) -> int:
        stamp = stamp_ns(found["colour"].header)
        return sum(_near(x, stamp) for x in found.values())

    return max(map(partners, colours), key=agreement)


def _partner(colour: tuple[int, Any], others: Sequence[tuple[int, Any]]) -> Any:
    arrival, stamp = colour[0], stamp_ns(colour[1].header)
    nearest = min(others, key=lambda x: abs(stamp_ns(x[1].header) - stamp))
    if abs(stamp_ns(nearest[1].header) - stamp) > _SAME_CLOCK_NS:
        nearest = min(others, key=lambda x: abs(x[0] - arrival))
    return nearest[1]


def _nearest(messages: Sequence[Any], reference: Any) -> Any:
    """Return the message with the stamp nearest to that of another; None without messages."""
    if not messages or reference is None:
        return None
    stamp = stamp_ns(reference.header)
    return min(messages, key=lambda x: abs(stamp_ns(x.header) - stamp))


def _near(message: Any, stamp: int) -> bool:
    return abs(stamp_ns(message.header) - stamp) <= _SAME_NS


def _name(error: MessageError) -> str:
    if isinstance(error, CameraInfoError):
        return "intrinsics"
    return "masks" if isinstance(error, LabelsError) else "images"
