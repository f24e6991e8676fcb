"""Results of a running graph against its ground truth, matched by stamp."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from sdfpose.msg import SdfObject, SdfObjectArray

from sdfpose_core.evaluation.boxes import OrientedBox, oriented_iou, symmetric_iou
from sdfpose_core.evaluation.pose_errors import rotation_error_deg, translation_error_m
from sdfpose_core.messages.interfaces import stamp_ns
from sdfpose_ros.object_messages import pose_arrays

__all__ = ["EvaluatedFrame", "EvaluatedObject", "LiveEvaluation"]

_WINDOW_S = 5.0
"""Rate and latency are those of the last seconds."""


@dataclass(frozen=True)
class EvaluatedObject:
    """One object of one frame, and its errors where its true pose is known.

    Attributes:
        id: the tracker's.
        category: name of its category.
        rotation: R (3, 3), object to camera frame.
        translation: t (3,), metres, camera frame.
        scale: diagonal of the box, metres.
        dimensions_m: (3,) sides of the box.
        confidence: 0 to 1.
        rot_err_deg, trans_err_cm, iou3d_oriented: errors by the NOCS rules; None without truth.
    """

    id: int
    category: str
    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]
    scale: float
    dimensions_m: NDArray[np.float64]
    confidence: float
    rot_err_deg: float | None = None
    trans_err_cm: float | None = None
    iou3d_oriented: float | None = None

    def as_json(self) -> dict[str, object]:
        """The object as an entry of ``objects.json``."""
        return {
            "id": self.id,
            "category": self.category,
            "R": self.rotation.tolist(),
            "t": self.translation.tolist(),
            "scale": self.scale,
            "dimensions_m": self.dimensions_m.tolist(),
            "confidence": self.confidence,
            "rot_err_deg": self.rot_err_deg,
            "trans_err_cm": self.trans_err_cm,
        }


@dataclass(frozen=True)
class EvaluatedFrame:
    """All objects of one image.

    Attributes:
        stamp_ns: of the image.
        objects: those that the image shows.
        has_truth: whether ground truth of that image has come.
    """

    stamp_ns: int
    objects: tuple[EvaluatedObject, ...]
    has_truth: bool

    @property
    def evaluated_categories(self) -> set[str]:
        """Categories of which an object has errors."""
        return {x.category for x in self.objects if x.rot_err_deg is not None}


class LiveEvaluation:
    """Collects results and ground truth as they come.

    Args:
        window: frames of ground truth that are kept for results to come.

    Attributes:
        latest: the newest evaluated frame, None before the first.
        best: the newest among those with the most evaluated categories.
        results: number of results.
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
        """Take the ground truth of one image."""
        stamp = stamp_ns(message.header)
        _keep(self._truth, stamp, message, self._window)
        result = self._waiting.pop(stamp, None)
        if result is not None:
            self._evaluate(result)

    def add_result(self, message: SdfObjectArray, arrival_s: float) -> None:
        """Take the result of one image, which came at `arrival_s` of the clock of the stamps."""
        stamp = stamp_ns(message.header)
        self.results += 1
        self._arrivals.append((arrival_s, arrival_s - stamp * 1e-9))
        while self._arrivals and arrival_s - self._arrivals[0][0] > _WINDOW_S:
            self._arrivals.popleft()
        if stamp not in self._truth:
            _keep(self._waiting, stamp, message, self._window)
        self._evaluate(message)

    @property
    def rate_hz(self) -> float:
        """Results per second, 0 before the second one."""
        if len(self._arrivals) < 2:
            return 0.0
        return (len(self._arrivals) - 1) / max(self._arrivals[-1][0] - self._arrivals[0][0], 1e-9)

    @property
    def latency_s(self) -> float:
        """Median time from an image's stamp to its result, seconds; NaN before the first."""
        return float(np.median([latency for _, latency in self._arrivals] or [np.nan]))

    def _evaluate(self, result: SdfObjectArray) -> None:
        stamp = stamp_ns(result.header)
        shown = [x for x in result.objects if x.state != SdfObject.LOST]
        truth = self._truth.get(stamp)
        frame = EvaluatedFrame(
            stamp, _evaluate(shown, [] if truth is None else truth.objects), truth is not None
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
) -> tuple[EvaluatedObject, ...]:
    """Objects with their errors; within a category each goes with the nearest true one."""
    partner: dict[int, SdfObject] = {}
    for category in {x.category for x in results}:
        own = [i for i, x in enumerate(results) if x.category == category]
        true = [x for x in truth if x.category == category]
        if true:
            distance = np.linalg.norm(
                np.array([pose_arrays(results[i].pose.pose)[1] for i in own])[:, None]
                - np.array([pose_arrays(x.pose.pose)[1] for x in true])[None],
                axis=-1,
            )
            rows, columns = linear_sum_assignment(distance)
            partner.update({own[r]: true[c] for r, c in zip(rows, columns, strict=True)})
    return tuple(_evaluated(x, partner.get(i)) for i, x in enumerate(results))


def _evaluated(result: SdfObject, truth: SdfObject | None) -> EvaluatedObject:
    box = _box(result)
    errors: dict[str, float] = {}
    if truth is not None:
        true = _box(truth)
        symmetric = bool(truth.symmetric_about_y)
        overlap = symmetric_iou if symmetric else oriented_iou
        errors = {
            "rot_err_deg": float(rotation_error_deg(box.rotation, true.rotation, symmetric)),
            "trans_err_cm": 100.0 * float(translation_error_m(box.translation, true.translation)),
            "iou3d_oriented": float(overlap(box, true)),
        }
    return EvaluatedObject(
        id=result.id,
        category=result.category,
        rotation=box.rotation,
        translation=box.translation,
        scale=result.scale,
        dimensions_m=box.dimensions_m,
        confidence=result.confidence,
        **errors,
    )


def _box(message: SdfObject) -> OrientedBox:
    rotation, translation = pose_arrays(message.pose.pose)
    sides = message.dimensions
    return OrientedBox(rotation, translation, np.array([sides.x, sides.y, sides.z]))
