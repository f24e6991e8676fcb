"""Colour, depth, mask, camera info and labels of one moment, put together by their stamps."""

from __future__ import annotations

import math
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
from sdfpose_core.messages.interfaces import (
    JUMP_BACK_NS,
    AnyImage,
    CameraInfo,
    InstanceLabels,
    stamp_ns,
)

__all__ = ["FrameMessages", "FrameSynchronizer", "SynchronizerStatistics", "needed_queue_size"]


@dataclass(frozen=True)
class FrameMessages:
    """The messages of one frame.

    Attributes:
        labels: None where the parameters say what the mask ids are.
    """

    colour: AnyImage
    depth: AnyImage
    mask: AnyImage
    info: CameraInfo
    labels: InstanceLabels | None

    @property
    def stamp_ns(self) -> int:
        """Stamp of the colour image, nanoseconds."""
        return stamp_ns(self.colour.header)


@dataclass
class SynchronizerStatistics:
    """What became of the messages.

    Nothing is lost uncounted: of every topic but that of camera infos, what was received is in a
    group that matched, is unmatched, or waits (`FrameSynchronizer.waiting`); and a group that
    matched was accepted, was refused, or waits (`FrameSynchronizer.awaits_camera_info`).

    Attributes:
        received: messages by topic.
        unmatched: messages by topic that found no group: pushed out of a full queue by newer ones,
            replaced by one with the same stamp, or forgotten when time jumped back or the
            synchroniser was configured anew. Camera infos have none: one may serve many frames.
        matched: groups whose stamps agree.
        accepted: groups given out as frames; the others are in `refused`.
        refused: groups by the name of the error that refused them.
        restarts: how often time jumped back.
    """

    received: dict[str, int] = field(default_factory=dict)
    unmatched: dict[str, int] = field(default_factory=dict)
    matched: int = 0
    accepted: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    restarts: int = 0


def needed_queue_size(rate_hz: float, lag_s: float) -> int:
    """Messages that have to be kept where one topic comes later than the others.

    Args:
        rate_hz: of the frames.
        lag_s: how far the topic is behind, see `FrameSynchronizer.lags`.

    Returns:
        The frames that come meanwhile, the one waited for, and one more for lags that vary.
    """
    return math.ceil(rate_hz * lag_s - 1e-6) + 2  # 1e-6: 1.1 s at 10 Hz are 11 frames, not 12


class FrameSynchronizer:
    """Groups messages by stamp and gives out those that can be a frame.

    A frame takes the camera info of its own moment. Where infos come with the images it waits for
    it until the next frame is complete; where they do not, the last one serves. A frame that is not
    newer than the last one given out is refused, unless time jumped back by more than a second:
    then everything starts anew.

    Args:
        colour, depth, mask: filters that give images, raw or compressed ones.
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
        self._on_frame = on_frame
        self._on_error = on_error
        self._on_restart = on_restart
        self._infos: deque[CameraInfo] = deque(maxlen=queue_size)
        self._infos_follow = False
        self._group: Sequence[Any] | None = None
        self._last_ns: int | None = None
        self._newest_ns: dict[str, int] = {}
        named = [(topics.colour, colour), (topics.depth, depth), (topics.mask, mask)]
        if labels is not None:
            named.append((topics.labels, labels))
        self._matched_topics = [topic for topic, _ in named]
        self.statistics = SynchronizerStatistics(
            received=dict.fromkeys([*self._matched_topics, topics.camera_info], 0),
            unmatched=dict.fromkeys(self._matched_topics, 0),
        )
        # Filters between the subscriptions and the matching, which can be made anew.
        self._inputs = [SimpleFilter() for _ in named]
        for (topic, source), inlet in zip(named, self._inputs, strict=True):
            source.registerCallback(self._take, topic, inlet)
        info.registerCallback(self._take_info)
        self._matcher = self._connect()

    @property
    def waiting(self) -> dict[str, int]:
        """Messages by topic that wait for those of the other topics."""
        return dict(zip(self._matched_topics, self._matcher.waiting, strict=True))

    @property
    def awaits_camera_info(self) -> bool:
        """Whether a group that matched waits for its camera info."""
        return self._group is not None

    def lags(self) -> dict[str, float]:
        """Seconds by which the newest stamp of each topic is behind the newest of all.

        Of every topic but that of camera infos; one without a message has none.
        """
        newest = max(self._newest_ns.values(), default=0)
        return {topic: (newest - stamp) * 1e-9 for topic, stamp in self._newest_ns.items()}

    def reconfigure(self, queue_size: int, slop_s: float) -> None:
        """Go on with another queue size and slop; messages that wait become unmatched.

        Args:
            queue_size: messages kept for each input.
            slop_s: largest difference of stamps within a frame, seconds.
        """
        self._queue_size = queue_size
        self._slop_s = slop_s
        self._infos = deque(self._infos, maxlen=queue_size)
        self._forget_waiting()

    def finish(self) -> None:
        """Give out the frame that waits for its camera info: no more messages come."""
        if self._group is not None:
            group, self._group = self._group, None
            self._give_out(group)

    def _connect(self) -> ApproximateTimeSynchronizer:
        for inlet in self._inputs:
            inlet.callbacks.clear()
        matcher = ApproximateTimeSynchronizer(
            self._inputs, self._queue_size, self._slop_s, self._count_unmatched
        )
        matcher.registerCallback(self._take_group)
        return matcher

    def _forget_waiting(self) -> None:
        for index, count in enumerate(self._matcher.waiting):
            self._count_unmatched(index, count)
        self._matcher = self._connect()

    def _count_unmatched(self, index: int, count: int = 1) -> None:
        self.statistics.unmatched[self._matched_topics[index]] += count

    def _take(self, message: AnyImage | InstanceLabels, topic: str, inlet: SimpleFilter) -> None:
        self._watch_clock(message, topic)
        self.statistics.received[topic] += 1
        inlet.signalMessage(message)

    def _watch_clock(self, message: AnyImage | InstanceLabels, topic: str) -> None:
        """Forget what waits for a time that will not come again."""
        stamp = stamp_ns(message.header)
        if stamp < self._newest_ns.get(topic, stamp) - JUMP_BACK_NS:
            self._forget_waiting()
            self._newest_ns.clear()
            self._last_ns = None
            if self._group is not None:
                self._group = None
                self._refuse(
                    StaleFrameError(topic, "time jumped back while a frame waited", "later stamps")
                )
            self.statistics.restarts += 1
            self._on_restart()
        self._newest_ns[topic] = max(stamp, self._newest_ns.get(topic, stamp))

    def _take_info(self, info: CameraInfo) -> None:
        self.statistics.received[self._topics.camera_info] += 1
        self._infos.append(info)
        if self._group is not None and self._own_info(self._group) is not None:
            self.finish()

    def _take_group(self, *group: Any) -> None:
        self.statistics.matched += 1
        earlier, self._group = self._group, group
        if earlier is not None:
            self._give_out(earlier)
        if self._own_info(group) is None and (self._infos_follow or not self._infos):
            return  # its camera info may be on its way
        self.finish()

    def _own_info(self, group: Sequence[Any]) -> CameraInfo | None:
        """The camera info of the group's moment; None where there is none."""
        stamp = stamp_ns(group[0].header)
        slop_ns = round(self._slop_s * 1e9)
        near = [i for i in self._infos if abs(stamp_ns(i.header) - stamp) <= slop_ns]
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

    def _check_order(self, colour: AnyImage) -> None:
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
