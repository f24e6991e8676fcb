"""Remaining time of a computation in stages."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

__all__ = ["RemainingTime"]

_LEAST_SHARE = 0.01
"""Before this share of the work is done, the expectation counts."""


class RemainingTime:
    """Progress of stages with known costs, and the time that is left.

    What is left is expected to be as much slower or faster than planned as what was done in this
    run. Work of an earlier run does not count.

    Args:
        costs: expected seconds of each stage, in order.
        clock: time in seconds.
    """

    def __init__(
        self, costs: Mapping[str, float], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._costs = dict(costs)
        self._total = sum(costs.values())
        self._done = dict.fromkeys(costs, 0.0)
        self._skipped: dict[str, float] = {}
        self._clock = clock
        self._start = clock()

    def update(self, stage: str, share: float) -> None:
        """Say that a share, 0 to 1, of a stage is done; all stages before it are done.

        The first report of a stage says what an earlier run has done.
        """
        self._skipped.setdefault(stage, share)
        for name in self._costs:
            if name == stage:
                self._done[name] = share
                return
            self._skipped.setdefault(name, 1.0)
            self._done[name] = 1.0

    @property
    def share(self) -> float:
        """Share of all work that is done, 0 to 1."""
        return sum(self._costs[x] * self._done[x] for x in self._costs) / self._total

    @property
    def seconds(self) -> float:
        """Expected seconds until all stages are done."""
        worked = sum(
            self._costs[x] * (self._done[x] - self._skipped.get(x, 0.0)) for x in self._costs
        )
        pace = 1.0
        if worked > _LEAST_SHARE * self._total:
            pace = (self._clock() - self._start) / worked
        return pace * (1.0 - self.share) * self._total
