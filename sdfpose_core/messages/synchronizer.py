"""Synchronisation of colour, depth, mask, camera info and labels by their stamps."""

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

__all__ = ["FrameMessages", "FrameSynchronizer", "SynchronizerStatistics", "required_queue_size"]


@dataclass(frozen=True)
class FrameMessages:
    """The messages of one frame.

    Attributes:
        labels: None if parameters determine the categories of the mask ids.
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
    """Message counts of a synchroniser.

    Every message is accounted for. A received message (other than a camera info) is in a matched
    group, unmatched, or waiting (`FrameSynchronizer.waiting`). A matched group is accepted,
    refused, or waiting (`FrameSynchronizer.waiting_for_camera_info`).

    Attributes:
        received: number of messages by topic.
        unmatched: number of messages without a group by topic: dropped from a full queue, replaced
            by a message with the same stamp, or discarded when time jumped back or the
            synchroniser was reconfigured. Camera infos are not counted, because one camera info
            may be used for many frames.
        matched: number of groups with matching stamps.
        accepted: number of groups passed on as frames; the others are in `rejected`.
        rejected: number of rejected groups by the name of the error.
        restarts: number of times that time jumped back.
    """

    received: dict[str, int] = field(default_factory=dict)
    unmatched: dict[str, int] = field(default_factory=dict)
    matched: int = 0
    accepted: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    restarts: int = 0


def required_queue_size(rate_hz: float, lag_s: float) -> int:
    """Compute the queue size needed when one topic lags behind the others.

    Args:
        rate_hz: frame rate, Hz.
        lag_s: lag of the topic, seconds, see `FrameSynchronizer.lags`.

    Returns:
        The number of frames that arrive during the lag, plus the awaited frame, plus one for
        variations of the lag.
    """
    return math.ceil(rate_hz * lag_s - 1e-6) + 2  # 1e-6: 1.1 s at 10 Hz are 11 frames, not 12


class FrameSynchronizer:
    """Groups messages by stamp and passes on valid groups as frames.

    A frame uses the camera info with a matching stamp. If camera infos are published with each
    image, the frame waits for its own until the next frame is complete; otherwise it uses the last
    camera info. A frame that is not newer than the previous one is refused, unless time jumped
    back by more than a second; in that case the synchroniser restarts.

    Args:
        colour, depth, mask: filters of raw or compressed images.
        info: filter of camera infos.
        labels: filter of labels, None if parameters determine the categories of the mask ids.
        topics: names of the topics, for messages to the user.
        queue_size: messages kept for each input. A mask that arrives n frames after its image
            needs n + 1.
        slop_s: largest difference of stamps within a frame, seconds.
        on_frame: called with each frame.
        on_error: called with the error of each refused group.
        on_restart: called when time jumped back (a looping bag, a reset simulation).
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
        # Filters between subscriptions and matcher, so that the matcher can be replaced.
        self._inputs = [SimpleFilter() for _ in named]
        for (topic, source), inlet in zip(named, self._inputs, strict=True):
            source.registerCallback(self._take, topic, inlet)
        info.registerCallback(self._take_info)
        self._matcher = self._connect()

    @property
    def waiting(self) -> dict[str, int]:
        """Number of messages by topic that wait for other topics."""
        return dict(zip(self._matched_topics, self._matcher.waiting, strict=True))

    @property
    def waiting_for_camera_info(self) -> bool:
        """Whether a matched group waits for its camera info."""
        return self._group is not None

    def lags(self) -> dict[str, float]:
        """Return how far the newest stamp of each topic lags behind the newest of all, seconds.

        Camera infos and topics without a message are not included.
        """
        newest = max(self._newest_ns.values(), default=0)
        return {topic: (newest - stamp) * 1e-9 for topic, stamp in self._newest_ns.items()}

    def reconfigure(self, queue_size: int, slop_s: float) -> None:
        """Change queue size and slop; waiting messages become unmatched.

        Args:
            queue_size: messages kept for each input.
            slop_s: largest difference of stamps within a frame, seconds.
        """
        self._queue_size = queue_size
        self._slop_s = slop_s
        self._infos = deque(self._infos, maxlen=queue_size)
        self._discard_waiting()

    def finish(self) -> None:
        """End the input and pass on the frame that waits for its camera info."""
        if self._group is not None:
            group, self._group = self._group, None
            self._emit(group)

    def _connect(self) -> ApproximateTimeSynchronizer:
        for inlet in self._inputs:
            inlet.callbacks.clear()
        matcher = ApproximateTimeSynchronizer(
            self._inputs, self._queue_size, self._slop_s, self._count_unmatched
        )
        matcher.registerCallback(self._take_group)
        return matcher

    def _discard_waiting(self) -> None:
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
        """Discard waiting messages when time jumps back."""
        stamp = stamp_ns(message.header)
        if stamp < self._newest_ns.get(topic, stamp) - JUMP_BACK_NS:
            self._discard_waiting()
            self._newest_ns.clear()
            self._last_ns = None
            if self._group is not None:
                self._group = None
                self._refuse(
                    StaleFrameError(
                        topic, "time jumped back while a frame was waiting", "increasing stamps"
                    )
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
            self._emit(earlier)
        if self._own_info(group) is None and (self._infos_follow or not self._infos):
            return  # its camera info may still arrive
        self.finish()

    def _own_info(self, group: Sequence[Any]) -> CameraInfo | None:
        """Find the camera info that matches the stamp of the group; None if there is none."""
        stamp = stamp_ns(group[0].header)
        slop_ns = round(self._slop_s * 1e9)
        near = [i for i in self._infos if abs(stamp_ns(i.header) - stamp) <= slop_ns]
        return min(near, key=lambda i: abs(stamp_ns(i.header) - stamp), default=None)

    def _emit(self, group: Sequence[Any]) -> None:
        own = self._own_info(group)
        self._infos_follow = own is not None
        if own is not None or self._infos:
            self._accept(group, self._infos[-1] if own is None else own)
            return
        self._refuse(
            MissingCameraInfoError(
                self._topics.camera_info,
                f"no camera info received for the frames of {self._topics.colour}",
                "sensor_msgs/CameraInfo with the intrinsics of the colour image (check the topic "
                "name and its QoS)",
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
        self.statistics.rejected[name] = self.statistics.rejected.get(name, 0) + 1
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
                "increasing stamps",
            )
