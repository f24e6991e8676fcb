"""Pairing of recorded messages into frames, with the synchroniser of the node."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from sdfpose_core.messages.decoding import InputTopics
from sdfpose_core.messages.errors import MessageError
from sdfpose_core.messages.filters import SimpleFilter
from sdfpose_core.messages.interfaces import stamp_ns
from sdfpose_core.messages.synchronizer import (
    FrameMessages,
    FrameSynchronizer,
    SynchronizerStatistics,
)

__all__ = ["FramePairing"]


class FramePairing:
    """Combines messages into frames in the order of their arrival.

    Args:
        topics: topics of a frame; an empty mask topic means that the masks are made from the other
            images, an empty label topic that there are no labels.
        slop_s: largest difference of stamps within a frame, seconds.
        queue_size: messages kept per topic while waiting for the other topics.
        refuse: called with the error of each dropped frame.
        latched_labels: whether the labels are latched, see `FrameSynchronizer`.

    Attributes:
        topics: names of the topics that make up a frame.
        spans_ns: first and last stamp of each topic with messages, nanoseconds.
    """

    def __init__(
        self,
        topics: InputTopics,
        slop_s: float,
        queue_size: int,
        refuse: Callable[[MessageError], None],
        latched_labels: bool = False,
    ) -> None:
        self._sources = {topic: SimpleFilter() for topic in asdict(topics).values() if topic}
        self._ready: list[FrameMessages] = []
        self._synchronizer = FrameSynchronizer(
            colour=self._sources[topics.colour],
            depth=self._sources[topics.depth],
            mask=self._sources[topics.mask] if topics.mask else None,
            info=self._sources[topics.camera_info],
            labels=self._sources[topics.labels] if topics.labels else None,
            topics=topics,
            queue_size=queue_size,
            slop_s=slop_s,
            on_frame=self._ready.append,
            on_error=refuse,
            on_restart=lambda: None,
            labels_are_latched=lambda: latched_labels,
        )
        self.topics = frozenset(self._sources)
        self.spans_ns: dict[str, tuple[int, int]] = {}

    @property
    def statistics(self) -> SynchronizerStatistics:
        """Statistics of the synchroniser."""
        return self._synchronizer.statistics

    @property
    def received(self) -> Mapping[str, int]:
        """Number of messages by topic."""
        return self.statistics.received

    def take(self, topic: str, message: Any) -> list[FrameMessages]:
        """Add a message and return the frames that it completes, usually none or one."""
        stamp = stamp_ns(message.header)
        first, last = self.spans_ns.get(topic, (stamp, stamp))
        self.spans_ns[topic] = min(first, stamp), max(last, stamp)
        self._sources[topic].signalMessage(message)
        return self._take_ready()

    def finish(self) -> list[FrameMessages]:
        """End the input and return the frame that was waiting for more messages, if any."""
        self._synchronizer.finish()
        return self._take_ready()

    def _take_ready(self) -> list[FrameMessages]:
        ready, self._ready[:] = list(self._ready), []
        return ready
