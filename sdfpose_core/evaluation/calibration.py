"""Whether a confidence means what it says: calibration and ranking."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from sdfpose_core.errors import ShapeError

__all__ = ["expected_calibration_error", "ranking_auroc", "reliability"]


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
    mean, share, count = reliability(probability, right, bins)
    some = count > 0
    return float(np.abs((mean - share)[some] * count[some]).sum() / len(right))


def reliability(
    probability: NDArray[np.floating], right: NDArray[np.bool_], bins: int = 10
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Mean confidence, success rate and number (bins,) in bins of equal width.

    The points of a reliability diagram; NaN where a bin is empty. Arguments and errors are those
    of `expected_calibration_error`.
    """
    _check(probability, right)
    index = np.minimum((np.asarray(probability) * bins).astype(int), bins - 1)
    count = np.bincount(index, minlength=bins)
    with np.errstate(invalid="ignore"):
        mean = np.bincount(index, weights=probability, minlength=bins) / count
        share = np.bincount(index, weights=right, minlength=bins) / count
    return mean, share, count


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
