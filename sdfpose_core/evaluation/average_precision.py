"""Average precision of detections."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.errors import ShapeError

__all__ = ["average_precision", "average_precisions"]


def average_precision(score: NDArray[np.floating], right: NDArray[np.bool_], truths: int) -> float:
    """Compute `average_precisions` at one threshold; `right` is (N,)."""
    return float(average_precisions(score, np.asarray(right, dtype=bool)[:, None], truths)[0])


def average_precisions(
    score: NDArray[np.floating], right: NDArray[np.bool_], truths: int
) -> NDArray[np.float64]:
    """Compute the areas (T,) under the interpolated precision-recall curves, 0 to 1.

    As in Everingham et al., "The PASCAL Visual Object Classes Challenge" (IJCV 2010), with all
    recalls, as in the NOCS benchmark: each precision is replaced by the maximum at its recall or
    higher. NaN if there are no objects.

    Args:
        score: (N,) scores of the detections.
        right: (N, T) bool, whether each detection is a true positive at each threshold; only one
            detection per object may be.
        truths: number of ground-truth objects, including missed ones.

    Raises:
        ShapeError: score and right differ in length, or there are more true positives than objects.
    """
    right = np.asarray(right, dtype=bool)
    max_right = int(right.sum(axis=0).max(initial=0))
    if len(score) != len(right) or max_right > truths:
        raise ShapeError(
            f"{len(score)} scores, {len(right)} detections with {max_right} true positives, and "
            f"{truths} objects: expected one score per detection, and no more true positives than "
            "objects"
        )
    if truths == 0:
        return np.full(right.shape[1], np.nan)
    right = right[np.argsort(-np.asarray(score), kind="stable")]
    precision = right.cumsum(axis=0) / np.arange(1, len(right) + 1)[:, None]
    best = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
    # The recall rises by 1 / truths at each true positive.
    return np.asarray((best * right).sum(axis=0) / truths)
