"""Throttled logging of problems that may repeat with every frame."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Hashable
from typing import Protocol

from sdfpose_core.errors import SdfposeError
from sdfpose_core.messages.errors import MessageError

__all__ = ["Logger", "ThrottledLog"]

_PERIOD_S = 5.0


class Logger(Protocol):
    """Interface of a node's logger."""

    def warning(self, message: str) -> object:
        """Log a warning."""

    def error(self, message: str) -> object:
        """Log an error."""


class ThrottledLog:
    """Logs each problem at once, and then at most once per period. Safe to use from any thread.

    Args:
        logger: receives the messages.
        period_s: shortest time between two messages with the same key, seconds.
        clock: returns the time in seconds. Wall time, because simulated time may stand still.
    """

    def __init__(
        self,
        logger: Logger,
        period_s: float = _PERIOD_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._logger = logger
        self._period_s = period_s
        self._clock = clock
        self._lock = threading.Lock()
        self._logged_s: dict[Hashable, float] = {}

    def due(self, key: Hashable) -> bool:
        """Return whether to log the problem `key` now. If so, count it as logged."""
        now = self._clock()
        with self._lock:
            if now - self._logged_s.get(key, -self._period_s) < self._period_s:
                return False
            self._logged_s = {k: t for k, t in self._logged_s.items() if now - t < self._period_s}
            self._logged_s[key] = now
        return True

    def warning(self, key: Hashable, message: str) -> None:
        """Log a warning about the problem `key` if it is due."""
        if self.due(key):
            self._logger.warning(message)

    def error(self, key: Hashable, message: str) -> None:
        """Log an error about the problem `key` if it is due."""
        if self.due(key):
            self._logger.error(message)

    def failure(self, error: Exception) -> None:
        """Log why a frame failed.

        An invalid message is a warning. An unexpected exception is logged with its traceback.
        """
        if isinstance(error, MessageError):
            self.warning((type(error), error.topic), str(error))
        elif isinstance(error, SdfposeError):
            self.error(type(error).__name__, str(error))
        else:
            trace = "".join(traceback.format_exception(error))
            self.error(type(error).__name__, f"the frame is dropped: {error!r}\n{trace}")
