"""Why the stamps of several topics do not agree, and what to do about it."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

__all__ = ["MAX_QUEUE_SIZE", "RecentStamps", "required_queue_size", "serialised_stamp_ns"]

MAX_QUEUE_SIZE = 1000
"""Largest queue_size of the nodes."""

_MAX_SLOP_S = 10.0
"""Largest slop_s of the nodes, seconds."""

_MAX_LATENCY_S = 60.0
"""Stamps that are further apart are of two clocks, and not of a slow network, seconds."""

_KEPT = 50
"""Stamps kept for each topic."""


def required_queue_size(rate_hz: float, lag_s: float) -> int:
    """Compute the queue size needed when one topic lags behind the others.

    Args:
        rate_hz: frame rate, Hz.
        lag_s: lag of the topic, seconds, see `RecentStamps.lags`.

    Returns:
        The number of frames that arrive during the lag, plus the awaited frame, plus one for
        variations of the lag.
    """
    return math.ceil(rate_hz * lag_s - 1e-6) + 2  # 1e-6: 1.1 s at 10 Hz are 11 frames, not 12


def serialised_stamp_ns(data: bytes) -> int:
    """Read the stamp of a serialised message (CDR) that begins with a header, nanoseconds."""
    order: Literal["little", "big"] = "little" if data[1] & 1 else "big"
    seconds, nanoseconds = data[4:8], data[8:12]
    return 1_000_000_000 * int.from_bytes(seconds, order) + int.from_bytes(nanoseconds, order)


class RecentStamps:
    """The latest stamps of the topics whose messages have to agree, nanoseconds."""

    def __init__(self) -> None:
        self._stamps: dict[str, deque[int]] = {}
        self._newest: dict[str, int] = {}

    def add(self, topic: str, stamp_ns: int) -> None:
        """Add the stamp of a message."""
        self._stamps.setdefault(topic, deque(maxlen=_KEPT)).append(stamp_ns)
        self._newest[topic] = max(stamp_ns, self._newest.get(topic, stamp_ns))

    def newest(self, topic: str) -> int | None:
        """Return the newest stamp of a topic; None if it has no message."""
        return self._newest.get(topic)

    def clear(self) -> None:
        """Forget all stamps."""
        self._stamps.clear()
        self._newest.clear()

    def discard(self, topic: str) -> None:
        """Forget the stamps of a topic."""
        self._stamps.pop(topic, None)
        self._newest.pop(topic, None)

    def lags(self) -> dict[str, float]:
        """Return how far the newest stamp of each topic lags behind the newest of all, seconds."""
        newest = max(self._newest.values(), default=0)
        return {topic: (newest - stamp) * 1e-9 for topic, stamp in self._newest.items()}

    def explain(self, colour: str, rate_hz: float, queue_size: int) -> str:
        """Say why no stamps agree, and what to do, with values that can be set.

        Args:
            colour: topic of the colour images, whose stamps the others have to copy.
            rate_hz: rate of the colour images, Hz.
            queue_size: messages kept for each topic.
        """
        zero = [topic for topic, stamps in self._stamps.items() if not any(stamps)]
        if zero and len(zero) < len(self._stamps):
            remedy = "fill in the header" if colour in zero else f"copy the stamp of {colour}"
            return f"the stamps of {', '.join(zero)} are zero: let the publisher {remedy}"
        other = self._other_clock(colour, rate_hz)
        if other is not None:
            return other
        lags = self.lags()
        late = max(lags, key=lambda topic: lags[topic], default=colour)
        needed = required_queue_size(rate_hz, lags.get(late, 0.0))
        if queue_size < needed <= MAX_QUEUE_SIZE:
            return (
                f"{late} is {lags[late]:.2f} s behind, which needs a queue_size of {needed} (it is "
                f"{queue_size})"
            )
        return self._offset(colour) or (
            f"stamps seem to agree on some topics only ({self._counts()}): messages get lost on "
            "the way, or the topics show different moments; fix the stamps, or see 'Images get "
            "lost' in docs/node.md"
        )

    def _other_clock(self, colour: str, rate_hz: float) -> str | None:
        """Describe topics whose stamps are too far from the others for any queue."""
        reference = self._newest.get(colour)
        if reference is None:
            return None
        apart = {
            topic: (stamp - reference) * 1e-9
            for topic, stamp in self._newest.items()
            if topic != colour
        }
        far = {
            topic: seconds
            for topic, seconds in apart.items()
            if abs(seconds) > _MAX_LATENCY_S
            or required_queue_size(rate_hz, abs(seconds)) > MAX_QUEUE_SIZE
        }
        if not far:
            return None
        values = list(far.values())
        if len(far) == len(apart) > 1 and max(values) - min(values) < _MAX_LATENCY_S:
            return (
                f"the stamps of {colour} are {_apart(-values[0])} those of all others: they are of "
                "another clock; let the driver use the system time, or copy its stamps to "
                f"{', '.join(far)}"
            )
        named = ", ".join(f"{topic} are {_apart(seconds)}" for topic, seconds in far.items())
        return (
            f"the stamps of {named} those of {colour}: they are of another clock; let the "
            f"publisher copy the stamp of {colour}"
        )

    def _offset(self, colour: str) -> str | None:
        """Describe stamps that are less than half a period apart, for which the slop is small."""
        reference = self._stamps.get(colour, ())
        period_ns = min((_period(x) for x in self._stamps.values()), default=math.inf)
        gaps = {
            topic: min(abs(a - b) for a in stamps for b in reference) * 1e-9
            for topic, stamps in self._stamps.items()
            if topic != colour and reference
        }
        worst = max(gaps, key=lambda topic: gaps[topic], default=colour)
        gap_s = gaps.get(worst, 0.0)
        if not 0.0 < gap_s <= min(0.501e-9 * period_ns, _MAX_SLOP_S):
            return None
        return (
            f"the stamps of {worst} and {colour} are at least {gap_s:.4g} s apart: synchronise "
            f"them in the driver, or set slop_s to {1.2 * gap_s:.2g} if they show the same moment"
        )

    def _counts(self) -> str:
        return ", ".join(
            f"{len(stamps)}{'+' if len(stamps) == _KEPT else ''} on {topic}"
            for topic, stamps in self._stamps.items()
        )


def _period(stamps: Sequence[int] | deque[int]) -> float:
    ordered = sorted(set(stamps))
    return min((b - a for a, b in pairwise(ordered)), default=math.inf)


def _apart(seconds: float) -> str:
    return f"{abs(seconds):.0f} s {'ahead of' if seconds > 0 else 'behind'}"
