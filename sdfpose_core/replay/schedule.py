"""Selection of the frames that a node has time to process."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sdfpose_core.datasets.bags import RecordedFrame
from sdfpose_core.errors import ConfigurationError

__all__ = ["Schedule"]

_MILLISECOND_NS = 1_000_000


@dataclass(frozen=True)
class Schedule:
    """Model of a node that processes the newest frame and drops frames while it is busy.

    The same frames are dropped in every run, on every machine.

    Attributes:
        busy_ms: processing time per frame, milliseconds.
        hz: frame rate of the camera; None to use the recording times.

    Raises:
        ConfigurationError: a value is not positive.
    """

    busy_ms: float
    hz: float | None = None

    def __post_init__(self) -> None:
        for name, value in (("busy_ms", self.busy_ms), ("hz", self.hz)):
            if value is not None and value <= 0.0:
                raise ConfigurationError(f"{name} is {value}: expected a positive number")

    def processed(self, frames: Iterable[RecordedFrame]) -> Iterator[RecordedFrame | None]:
        """Yield each frame in order if it is processed, or else None.

        A frame that arrives while the node is busy waits until a newer frame replaces it.
        """
        free_ns: float = -1.0
        waiting: RecordedFrame | None = None
        for number, frame in enumerate(frames):
            now_ns: float = frame.arrival_ns
            if self.hz is not None:
                now_ns = number * 1e9 / self.hz
            if waiting is not None and now_ns >= free_ns:
                yield waiting
                free_ns += self.busy_ms * _MILLISECOND_NS
                waiting = None
            if now_ns >= free_ns:
                yield frame
                free_ns = now_ns + self.busy_ms * _MILLISECOND_NS
                continue
            if waiting is not None:
                yield None
            waiting = frame
        if waiting is not None:
            yield waiting
