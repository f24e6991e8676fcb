"""Metrics of evaluated frames: average precision, errors, calibration and time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.datasets.nocs import NOCS_CATEGORIES
from sdfpose_core.datasets.nocs_results import NocsResult
from sdfpose_core.evaluation.calibration import expected_calibration_error, ranking_auroc
from sdfpose_core.evaluation.comparison import PoseErrors
from sdfpose_core.evaluation.frame_evaluation import (
    FrameEvaluation,
    ObjectEvaluation,
    ReportedObject,
)
from sdfpose_core.evaluation.nocs_protocol import IouName, MissPolicy
from sdfpose_core.evaluation.nocs_results import figures
from sdfpose_core.observation.frame import GroundTruth

__all__ = [
    "MIN_OBJECTS",
    "evaluated_objects",
    "frame_metrics",
    "frame_result",
    "is_correct",
    "nocs_result",
]

MIN_OBJECTS = 10
"""An average over fewer objects says little. It is shown all the same, with its number."""

_CORRECT_DEG, _CORRECT_CM = 10.0, 5.0


def is_correct(errors: PoseErrors) -> bool:
    """Check whether a pose is correct: within 10 degrees and 5 cm."""
    return errors.rot_err_deg <= _CORRECT_DEG and errors.trans_err_cm <= _CORRECT_CM


def evaluated_objects(frames: Iterable[FrameEvaluation]) -> list[ObjectEvaluation]:
    """List the reported objects of all frames whose true pose is known."""
    return [x for frame in frames for x in frame.objects if x.errors is not None]


def frame_metrics(
    frames: Sequence[FrameEvaluation],
    *,
    iou: IouName = "oriented",
    misses: MissPolicy = "count",
    results: Sequence[NocsResult] | None = None,
) -> dict[str, Any]:
    """Compute metrics of the frames with ground truth.

    - ``average_precision``: see `nocs_results.figures`.
    - ``errors``: medians by category.
    - ``confidence``: expected calibration error and AUROC of the reported confidences; a pose is
      correct within 10 degrees and 5 cm.
    - ``stage_ms``: wall times over all frames.

    ``n`` is the number of objects behind each figure; figures without any object are None.

    Args:
        frames: evaluated frames.
        iou: see `nocs_protocol.nocs_precision`.
        misses: see `nocs_protocol.nocs_precision`.
        results: what the average precision is computed from; by default, the frames with ground
            truth.
    """
    known = [x for x in frames if x.truths is not None]
    evaluated = evaluated_objects(known)
    found = {x.reported.category for x in evaluated}
    names = [
        *(x for x in NOCS_CATEGORIES if x in found),
        *sorted(found - set(NOCS_CATEGORIES)),
    ]
    return {
        "frames_with_truth": len(known),
        "objects": sum(len(x.objects) for x in frames),
        "average_precision": _precision(
            [frame_result(x) for x in known] if results is None else results, iou, misses
        ),
        "errors": {
            name: _medians([x for x in evaluated if x.reported.category == name]) for name in names
        },
        "confidence": _calibration(evaluated),
        "stage_ms": _times(frames),
    }


def frame_result(frame: FrameEvaluation) -> NocsResult:
    """Convert an evaluated frame to the NOCS format.

    Reported objects whose true pose or size is unknown are skipped, because they cannot be judged.
    """
    reported = [
        x.reported
        for x in frame.objects
        if not x.is_unknown and (x.truth is None or np.all(np.isfinite(x.truth.dimensions_m)))
    ]
    return nocs_result(frame.name, reported, frame.truths or ())


def nocs_result(
    name: str, reported: Sequence[ReportedObject], truths: Sequence[GroundTruth]
) -> NocsResult:
    """Convert reported and true objects of a frame to the NOCS format.

    Objects of other categories than those of NOCS, and true objects of unknown size, are skipped.
    """
    found = [x for x in reported if x.category in NOCS_CATEGORIES]
    true = [
        x for x in truths if x.category in NOCS_CATEGORIES and np.all(np.isfinite(x.dimensions_m))
    ]
    return NocsResult(
        name,
        _class_ids(true),
        _transforms(true),
        _sizes(true),
        np.array([not x.symmetric_about_y for x in true], dtype=bool),
        _class_ids(found),
        _transforms(found),
        _sizes(found),
        np.array([x.confidence for x in found], dtype=np.float64),
    )


_Boxed = Sequence[ReportedObject | GroundTruth]


def _class_ids(objects: _Boxed) -> NDArray[np.int64]:
    return np.array([1 + NOCS_CATEGORIES.index(x.category) for x in objects], dtype=np.int64)


def _transforms(objects: _Boxed) -> NDArray[np.float64]:
    transforms = np.tile(np.eye(4), (len(objects), 1, 1))
    for i, x in enumerate(objects):
        transforms[i, :3, :3] = x.scale * x.rotation
        transforms[i, :3, 3] = x.translation
    return transforms


def _sizes(objects: _Boxed) -> NDArray[np.float64]:
    return np.array([x.dimensions_m / x.scale for x in objects]).reshape(-1, 3)


def _precision(
    results: Sequence[NocsResult], iou: IouName, misses: MissPolicy
) -> dict[str, Any] | None:
    found = figures(results, iou=iou, misses=misses)
    if not found["mean"]["n"]:
        return None
    return {"iou": iou, "misses": misses, **found}


def _medians(evaluated: Sequence[ObjectEvaluation]) -> dict[str, Any]:
    errors = [x.errors for x in evaluated if x.errors is not None]
    row: dict[str, Any] = {"n": len(errors)}
    for key in ("rot_err_deg", "trans_err_cm", "iou3d_oriented"):
        values = np.array([getattr(x, key) for x in errors])
        values = values[np.isfinite(values)]
        row[f"{key}_median"] = float(np.median(values)) if len(values) else None
    return row


def _calibration(evaluated: Sequence[ObjectEvaluation]) -> dict[str, Any]:
    row: dict[str, Any] = {"n": len(evaluated), "ece": None, "auroc": None}
    if evaluated:
        confidence = np.array([x.reported.confidence for x in evaluated])
        right = np.array([x.errors is not None and is_correct(x.errors) for x in evaluated])
        auroc = ranking_auroc(confidence, right)
        row["ece"] = expected_calibration_error(confidence, right)
        row["auroc"] = None if np.isnan(auroc) else auroc
    return row


def _times(frames: Sequence[FrameEvaluation]) -> dict[str, dict[str, float]]:
    stages = dict.fromkeys(stage for x in frames for stage in x.stage_ms)
    values = {k: np.array([x.stage_ms[k] for x in frames if k in x.stage_ms]) for k in stages}
    return {
        stage: {
            "mean": float(x.mean()),
            "p50": float(np.percentile(x, 50)),
            "p95": float(np.percentile(x, 95)),
        }
        for stage, x in values.items()
    }
