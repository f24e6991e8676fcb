"""One estimate against its ground truth."""

from __future__ import annotations

from dataclasses import dataclass

from sdfpose_core.evaluation.boxes import OrientedBox, oriented_iou, symmetric_iou
from sdfpose_core.evaluation.pose_errors import rotation_error_deg, translation_error_m
from sdfpose_core.frame import GroundTruth, ObjectEstimate

__all__ = ["PoseErrors", "compare"]


@dataclass(frozen=True)
class PoseErrors:
    """Errors of one estimate by the rules of the NOCS benchmark.

    Attributes:
        rot_err_deg: angle between the rotations, or between the y axes of symmetric objects.
        trans_err_cm: distance between the centres of the boxes.
        iou3d_oriented: intersection over union of the oriented boxes, 0 to 1; the best over yaw
            for symmetric objects.
    """

    rot_err_deg: float
    trans_err_cm: float
    iou3d_oriented: float


def compare(estimate: ObjectEstimate, ground_truth: GroundTruth) -> PoseErrors:
    """Errors of an estimate; the ground truth says whether yaw counts."""
    symmetric = ground_truth.symmetric_about_y
    iou = symmetric_iou if symmetric else oriented_iou
    overlap = iou(
        OrientedBox(estimate.rotation, estimate.translation, estimate.dimensions_m),
        OrientedBox(ground_truth.rotation, ground_truth.translation, ground_truth.dimensions_m),
    )
    return PoseErrors(
        rot_err_deg=float(rotation_error_deg(estimate.rotation, ground_truth.rotation, symmetric)),
        trans_err_cm=100.0
        * float(translation_error_m(estimate.translation, ground_truth.translation)),
        iou3d_oriented=float(overlap),
    )
