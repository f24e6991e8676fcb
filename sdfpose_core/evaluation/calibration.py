"""Whether a confidence means what it says: calibration and ranking."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from sdfpose_core.errors import ShapeError

__all__ = ["expected_calibration_error", "ranking_auroc"]


def expected_calibration_error(
    probability: NDArray[np.floating], right: NDArray[np.bool_], bins: int = 10
) -> float:
    """Mean gap between confidence and success rate over bins of equal width.

    Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, equation 3.

    Args:
        probability: (N,) confidences, 0 to 1.
        right: (N,) whether each was right.
        bins: number of bins.

    Raises:
        ShapeError: the two differ in length or are empty.
    """
    _check(probability, right)
    index = np.minimum((np.asarray(probability) * bins).astype(int), bins - 1)
    gap = np.bincount(index, weights=np.asarray(probability) - right, minlength=bins)
    return float(np.abs(gap).sum() / len(right))


def ranking_auroc(probability: NDArray[np.floating], right: NDArray[np.bool_]) -> float:
    """Chance that a right estimate has a higher confidence than a wrong one; ties count half.

    NaN where all are right or all are wrong.

    Raises:
        ShapeError: the two differ in length or are empty.
    """
    _check(probability, right)
    right = np.asarray(right, dtype=bool)
    good, bad = int(right.sum()), int((~right).sum())
    if good == 0 or bad == 0:
        return float("nan")
    ranks = rankdata(probability)
    return float((ranks[right].sum() - good * (good + 1) / 2) / (good * bad))


def _check(probability: NDArray[np.floating], right: NDArray[np.bool_]) -> None:
    if len(right) == 0 or len(probability) != len(right):
        raise ShapeError(
            f"probability and right have {len(probability)} and {len(right)} entries: expected "
            "as many of one as of the other, at least one"
        )
