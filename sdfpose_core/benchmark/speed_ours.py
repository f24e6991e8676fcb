"""How long detection and tracking take, stage by stage."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import TypeVar

import numpy as np
import torch

from sdfpose_core.benchmark.speed_frames import back_and_forth
from sdfpose_core.benchmark.stopwatch import elapsed_ms
from sdfpose_core.errors import SdfposeError
from sdfpose_core.estimation.estimator import EstimatorConfig, FrameResult, PoseEstimator
from sdfpose_core.observation.frame import RgbdFrame
from sdfpose_core.tracking.tracker import Tracker, TrackerConfig, TrackerResult

__all__ = ["STAGES", "Detection", "median_stages", "new_tracker", "time_tracking"]

_Result = TypeVar("_Result", FrameResult, TrackerResult)

STAGES = ("segment", "encode", "refine", "mesh", "total")
"""What is timed of a frame; the total is all of it."""


class Detection:
    """Detects the objects of frames from nothing, with no shape decoded before.

    Args:
        categories: names of those whose weights are read.
        device: where the networks run.
        mesh_resolution: see `EstimatorConfig`.
    """

    def __init__(
        self, categories: Iterable[str], device: torch.device, mesh_resolution: int
    ) -> None:
        self._categories = tuple(dict.fromkeys(categories))
        self._device = device
        self._mesh_resolution = mesh_resolution
        self._estimators: dict[int, PoseEstimator] = {}

    def __call__(self, frame: RgbdFrame) -> FrameResult:
        """The objects of a frame.

        Raises:
            SdfposeError: one of them has no estimate.
        """
        return self._run(frame, EstimatorConfig().surface_points)[0]

    def stage_ms(
        self, frames: Sequence[RgbdFrame], surface_points: Sequence[int], repetitions: int
    ) -> dict[int, list[dict[str, float]]]:
        """Milliseconds by stage, per frame, of each number of surface points.

        Args:
            frames: one after the other, over and over.
            surface_points: see `EstimatorConfig`; they take turns.
            repetitions: frames that count; one before does not.

        Raises:
            SdfposeError: an object has no estimate.
        """
        rows: dict[int, list[dict[str, float]]] = {x: [] for x in surface_points}
        for k in range(repetitions + 1):
            for points, row in rows.items():
                row.append(self._run(frames[k % len(frames)], points)[1])
        return {points: row[1:] for points, row in rows.items()}

    def _run(self, frame: RgbdFrame, surface_points: int) -> tuple[FrameResult, dict[str, float]]:
        estimator = self._estimator(surface_points)
        estimator.shapes.forget()
        result, stage_ms = _timed(partial(estimator.run, frame), self._device)
        if result.skipped:
            raise SdfposeError(
                f"an object has no estimate, expected all to have one: {result.skipped[0].reason}; "
                "use another seed"
            )
        return result, stage_ms

    def _estimator(self, surface_points: int) -> PoseEstimator:
        if surface_points not in self._estimators:
            config = EstimatorConfig(
                device=str(self._device),
                surface_points=surface_points,
                mesh_resolution=self._mesh_resolution,
            )
            self._estimators[surface_points] = estimator = PoseEstimator(config)
            for category in self._categories:
                estimator.load(category)
        return self._estimators[surface_points]


def new_tracker(device: torch.device, config: TrackerConfig | None = None) -> Tracker:
    """A tracker of all categories with its weights loaded.

    Args:
        device: where the networks run.
        config: by default as the pose node has it.
    """
    estimator = PoseEstimator(EstimatorConfig(device=str(device)))
    for category in estimator.categories:
        estimator.load(category)
    return Tracker(estimator, config or TrackerConfig.live(device))


def time_tracking(
    tracker: Tracker,
    frames: Sequence[RgbdFrame],
    warm_up: int,
    count: int,
    device: torch.device,
) -> list[dict[str, float]]:
    """Milliseconds by stage of each of `count` frames.

    Args:
        tracker: forgets what it has followed before.
        frames: played forth and back, one as soon as the one before is done.
        warm_up: frames that do not count, before those that do.
        count: number of frames.
        device: where the networks run.
    """
    tracker.reset()
    shown = back_and_forth(frames)
    for frame in islice(shown, warm_up):
        tracker.step(frame)
    return [_timed(partial(tracker.step, x), device)[1] for x in islice(shown, count)]


def median_stages(rows: Sequence[Mapping[str, float]], objects: int) -> dict[str, float]:
    """Medians over frames of the milliseconds of each stage, per object.

    A stage that most frames do without has 0.
    """
    return {x: float(np.median([row.get(x, 0.0) for row in rows])) / objects for x in STAGES}


def _timed(work: Callable[[], _Result], device: torch.device) -> tuple[_Result, dict[str, float]]:
    """The result of some work, and its milliseconds by stage."""
    results: list[_Result] = []
    total = elapsed_ms(lambda: results.append(work()), device)
    (result,) = results
    return result, {**result.stage_ms, "total": total}
