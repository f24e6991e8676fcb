"""Synchronisation of colour, depth, mask, camera info and labels by their stamps."""

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
from sdfpose_core.messages.interfaces import (
    JUMP_BACK_NS,
    AnyImage,
    CameraInfo,
    InstanceLabels,
    normalise_frame_id,
    stamp_ns,
)
from sdfpose_core.messages.stamps import RecentStamps

__all__ = ["FrameMessages", "FrameSynchronizer", "SynchronizerStatistics"]


@dataclass(frozen=True)
class FrameMessages:
    """The messages of one frame.

    Attributes:
        mask: None if the masks are made from the other images.
        labels: None if parameters determine the categories of the mask ids.
    """

    colour: AnyImage
    depth: AnyImage
    mask: AnyImage | None
    info: CameraInfo
    labels: InstanceLabels | None

    @property
    def stamp_ns(self) -> int:
        """Stamp of the colour image, nanoseconds."""
        return stamp_ns(self.colour.header)


@dataclass
class SynchronizerStatistics:
    """Message counts of a synchroniser.

    Every message is accounted for. A received message (other than a camera info or latched
    labels) is in a matched group, unmatched, or waiting (`FrameSynchronizer.waiting`). A matched
    group is accepted, refused, or waiting (`FrameSynchronizer.waiting_for_camera_info`).

    Attributes:
        received: number of messages by topic.
        unmatched: number of messages without a group by topic: dropped from a full queue, replaced
            by a message with the same stamp, or discarded when time jumped back or the
            synchroniser was reconfigured. Camera infos are not counted, because one camera info
            may be used for many frames; nor are latched labels.
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


class _Accompanying:
    """Messages that come with each frame or once for all: camera infos, and latched labels.

    Args:
        maxlen: number of messages kept.

    Attributes:
        follow: whether the last frame had a message with its own stamp, so that the next one waits
            for its own.
    """

    def __init__(self, maxlen: int) -> None:
        self._messages: deque[Any] = deque(maxlen=maxlen)
        self.follow = False

    def __bool__(self) -> bool:
        return bool(self._messages)

    def add(self, message: Any) -> None:
        self._messages.append(message)

    def resize(self, maxlen: int) -> None:
        self._messages = deque(self._messages, maxlen=maxlen)

    def own(self, stamp: int, slop_ns: int) -> Any | None:
        """Find the message that matches a stamp, nanoseconds; None if there is none."""
        near = [x for x in self._messages if abs(stamp_ns(x.header) - stamp) <= slop_ns]
        return min(near, key=lambda x: abs(stamp_ns(x.header) - stamp), default=None)

    def may_follow(self, stamp: int, slop_ns: int) -> bool:
        """Whether the message of this stamp may still arrive."""
        return self.own(stamp, slop_ns) is None and (self.follow or not self._messages)

    def serve(self, stamp: int, slop_ns: int) -> Any | None:
        """Return the message of this stamp, or else the last one."""
        own = self.own(stamp, slop_ns)
        self.follow = own is not None
        if own is not None:
            return own
        return self._messages[-1] if self._messages else None


class FrameSynchronizer:
    """Groups messages by stamp and passes on valid groups as frames.

    A frame uses the camera info with a matching stamp. If camera infos are published with each
    image, the frame waits for its own until the next frame is complete; otherwise it uses the last
    camera info. The same holds for labels that are latched or whose stamp is zero; all other labels
    have to match the stamp. A frame that is not newer than the previous one is refused, unless time
    jumped back by more than a second; in that case the synchroniser restarts.

    Args:
        colour, depth, mask: filters of raw or compressed images; mask is None if the masks are made
            from the other images.
        info: filter of camera infos.
        labels: filter of labels, None if parameters determine the categories of the mask ids.
        topics: names of the topics, for messages to the user.
        queue_size: messages kept for each input. A mask that arrives n frames after its image
            needs n + 1.
        slop_s: largest difference of stamps within a frame, seconds.
        on_frame: called with each frame.
        on_error: called with the error of each refused group.
        on_restart: called when time jumped back (a looping bag, a reset simulation).
        labels_are_latched: whether the publishers of the labels latch them.

    Attributes:
        queue_size: messages kept for each input.
        statistics: message counts.
        recent: recent stamps of the topics that have to match.
    """

    def __init__(
        self,
        *,
        colour: SimpleFilter,
        depth: SimpleFilter,
        mask: SimpleFilter | None,
        info: SimpleFilter,
        labels: SimpleFilter | None,
        topics: InputTopics,
        queue_size: int,
        slop_s: float,
        on_frame: Callable[[FrameMessages], None],
        on_error: Callable[[MessageError], None],
        on_restart: Callable[[], None],
        labels_are_latched: Callable[[], bool] = lambda: False,
    ) -> None:
        self._topics = topics
        self.queue_size = queue_size
        self._slop_s = slop_s
        self._on_frame = on_frame
        self._on_error = on_error
        self._on_restart = on_restart
        self._labels_are_latched = labels_are_latched
        self._infos = _Accompanying(queue_size)
        self._latched_labels: _Accompanying | None = None
        self._group: Sequence[Any] | None = None
        self._last_ns: int | None = None
        self.recent = RecentStamps()
        named = [(topics.colour, colour), (topics.depth, depth)]
        if mask is not None:
            named.append((topics.mask, mask))
        self._images = len(named)
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
            take = self._take if source is not labels else self._take_labels
            source.registerCallback(take, topic, inlet)
        info.registerCallback(self._take_info)
        self._matcher = self._connect()

    @property
    def waiting(self) -> dict[str, int]:
        """Number of messages by topic that wait for other topics."""
        # Latched labels are not matched, and do not wait.
        waiting = dict.fromkeys(self._matched_topics, 0)
        return waiting | dict(zip(self._matched_topics, self._matcher.waiting, strict=False))

    @property
    def waiting_for_camera_info(self) -> bool:
        """Whether a matched group waits for its camera info."""
        return self._group is not None

    @property
    def has_latched_labels(self) -> bool:
        """Whether the labels hold for all images until the next ones."""
        return self._latched_labels is not None

    def lags(self) -> dict[str, float]:
        """Return how far the newest stamp of each topic lags behind the newest of all, seconds.

        Camera infos and topics without a message are not included.
        """
        return self.recent.lags()

    def reconfigure(self, queue_size: int, slop_s: float) -> None:
        """Change queue size and slop; waiting messages become unmatched.

        Args:
            queue_size: messages kept for each input.
            slop_s: largest difference of stamps within a frame, seconds.
        """
        self.queue_size = queue_size
        self._slop_s = slop_s
        self._infos.resize(queue_size)
        if self._latched_labels is not None:
            self._latched_labels.resize(queue_size)
        self._discard_waiting()

    def finish(self) -> None:
        """End the input and pass on the frame that waits for its camera info."""
        if self._group is not None:
            group, self._group = self._group, None
            self._emit(group)

    def _connect(self) -> ApproximateTimeSynchronizer:
        for inlet in self._inputs:
            inlet.callbacks.clear()
        matched = self._inputs if self._latched_labels is None else self._inputs[: self._images]
        matcher = ApproximateTimeSynchronizer(
            matched, self.queue_size, self._slop_s, self._count_unmatched
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

    def _take_labels(self, labels: InstanceLabels, topic: str, inlet: SimpleFilter) -> None:
        latched = not stamp_ns(labels.header) or self._labels_are_latched()
        if latched != (self._latched_labels is not None):
            if self._latched_labels is not None and self._belongs_to_group(labels):
                # The first image has the stamp zero, and so have its labels: they are not latched.
                self.statistics.received[topic] += 1
                self._latched_labels.add(labels)
                self._match_labels(True)
                return
            self._match_labels(not latched)
        if self._latched_labels is None:
            self._take(labels, topic, inlet)
            return
        self.statistics.received[topic] += 1
        self._latched_labels.add(labels)
        self._finish_if_complete()

    def _belongs_to_group(self, labels: InstanceLabels) -> bool:
        """Whether labels have the stamp of the waiting group."""
        if self._group is None:
            return False
        difference_ns = stamp_ns(labels.header) - stamp_ns(self._group[0].header)
        return abs(difference_ns) <= round(self._slop_s * 1e9)

    def _match_labels(self, matched: bool) -> None:
        """Begin or end to match the stamps of labels; all other messages go on waiting."""
        self.finish()
        queues = self._matcher.drain()
        for labels in queues[self._images :]:
            self._count_unmatched(self._images, len(labels))
        self.recent.discard(self._topics.labels)
        self._latched_labels = None if matched else _Accompanying(self.queue_size)
        self._matcher = self._connect()
        for inlet, messages in zip(self._inputs, queues[: self._images], strict=False):
            for message in messages:
                inlet.signalMessage(message)

    def _watch_clock(self, message: AnyImage | InstanceLabels, topic: str) -> None:
        """Discard waiting messages when time jumps back."""
        stamp = stamp_ns(message.header)
        newest = self.recent.newest(topic)
        if newest is not None and stamp < newest - JUMP_BACK_NS:
            self._discard_waiting()
            self.recent.clear()
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
        self.recent.add(topic, stamp)

    def _take_info(self, info: CameraInfo) -> None:
        self.statistics.received[self._topics.camera_info] += 1
        self._infos.add(info)
        self._finish_if_complete()

    def _take_group(self, *group: Any) -> None:
        self.statistics.matched += 1
        earlier, self._group = self._group, group
        if earlier is not None:
            self._emit(earlier)
        self._finish_if_complete()

    def _finish_if_complete(self) -> None:
        """Pass on the waiting group unless one of its messages may still arrive."""
        if self._group is None:
            return
        stamp, slop_ns = stamp_ns(self._group[0].header), round(self._slop_s * 1e9)
        awaited = [self._infos]
        if self._latched_labels is not None:
            awaited.append(self._latched_labels)
        if not any(x.may_follow(stamp, slop_ns) for x in awaited):
            self.finish()

    def _emit(self, group: Sequence[Any]) -> None:
        stamp, slop_ns = stamp_ns(group[0].header), round(self._slop_s * 1e9)
        info = self._infos.serve(stamp, slop_ns)
        if self._latched_labels is not None:
            labels = self._latched_labels.serve(stamp, slop_ns)
            group = (*group[: self._images], labels)
        if info is not None:
            self._accept(group, info)
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
            mask=group[2] if self._images > 2 else None,
            info=info,
            labels=group[self._images] if len(group) > self._images else None,
        )
        self._last_ns = frame.stamp_ns
        self.statistics.accepted += 1
        self._on_frame(frame)

    def _refuse(self, error: MessageError) -> None:
        name = type(error).__name__
        self.statistics.rejected[name] = self.statistics.rejected.get(name, 0) + 1
        self._on_error(error)

    def _check_frame_ids(self, group: Sequence[Any], info: CameraInfo) -> None:
        """Check that all messages have the frame id of the colour image.

        Mask and camera info may lack one, because stamp and size tell which image they belong to.
        """
        topics = self._topics
        expected = normalise_frame_id(group[0])
        if not expected:
            raise FrameIdError(
                topics.colour, "an image without a frame id", "the name of its optical frame"
            )
        checked = [
            (topics.depth, group[1], False, "register it to colour"),
            (topics.camera_info, info, True, "use the camera info of the colour image"),
        ]
        if self._images > 2:
            checked.insert(1, (topics.mask, group[2], True, "copy the header of the image"))
        for topic, message, optional, remedy in checked:
            found = normalise_frame_id(message)
            if found != expected and not (optional and not found):
                raise FrameIdError(
                    topic,
                    f"frame id '{found}'",
                    f"'{expected}', the frame of {topics.colour} ({remedy})",
                )

    def _check_order(self, colour: AnyImage) -> None:
        stamp = stamp_ns(colour.header)
        if self._last_ns is not None and stamp <= self._last_ns:
            late = (self._last_ns - stamp) * 1e-9
            raise StaleFrameError(
                self._topics.colour,
                f"an image {late:.3f} s older than the last one"
                if late
                else "two images with the same stamp" + (" of zero" if stamp == 0 else ""),
                "increasing stamps"
                + (" (does the driver fill in the header?)" if stamp == 0 else ""),
            )
