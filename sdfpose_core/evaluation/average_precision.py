"""Average precision of detections that are right or wrong."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.errors import ShapeError

__all__ = ["average_precision"]


def average_precision(score: NDArray[np.floating], right: NDArray[np.bool_], truths: int) -> float:
    """Area under the interpolated curve of precision over recall, 0 to 1.

    That of Everingham et al., "The PASCAL Visual Object Classes Challenge" (IJCV 2010) with all
    recalls, as the NOCS benchmark takes it: each precision is replaced by the best at its recall or
    beyond. NaN where there is nothing to find.

    Args:
        score: (N,) of the detections.
        right: (N,) whether each found an object that no better scored one had found.
        truths: number of objects to find; those without a detection count as missed.

    Raises:
        ShapeError: score and right differ in length, or more are right than there are objects.
    """
    right = np.asarray(right, dtype=bool)
    if len(score) != len(right) or right.sum() > truths:
        raise ShapeError(
            f"{len(score)} scores, {len(right)} verdicts of which {right.sum()} are right, and "
            f"{truths} objects: expected as many scores as verdicts, and no more right than objects"
        )
    if truths == 0:
        return float("nan")
    order = np.argsort(-np.asarray(score), kind="stable")
    found = np.cumsum(right[order])
    precision = found / np.arange(1, len(order) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    # The recall rises by 1 / truths at each right detection.
    return float(best[right[order]].sum() / truths)
