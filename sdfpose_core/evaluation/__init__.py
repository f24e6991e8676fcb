"""Errors of poses, boxes and shapes compared with ground truth.

The names below evaluate poses. For shapes, `surfaces` and `shape_metrics` compare two surfaces, and
`reconstruction` reconstructs them from measurements.
"""

from sdfpose_core.evaluation.average_precision import average_precision
from sdfpose_core.evaluation.boxes import OrientedBox, oriented_iou, symmetric_iou
from sdfpose_core.evaluation.calibration import expected_calibration_error, ranking_auroc
from sdfpose_core.evaluation.comparison import PoseErrors, compare
from sdfpose_core.evaluation.pose_errors import rotation_error_deg, translation_error_m

__all__ = [
    "OrientedBox",
    "PoseErrors",
    "average_precision",
    "compare",
    "expected_calibration_error",
    "oriented_iou",
    "ranking_auroc",
    "rotation_error_deg",
    "symmetric_iou",
    "translation_error_m",
]
