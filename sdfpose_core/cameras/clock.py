"""Time of exposure by the clock of this machine, from the clock of a camera."""

from __future__ import annotations

__all__ = ["DeviceClock"]

_WINDOW_NS = 10_000_000_000
"""The offset is the smallest of the last one to two windows: clocks drift apart."""

_JUMP_NS = 1_000_000_000
"""A camera whose clock goes back this far has started again."""


class DeviceClock:
    """Converts stamps of a camera's clock to the clock of this machine.

    A stamp reaches the machine with a delay that varies. The smallest difference of the two clocks
    is the best estimate of their offset: no message arrives before it is sent (a minimum filter, as
    in the clock filter of NTP, RFC 5905, section 10).
    """

    def __init__(self) -> None:
        self._start_ns: int | None = None
        self._last_ns = 0
        self._now_ns: int | None = None
        self._before_ns: int | None = None

    def stamp_ns(self, device_ns: int, arrival_ns: int) -> int:
        """Return the time of a stamp by the clock of this machine, nanoseconds.

        Args:
            device_ns: stamp by the clock of the camera, nanoseconds.
            arrival_ns: when it arrived, by the clock of this machine, nanoseconds.
        """
        offset = arrival_ns - device_ns
        if self._start_ns is None or device_ns < self._last_ns - _JUMP_NS:
            self._start_ns, self._now_ns, self._before_ns = device_ns, offset, None
        elif device_ns - self._start_ns > _WINDOW_NS:
            self._start_ns, self._now_ns, self._before_ns = device_ns, offset, self._now_ns
        assert self._now_ns is not None
        self._last_ns = device_ns
        self._now_ns = min(self._now_ns, offset)
        best = self._now_ns if self._before_ns is None else min(self._now_ns, self._before_ns)
        return device_ns + best
