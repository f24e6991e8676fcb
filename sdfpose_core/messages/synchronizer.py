"""Colour, depth, mask, camera info and labels of one moment, put together by their stamps."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sdfpose_core.messages.decoding import InputTopics
from sdfpose_core.messages.errors import (
    FrameIdError,
    MessageError,
    MissingCameraInfoError,
    StaleFrameError,
)
from sdfpose_core.messages.filters import ApproximateTimeSynchronizer, SimpleFilter
from sdfpose_core.messages.interfaces import CameraInfo, Image, InstanceLabels, stamp_ns

__all__ = ["FrameMessages", "FrameSynchronizer", "SynchronizerStatistics"]

_JUMP_BACK_NS = 1_000_000_000
"""A frame older than the last by more than this means that time itself jumped back."""


@dataclass(frozen=True)
class FrameMessages:
    """The messages of one frame.

    Attributes:
        labels: None where the parameters say what the mask ids are.
    """

    colour: Image
    depth: Image
    mask: Image
    info: CameraInfo
    labels: InstanceLabels | None

    @property
    def stamp_ns(self) -> int:
        """Stamp of the colour image, nanoseconds."""
        return stamp_ns(self.colour.header)


@dataclass
class SynchronizerStatistics:
    """What became of the messages.

    Attributes:
        received: messages by topic.
        matched: groups whose stamps agree.
        accepted: groups given out as frames; the others are in `refused`.
        refused: groups by the name of the error that refused them.
        restarts: how often time jumped back.
    """

    received: dict[str, int] = field(default_factory=dict)
    matched: int = 0
    accepted: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    restarts: int = 0


class FrameSynchronizer:
    """Groups messages by stamp and gives out those that can be a frame.

    A frame takes the camera info of its own moment. Where infos come with the images it waits for
    it until the next frame is complete; where they do not, the last one serves. A frame that is not
    newer than the last one given out is refused, unless time jumped back by more than a second:
    then everything starts anew.

    Args:
        colour, depth, mask: filters that give images.
        info: filter that gives camera infos.
        labels: filter that gives labels, None where the parameters say what mask ids are.
        topics: their names, for messages to the user.
        queue_size: messages kept for each input. A mask that comes n frames after its image needs
            n + 1 of them.
        slop_s: largest difference of stamps within a frame, seconds.
        on_frame: called with each frame.
        on_error: called with what was wrong with a group that was refused.
        on_restart: called when time jumped back (a bag's loop, a simulation's reset).
    """

    def __init__(
        self,
        *,
        colour: SimpleFilter,
        depth: SimpleFilter,
        mask: SimpleFilter,
        info: SimpleFilter,
        labels: SimpleFilter | None,
        topics: InputTopics,
        queue_size: int,
        slop_s: float,
        on_frame: Callable[[FrameMessages], None],
        on_error: Callable[[MessageError], None],
        on_restart: Callable[[], None],
    ) -> None:
        self._topics = topics
        self._queue_size = queue_size
        self._slop_s = slop_s
        self._slop_ns = round(slop_s * 1e9)
        self._on_frame = on_frame
        self._on_error = on_error
        self._on_restart = on_restart
        self._infos: deque[CameraInfo] = deque(maxlen=queue_size)
        self._infos_follow = False
        self._waiting: Sequence[Any] | None = None
        self._last_ns: int | None = None
        self._newest_ns: dict[str, int] = {}
        self.statistics = SynchronizerStatistics()
        named = [(topics.colour, colour), (topics.depth, depth), (topics.mask, mask)]
        if labels is not None:
            named.append((topics.labels, labels))
        for topic, source in [*named, (topics.camera_info, info)]:
            self.statistics.received[topic] = 0
            source.registerCallback(self._count, topic)
        # Filters between the subscriptions and the matching, which can be made anew.
        self._inputs = [SimpleFilter() for _ in named]
        for (topic, source), inlet in zip(named, self._inputs, strict=True):
            source.registerCallback(self._watch_clock, topic)
            source.registerCallback(inlet.signalMessage)
        info.registerCallback(self._take_info)
        self._matcher = self._connect()

    def finish(self) -> None:
        """Give out the frame that waits for its camera info: no more messages come."""
        if self._waiting is not None:
            group, self._waiting = self._waiting, None
            self._give_out(group)

    def _connect(self) -> ApproximateTimeSynchronizer:
        for inlet in self._inputs:
            inlet.callbacks.clear()
        matcher = ApproximateTimeSynchronizer(self._inputs, self._queue_size, self._slop_s)
        matcher.registerCallback(self._take_group)
        return matcher

    def _count(self, _: object, topic: str) -> None:
        self.statistics.received[topic] += 1

    def _watch_clock(self, message: Image | InstanceLabels, topic: str) -> None:
        """Forget what waits for a time that will not come again."""
        stamp = stamp_ns(message.header)
        if stamp < self._newest_ns.get(topic, stamp) - _JUMP_BACK_NS:
            self._matcher = self._connect()
            self._newest_ns.clear()
            self._last_ns = None
            if self._waiting is not None:
                self._waiting = None
                self._refuse(
                    StaleFrameError(topic, "time jumped back while a frame waited", "later stamps")
                )
            self.statistics.restarts += 1
            self._on_restart()
        self._newest_ns[topic] = max(stamp, self._newest_ns.get(topic, stamp))

    def _take_info(self, info: CameraInfo) -> None:
        self._infos.append(info)
        if self._waiting is not None and self._own_info(self._waiting) is not None:
            group, self._waiting = self._waiting, None
            self._give_out(group)

    def _take_group(self, *group: Any) -> None:
        self.statistics.matched += 1
        if self._waiting is not None:
            earlier, self._waiting = self._waiting, None
            self._give_out(earlier)
        if self._own_info(group) is None and (self._infos_follow or not self._infos):
            self._waiting = group  # its camera info may be on its way
        else:
            self._give_out(group)

    def _own_info(self, group: Sequence[Any]) -> CameraInfo | None:
        """The camera info of the group's moment; None where there is none."""
        stamp = stamp_ns(group[0].header)
        near = [i for i in self._infos if abs(stamp_ns(i.header) - stamp) <= self._slop_ns]
        return min(near, key=lambda i: abs(stamp_ns(i.header) - stamp), default=None)

    def _give_out(self, group: Sequence[Any]) -> None:
        own = self._own_info(group)
        self._infos_follow = own is not None
        if own is not None or self._infos:
            self._accept(group, self._infos[-1] if own is None else own)
            return
        self._refuse(
            MissingCameraInfoError(
                self._topics.camera_info,
                f"no camera info, while complete frames of {self._topics.colour} come",
                "sensor_msgs/CameraInfo with the colour image's intrinsics (is the topic's name "
                "right, and its QoS compatible?)",
            )
        )

    def _accept(self, group: Sequence[Any], info: CameraInfo) -> None:
        try:
            self._check_frame_ids(group, info)
            self._check_order(group[0])
        except MessageError as error:
            self._refuse(error)
            return
        frame = FrameMessages(
            colour=group[0],
            depth=group[1],
            mask=group[2],
            info=info,
            labels=group[3] if len(group) > 3 else None,
        )
        self._last_ns = frame.stamp_ns
        self.statistics.accepted += 1
        self._on_frame(frame)

    def _refuse(self, error: MessageError) -> None:
        name = type(error).__name__
        self.statistics.refused[name] = self.statistics.refused.get(name, 0) + 1
        self._on_error(error)

    def _check_frame_ids(self, group: Sequence[Any], info: CameraInfo) -> None:
        expected = group[0].header.frame_id
        if not expected:
            raise FrameIdError(
                self._topics.colour, "an image without a frame id", "the name of its optical frame"
            )
        topics = (self._topics.depth, self._topics.mask, self._topics.camera_info)
        for topic, message in zip(topics, (group[1], group[2], info), strict=True):
            if message.header.frame_id != expected:
                raise FrameIdError(
                    topic,
                    f"frame id '{message.header.frame_id}'",
                    f"'{expected}', the frame of {self._topics.colour} (register it to colour)",
                )

    def _check_order(self, colour: Image) -> None:
        stamp = stamp_ns(colour.header)
        if self._last_ns is not None and stamp <= self._last_ns:
            late = (self._last_ns - stamp) * 1e-9
            raise StaleFrameError(
                self._topics.colour,
                f"an image {late:.3f} s older than the last one"
                if late
                else "two images with the same stamp",
                "stamps that grow",
            )
