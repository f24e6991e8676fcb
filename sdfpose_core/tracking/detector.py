"""Detection of objects from scratch within the time that one image may take."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from sdfpose_core.estimation.estimator import FrameResult, PoseEstimator
from sdfpose_core.observation.frame import Instance, ObjectEstimate

__all__ = ["Detector", "joined", "sum_of_stages"]


class Detector:
    """Detects the objects of one image from scratch until its time is over.

    The first detection always takes place. Once the time is over, further instances wait for the
    next images, so that results are not late and tracked objects are not left alone for long.

    Attributes:
        result: of all detections so far.
        waiting: mask ids of the instances that wait.

    Args:
        estimator: detects the objects.
        budget_s: time for detections, seconds; infinite detects everything at once.
        clock: returns the time, seconds.
    """

    def __init__(
        self,
        estimator: PoseEstimator,
        budget_s: float,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.result = FrameResult([], [], {})
        self.waiting: set[int] = set()
        self._estimator = estimator
        self._clock = clock
        self._end = clock() + budget_s
        self._limited = budget_s != float("inf")
        self._used = False

    def has_time(self, mask_id: int) -> bool:
        """Whether there is time for a detection; if not, the instance waits."""
        if self._used and self._clock() >= self._end:
            self.waiting.add(mask_id)
            return False
        return True

    def detect(self, instances: Sequence[Instance]) -> list[ObjectEstimate]:
        """The estimates of instances, one for each mask id, whatever time that takes.

        Instances with the same mask id differ in category; the one that explains it best remains.
        """
        self._used = True
        found = self._estimator.estimate(instances)
        self.result = joined(self.result, found)
        return found.estimates

    def detect_in_time(self, instances: Sequence[Instance]) -> list[ObjectEstimate]:
        """The estimates of the instances for which there is time, in their order."""
        if not self._limited:
            return self.detect(instances)
        found: list[ObjectEstimate] = []
        for instance in instances:
            if self.has_time(instance.mask_id):
                found += self.detect([instance])
        return found

    def found(self, instance: Instance) -> ObjectEstimate | None:
        """The estimate of an instance, if it was detected already."""
        for x in self.result.estimates:
            if (x.mask_id, x.category) == (instance.mask_id, instance.category):
                return x
        return None


def joined(result: FrameResult, more: FrameResult) -> FrameResult:
    """The results of two calls of the estimator. The tracked predictions are those of the first."""
    return replace(
        result,
        estimates=result.estimates + more.estimates,
        skipped=result.skipped + more.skipped,
        stage_ms=sum_of_stages(result.stage_ms, more.stage_ms),
    )


def sum_of_stages(one: dict[str, float], other: dict[str, float]) -> dict[str, float]:
    """The wall times by stage of two results together."""
    return {x: one.get(x, 0.0) + other.get(x, 0.0) for x in {**one, **other}}
