"""Approximate-time synchroniser with the interface of ROS 2's `message_filters`.

The same for messages of a running graph and for those of a bag. The camel-case names are that
interface's.
"""

from __future__ import annotations

import bisect
import threading
from collections.abc import Callable, Sequence
from typing import Any

from sdfpose_core.messages.interfaces import Stamped, stamp_ns

__all__ = ["ApproximateTimeSynchronizer", "SimpleFilter"]

_NANOSECONDS = 1_000_000_000


class SimpleFilter:
    """Something that gives messages to whoever registered for them."""

    def __init__(self) -> None:
        self.callbacks: dict[int, tuple[Callable[..., None], tuple[Any, ...]]] = {}

    def registerCallback(self, cb: Callable[..., None], *args: Any) -> int:  # noqa: N802
        """Call ``cb(*messages, *args)`` with every output; gives the connection's number."""
        connection = len(self.callbacks)
        self.callbacks[connection] = (cb, args)
        return connection

    def signalMessage(self, *msg: Any) -> None:  # noqa: N802
        """Give messages to all registered callbacks."""
        for callback, args in list(self.callbacks.values()):
            callback(*msg, *args)


class ApproximateTimeSynchronizer(SimpleFilter):
    """Groups one message of every input whose stamps lie within `slop` of one another.

    Each message is used once. A new message is grouped with those waiting at the other inputs
    whose stamps are nearest to its own. Of two messages with the same stamp at one input the later
    one is kept.

    Args:
        fs: the inputs.
        queue_size: messages kept for each input; beyond it the one with the oldest stamp goes.
        slop: largest difference of stamps within a group, seconds.
        on_drop: called with the input of each message that goes without a group.
    """

    def __init__(
        self,
        fs: Sequence[SimpleFilter],
        queue_size: int,
        slop: float,
        on_drop: Callable[[int], object] = lambda _: None,
    ) -> None:
        super().__init__()
        self.queue_size = queue_size
        self.slop_ns = round(slop * _NANOSECONDS)
        self.on_drop = on_drop
        self.lock = threading.Lock()
        # One queue per input: sorted stamps (nanoseconds), and the message of each.
        self._stamps: list[list[int]] = [[] for _ in fs]
        self._messages: list[dict[int, Any]] = [{} for _ in fs]
        self.input_connections = [f.registerCallback(self.add, i) for i, f in enumerate(fs)]

    @property
    def waiting(self) -> list[int]:
        """Messages of each input that wait for the others."""
        return [len(stamps) for stamps in self._stamps]

    def add(self, msg: Stamped, index: int) -> None:
        """Take a message of input `index` and give out the group that it completes, if any."""
        stamp = stamp_ns(msg.header)
        with self.lock:
            self._enqueue(index, stamp, msg)
            group = self._complete_group(index, stamp)
            messages = [] if group is None else [self._take(i, s) for i, s in enumerate(group)]
        if messages:
            self.signalMessage(*messages)

    def _enqueue(self, index: int, stamp: int, msg: Any) -> None:
        stamps, messages = self._stamps[index], self._messages[index]
        if stamp in messages:
            self.on_drop(index)
        else:
            bisect.insort(stamps, stamp)
        messages[stamp] = msg
        while len(stamps) > self.queue_size:
            del messages[stamps.pop(0)]
            self.on_drop(index)

    def _complete_group(self, index: int, stamp: int) -> list[int] | None:
        """Stamps, one per input, of the group with the new message; None where it is incomplete."""
        if stamp not in self._messages[index]:
            return None  # older than everything in a full queue
        candidates = []
        for i, stamps in enumerate(self._stamps):
            near = [stamp] if i == index else self._near(stamps, stamp)
            if not near:
                return None
            candidates.append(near)
        return self._first_within_slop(candidates, [])

    def _near(self, stamps: list[int], stamp: int) -> list[int]:
        """Stamps within the slop of `stamp`, nearest first."""
        low = bisect.bisect_left(stamps, stamp - self.slop_ns)
        high = bisect.bisect_right(stamps, stamp + self.slop_ns)
        return sorted(stamps[low:high], key=lambda s: abs(s - stamp))

    def _first_within_slop(
        self, candidates: list[list[int]], chosen: list[int]
    ) -> list[int] | None:
        """Depth-first search: nearest stamps first, branches wider than the slop cut off."""
        if len(chosen) == len(candidates):
            return chosen
        for stamp in candidates[len(chosen)]:
            group = [*chosen, stamp]
            if max(group) - min(group) <= self.slop_ns:
                found = self._first_within_slop(candidates, group)
                if found is not None:
                    return found
        return None

    def _take(self, index: int, stamp: int) -> Any:
        self._stamps[index].remove(stamp)
        return self._messages[index].pop(stamp)
