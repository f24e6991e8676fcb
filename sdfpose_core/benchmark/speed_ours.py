"""Time detection and tracking, stage by stage."""

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
from sdfpose_core.shapes.families import FAMILIES
from sdfpose_core.tracking.tracker import Tracker, TrackerConfig, TrackerResult

__all__ = ["STAGES", "Detection", "median_stages", "new_tracker", "time_tracking"]

_Result = TypeVar("_Result", FrameResult, TrackerResult)

STAGES = ("segment", "encode", "refine", "mesh", "total")
"""Timed stages of a frame; the total includes everything."""


class Detection:
    """Detect objects from scratch, with an empty shape cache.

    Args:
        categories: names of the categories to load.
        device: device of the networks.
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
        """Detect the objects of a frame.

        Raises:
            SdfposeError: An object has no estimate.
        """
        return self._run(frame, EstimatorConfig().surface_points)[0]

    def stage_ms(
        self, frames: Sequence[RgbdFrame], surface_points: Sequence[int], repetitions: int
    ) -> dict[int, list[dict[str, float]]]:
        """Time detection with each number of surface points.

        Args:
            frames: frames, used cyclically.
            surface_points: numbers of points (see `EstimatorConfig`), measured alternately.
            repetitions: number of timed frames, after one warm-up frame.

        Returns:
            By number of points, for each frame the milliseconds by stage.

        Raises:
            SdfposeError: An object has no estimate.
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
                f"an object has no estimate: {result.skipped[0].reason}: expected estimates of all "
                "objects; use another seed"
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
    """Create a tracker with the weights of all simulated categories loaded.

    Args:
        device: device of the networks.
        config: tracker configuration; default: that of the pose node.
    """
    estimator = PoseEstimator(EstimatorConfig(device=str(device)))
    for category in FAMILIES:  # those of the simulated objects
        estimator.load(category)
    return Tracker(estimator, config or TrackerConfig.live(device))


def time_tracking(
    tracker: Tracker,
    frames: Sequence[RgbdFrame],
    warm_up: int,
    count: int,
    device: torch.device,
) -> list[dict[str, float]]:
    """Time tracking by stage, milliseconds for each of `count` frames.

    Args:
        tracker: tracker to measure; it is reset first.
        frames: frames, played forward and backward without pauses.
        warm_up: number of frames before the measurement.
        count: number of timed frames.
        device: device of the networks.
    """
    tracker.reset()
    shown = back_and_forth(frames)
    for frame in islice(shown, warm_up):
        tracker.step(frame)
    return [_timed(partial(tracker.step, x), device)[1] for x in islice(shown, count)]


def median_stages(rows: Sequence[Mapping[str, float]], objects: int) -> dict[str, float]:
    """Compute the median milliseconds of each stage, per object.

    A stage that does not run in most frames has 0.
    """
    return {x: float(np.median([row.get(x, 0.0) for row in rows])) / objects for x in STAGES}


def _timed(work: Callable[[], _Result], device: torch.device) -> tuple[_Result, dict[str, float]]:
    """Run a call; return its result and its milliseconds by stage."""
    results: list[_Result] = []
    total = elapsed_ms(lambda: results.append(work()), device)
    (result,) = results
    return result, {**result.stage_ms, "total": total}
