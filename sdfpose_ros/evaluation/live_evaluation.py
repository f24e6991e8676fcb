"""Evaluation of the results of a running graph against ground truth, matched by stamp."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sdfpose.msg import SdfObject, SdfObjectArray

from sdfpose_core.evaluation.frame_evaluation import (
    ObjectEvaluation,
    ReportedObject,
    evaluate_frame,
)
from sdfpose_core.messages.interfaces import JUMP_BACK_NS, stamp_ns
from sdfpose_core.messages.objects import pose_arrays, truth_from_message
from sdfpose_core.tracking.track import TrackState

__all__ = ["EvaluatedFrame", "LiveEvaluation"]

_WINDOW_S = 5.0
"""Rate and latency are computed over this period."""

_UNSEEN = (TrackState.LOST, TrackState.UNOBSERVED)


@dataclass(frozen=True)
class EvaluatedFrame:
    """All objects of one image.

    Attributes:
        stamp_ns: stamp of the image, nanoseconds.
        objects: objects visible in the image.
        has_truth: whether ground truth of the image was received.
    """

    stamp_ns: int
    objects: tuple[ObjectEvaluation, ...]
    has_truth: bool

    @property
    def evaluated_categories(self) -> set[str]:
        """Categories with at least one object that was compared with ground truth."""
        return {x.reported.category for x in self.objects if x.errors is not None}


class LiveEvaluation:
    """Collects results and ground truth in any order.

    Args:
        window: number of frames whose ground truth or result is kept until the other arrives.

    Attributes:
        latest: the newest evaluated frame; None before the first.
        best: the newest of the frames with the most evaluated categories.
        results: number of results received.
    """

    def __init__(self, window: int) -> None:
        self._window = window
        self._truth: OrderedDict[int, SdfObjectArray] = OrderedDict()
        self._waiting: OrderedDict[int, SdfObjectArray] = OrderedDict()
        self._arrivals: deque[tuple[float, float]] = deque()
        self.latest: EvaluatedFrame | None = None
        self.best: EvaluatedFrame | None = None
        self.results = 0

    def add_truth(self, message: SdfObjectArray) -> None:
        """Add the ground truth of one image."""
        stamp = stamp_ns(message.header)
        _keep(self._truth, stamp, message, self._window)
        result = self._waiting.pop(stamp, None)
        if result is not None:
            self._evaluate(result)

    def add_result(self, message: SdfObjectArray, arrival_s: float) -> None:
        """Add the result of one image. `arrival_s` is its arrival on the clock of the stamps."""
        stamp = stamp_ns(message.header)
        if self.latest is not None and stamp < self.latest.stamp_ns - JUMP_BACK_NS:
            self._restart()
        self.results += 1
        self._arrivals.append((arrival_s, arrival_s - stamp * 1e-9))
        while self._arrivals and arrival_s - self._arrivals[0][0] > _WINDOW_S:
            self._arrivals.popleft()
        if stamp not in self._truth:
            _keep(self._waiting, stamp, message, self._window)
        self._evaluate(message)

    def _restart(self) -> None:
        """Start again after time jumped back (a bag loops, a simulation is reset). Keep `best`."""
        self._waiting.clear()
        self._arrivals.clear()
        self.latest = None

    @property
    def rate_hz(self) -> float:
        """Results per second; 0 before the second one."""
        if len(self._arrivals) < 2:
            return 0.0
        return (len(self._arrivals) - 1) / max(self._arrivals[-1][0] - self._arrivals[0][0], 1e-9)

    @property
    def latency_s(self) -> float:
        """Median time from an image's stamp to its result, seconds; NaN before the first."""
        return float(np.median([latency for _, latency in self._arrivals] or [np.nan]))

    def _evaluate(self, result: SdfObjectArray) -> None:
        stamp = stamp_ns(result.header)
        visible = [x for x in result.objects if x.state not in _UNSEEN]
        truth = self._truth.get(stamp)
        frame = EvaluatedFrame(
            stamp, _evaluate(visible, [] if truth is None else truth.objects), truth is not None
        )
        if self.latest is None or stamp >= self.latest.stamp_ns:
            self.latest = frame
        if self.best is None or _rank(frame) >= _rank(self.best):
            self.best = frame


def _rank(frame: EvaluatedFrame) -> tuple[int, int]:
    return len(frame.evaluated_categories), frame.stamp_ns


def _keep(
    queue: OrderedDict[int, SdfObjectArray], stamp: int, message: SdfObjectArray, size: int
) -> None:
    queue[stamp] = message
    while len(queue) > size:
        queue.popitem(last=False)


def _evaluate(
    results: Sequence[SdfObject], truth: Sequence[SdfObject]
) -> tuple[ObjectEvaluation, ...]:
    return evaluate_frame([_reported(x) for x in results], [truth_from_message(x) for x in truth])


def _reported(message: SdfObject) -> ReportedObject:
    rotation, translation = pose_arrays(message.pose.pose)
    sides = message.dimensions
    return ReportedObject(
        message.id,
        message.category,
        rotation,
        translation,
        np.array([sides.x, sides.y, sides.z]),
        message.confidence,
    )
