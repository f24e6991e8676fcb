"""Comparison of an estimate with its ground truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.evaluation.boxes import OrientedBox, oriented_iou, symmetric_iou
from sdfpose_core.evaluation.pose_errors import rotation_error_deg, translation_error_m
from sdfpose_core.observation.frame import GroundTruth

__all__ = ["HasBox", "PoseErrors", "compare"]


class HasBox(Protocol):
    """An oriented box, such as `sdfpose_core.observation.frame.ObjectEstimate`."""

    @property
    def rotation(self) -> NDArray[np.float64]: ...  # noqa: D102
    @property
    def translation(self) -> NDArray[np.float64]: ...  # noqa: D102
    @property
    def dimensions_m(self) -> NDArray[np.float64]: ...  # noqa: D102


@dataclass(frozen=True)
class PoseErrors:
    """Errors of one estimate, as defined by the NOCS benchmark.

    Attributes:
        rot_err_deg: angle between the rotations, or between the y axes of symmetric objects,
            degrees.
        trans_err_cm: distance between the centres of the boxes, centimetres.
        iou3d_oriented: intersection over union of the oriented boxes, 0 to 1; the maximum over yaw
            for symmetric objects; NaN if the true size is unknown.
    """

    rot_err_deg: float
    trans_err_cm: float
    iou3d_oriented: float


def compare(estimate: HasBox, ground_truth: GroundTruth) -> PoseErrors:
    """Compute the errors of an estimate; the ground truth determines whether yaw counts."""
    symmetric = ground_truth.symmetric_about_y
    iou = symmetric_iou if symmetric else oriented_iou
    overlap = float("nan")
    if np.all(np.isfinite(ground_truth.dimensions_m)):
        true_box = OrientedBox(
            ground_truth.rotation, ground_truth.translation, ground_truth.dimensions_m
        )
        box = OrientedBox(estimate.rotation, estimate.translation, estimate.dimensions_m)
        overlap = float(iou(box, true_box))
    return PoseErrors(
        rot_err_deg=float(rotation_error_deg(estimate.rotation, ground_truth.rotation, symmetric)),
        trans_err_cm=100.0
        * float(translation_error_m(estimate.translation, ground_truth.translation)),
        iou3d_oriented=overlap,
    )
