"""Warnings that may come with every frame, told at most once in a while each."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Hashable
from typing import Protocol

from sdfpose_core.errors import SdfposeError
from sdfpose_core.messages.errors import MessageError

__all__ = ["Logger", "ThrottledLog"]

_PERIOD_S = 5.0


class Logger(Protocol):
    """What is used of a node's logger."""

    def warning(self, message: str) -> object:
        """Log something that limits the results."""

    def error(self, message: str) -> object:
        """Log something that went wrong."""


class ThrottledLog:
    """Tells each problem when it first comes, and then at most once in a period.

    Args:
        logger: where messages go.
        period_s: seconds of silence after a message with the same key.
        clock: seconds; the wall's, because a simulated time may stand still.
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
        self._told: dict[Hashable, float] = {}

    def due(self, key: Hashable) -> bool:
        """Whether the problem named `key` should be told now; if so, counts it as told."""
        now = self._clock()
        if now - self._told.get(key, -self._period_s) < self._period_s:
            return False
        self._told = {k: t for k, t in self._told.items() if now - t < self._period_s}
        self._told[key] = now
        return True

    def warning(self, key: Hashable, message: str) -> None:
        """Warn of the problem named `key` if it is due."""
        if self.due(key):
            self._logger.warning(message)

    def error(self, key: Hashable, message: str) -> None:
        """Report the error named `key` if it is due."""
        if self.due(key):
            self._logger.error(message)

    def failure(self, error: Exception) -> None:
        """Tell what went wrong with an image: a message's fault as a warning, what was not foreseen
        with its trace.
        """
        if isinstance(error, MessageError):
            self.warning((type(error), error.topic), str(error))
        elif isinstance(error, SdfposeError):
            self.error(type(error).__name__, str(error))
        else:
            trace = "".join(traceback.format_exception(error))
            self.error(type(error).__name__, f"the frame is left out: {error!r}\n{trace}")
