"""Average precision of detections that are right or wrong."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.errors import ShapeError

__all__ = ["average_precision", "average_precisions"]


def average_precision(score: NDArray[np.floating], right: NDArray[np.bool_], truths: int) -> float:
    """`average_precisions` at one threshold: right is (N,)."""
    return float(average_precisions(score, np.asarray(right, dtype=bool)[:, None], truths)[0])


def average_precisions(
    score: NDArray[np.floating], right: NDArray[np.bool_], truths: int
) -> NDArray[np.float64]:
    """Areas (T,) under the interpolated curves of precision over recall, 0 to 1.

    Those of Everingham et al., "The PASCAL Visual Object Classes Challenge" (IJCV 2010) with all
    recalls, as the NOCS benchmark takes them: each precision is replaced by the best at its recall
    or beyond. NaN where there is nothing to find.

    Args:
        score: (N,) of the detections.
        right: (N, T) whether each found an object that no better scored one had found, at each
            threshold.
        truths: number of objects to find; those without a detection count as missed.

    Raises:
        ShapeError: score and right differ in length, or more are right than there are objects.
    """
    right = np.asarray(right, dtype=bool)
    most = int(right.sum(axis=0).max(initial=0))
    if len(score) != len(right) or most > truths:
        raise ShapeError(
            f"{len(score)} scores, {len(right)} verdicts of which {most} are right, and "
            f"{truths} objects: expected as many scores as verdicts, and no more right than objects"
        )
    if truths == 0:
        return np.full(right.shape[1], np.nan)
    right = right[np.argsort(-np.asarray(score), kind="stable")]
    precision = right.cumsum(axis=0) / np.arange(1, len(right) + 1)[:, None]
    best = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
    # The recall rises by 1 / truths at each right detection.
    return np.asarray((best * right).sum(axis=0) / truths)
