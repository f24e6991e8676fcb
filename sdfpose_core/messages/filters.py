"""Approximate-time synchroniser with the interface of ROS 2's `message_filters`.

Live messages and messages of a bag are synchronised by the same code. The camel-case names come
from `message_filters`.
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
    """Passes messages to registered callbacks."""

    def __init__(self) -> None:
        self.callbacks: dict[int, tuple[Callable[..., None], tuple[Any, ...]]] = {}

    def registerCallback(self, cb: Callable[..., None], *args: Any) -> int:  # noqa: N802
        """Register ``cb(*messages, *args)`` for every output; return the connection number."""
        connection = len(self.callbacks)
        self.callbacks[connection] = (cb, args)
        return connection

    def signalMessage(self, *msg: Any) -> None:  # noqa: N802
        """Pass messages to all registered callbacks."""
        for callback, args in list(self.callbacks.values()):
            callback(*msg, *args)


class ApproximateTimeSynchronizer(SimpleFilter):
    """Groups one message of each input if their stamps differ by at most `slop`.

    Each message is used once. A new message is grouped with the queued messages of the other
    inputs whose stamps are nearest. If two messages of one input have the same stamp, the later
    one is kept.

    Args:
        fs: the inputs.
        queue_size: messages kept for each input; the message with the oldest stamp is dropped
            first.
        slop: largest difference of stamps within a group, seconds.
        on_drop: called with the input index of each message that is dropped without a group.
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
        # One queue per input: sorted stamps (nanoseconds), and messages by stamp.
        self._stamps: list[list[int]] = [[] for _ in fs]
        self._messages: list[dict[int, Any]] = [{} for _ in fs]
        self.input_connections = [f.registerCallback(self.add, i) for i, f in enumerate(fs)]

    @property
    def waiting(self) -> list[int]:
        """Number of queued messages of each input."""
        return [len(stamps) for stamps in self._stamps]

    def drain(self) -> list[list[Any]]:
        """Remove the queued messages and return them, oldest first, for each input."""
        with self.lock:
            queued = [[m[s] for s in stamps] for stamps, m in self._queues()]
            for stamps, messages in self._queues():
                stamps.clear()
                messages.clear()
        return queued

    def add(self, msg: Stamped, index: int) -> None:
        """Add a message of input `index` and signal the group that it completes, if any."""
        stamp = stamp_ns(msg.header)
        with self.lock:
            self._enqueue(index, stamp, msg)
            group = self._complete_group(index, stamp)
            messages = [] if group is None else [self._take(i, s) for i, s in enumerate(group)]
        if messages:
            self.signalMessage(*messages)

    def _queues(self) -> list[tuple[list[int], dict[int, Any]]]:
        return list(zip(self._stamps, self._messages, strict=True))

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
        """Find the stamps, one per input, of the new message's group; None if incomplete."""
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
        """Find the stamps within the slop of `stamp`, nearest first."""
        low = bisect.bisect_left(stamps, stamp - self.slop_ns)
        high = bisect.bisect_right(stamps, stamp + self.slop_ns)
        return sorted(stamps[low:high], key=lambda s: abs(s - stamp))

    def _first_within_slop(
        self, candidates: list[list[int]], chosen: list[int]
    ) -> list[int] | None:
        """Search depth-first: nearest stamps first, pruning branches wider than the slop."""
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
