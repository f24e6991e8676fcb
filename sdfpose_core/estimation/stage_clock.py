"""Wall time of the stages of a frame."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["StageClock"]


class StageClock:
    """Adds up wall time by stage."""

    def __init__(self, *stages: str) -> None:
        self.stage_ms = dict.fromkeys(stages, 0.0)
        self._start = time.perf_counter()

    @property
    def total_ms(self) -> float:
        """Milliseconds since the clock was made."""
        return 1e3 * (time.perf_counter() - self._start)

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Add the time of a ``with`` block to a stage."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.stage_ms[stage] += 1e3 * (time.perf_counter() - start)
