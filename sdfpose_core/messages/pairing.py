"""Messages in the order of their arrival become frames, by the node's synchroniser."""

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
    """Puts together what was recorded.

    Args:
        topics: of a frame; an empty name of the labels means that there are none.
        slop_s: largest difference of stamps within a frame, seconds.
        queue_size: messages of each topic that wait for the others.
        refuse: told of each frame that is left out.

    Attributes:
        topics: names of the topics whose messages are taken.
        spans_ns: first and last stamp of each topic that had messages.
    """

    def __init__(
        self,
        topics: InputTopics,
        slop_s: float,
        queue_size: int,
        refuse: Callable[[MessageError], None],
    ) -> None:
        self._sources = {topic: SimpleFilter() for topic in asdict(topics).values() if topic}
        self._ready: list[FrameMessages] = []
        self._synchronizer = FrameSynchronizer(
            colour=self._sources[topics.colour],
            depth=self._sources[topics.depth],
            mask=self._sources[topics.mask],
            info=self._sources[topics.camera_info],
            labels=self._sources[topics.labels] if topics.labels else None,
            topics=topics,
            queue_size=queue_size,
            slop_s=slop_s,
            on_frame=self._ready.append,
            on_error=refuse,
            on_restart=lambda: None,
        )
        self.topics = frozenset(self._sources)
        self.spans_ns: dict[str, tuple[int, int]] = {}

    @property
    def statistics(self) -> SynchronizerStatistics:
        """What became of the messages."""
        return self._synchronizer.statistics

    @property
    def received(self) -> Mapping[str, int]:
        """Messages by topic."""
        return self.statistics.received

    def take(self, topic: str, message: Any) -> list[FrameMessages]:
        """Take the next message; gives the frames that are complete with it, mostly none or one."""
        stamp = stamp_ns(message.header)
        first, last = self.spans_ns.get(topic, (stamp, stamp))
        self.spans_ns[topic] = min(first, stamp), max(last, stamp)
        self._sources[topic].signalMessage(message)
        return self._given_out()

    def finish(self) -> list[FrameMessages]:
        """No more messages come; gives the frame that waited for more, if any."""
        self._synchronizer.finish()
        return self._given_out()

    def _given_out(self) -> list[FrameMessages]:
        ready, self._ready[:] = list(self._ready), []
        return ready
