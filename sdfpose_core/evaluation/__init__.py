"""Errors of poses and boxes against ground truth."""

from sdfpose_core.evaluation.boxes import OrientedBox, oriented_iou, symmetric_iou
from sdfpose_core.evaluation.comparison import PoseErrors, compare
from sdfpose_core.evaluation.pose_errors import rotation_error_deg, translation_error_m

__all__ = [
    "OrientedBox",
    "PoseErrors",
    "compare",
    "oriented_iou",
    "rotation_error_deg",
    "symmetric_iou",
    "translation_error_m",
]
