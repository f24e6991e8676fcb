"""Calibration and ranking quality of confidences."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.errors import ShapeError

__all__ = ["expected_calibration_error", "ranking_auroc", "reliability"]


def expected_calibration_error(
    probability: NDArray[np.floating], right: NDArray[np.bool_], bins: int = 10
) -> float:
    """Compute the mean gap between confidence and accuracy over bins of equal width.

    Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, equation 3.

    Args:
        probability: (N,) confidences, 0 to 1.
        right: (N,) bool, whether each estimate is correct.
        bins: number of bins.

    Raises:
        ShapeError: the two differ in length or are empty.
    """
    mean, share, count = reliability(probability, right, bins)
    some = count > 0
    return float(np.abs((mean - share)[some] * count[some]).sum() / len(right))


def reliability(
    probability: NDArray[np.floating], right: NDArray[np.bool_], bins: int = 10
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Compute mean confidence, accuracy and count (bins,) in bins of equal width.

    These are the points of a reliability diagram; NaN in empty bins. For arguments and errors, see
    `expected_calibration_error`.
    """
    _check(probability, right)
    index = np.minimum((np.asarray(probability) * bins).astype(int), bins - 1)
    count = np.bincount(index, minlength=bins)
    with np.errstate(invalid="ignore"):
        mean = np.bincount(index, weights=probability, minlength=bins) / count
        share = np.bincount(index, weights=right, minlength=bins) / count
    return mean, share, count


def ranking_auroc(probability: NDArray[np.floating], right: NDArray[np.bool_]) -> float:
    """Compute the probability that a correct estimate has a higher confidence than a wrong one.

    Ties count half. NaN if all estimates are correct or all are wrong.

    Raises:
        ShapeError: the two differ in length or are empty.
    """
    _check(probability, right)
    right = np.asarray(right, dtype=bool)
    good, bad = int(right.sum()), int((~right).sum())
    if good == 0 or bad == 0:
        return float("nan")
    from scipy.stats import rankdata  # takes long to load, and the pose node never gets here

    ranks = rankdata(probability)
    return float((ranks[right].sum() - good * (good + 1) / 2) / (good * bad))


def _check(probability: NDArray[np.floating], right: NDArray[np.bool_]) -> None:
    if len(right) == 0 or len(probability) != len(right):
        raise ShapeError(
            f"probability and right have {len(probability)} and {len(right)} entries: expected "
            "equal lengths of at least 1"
        )
