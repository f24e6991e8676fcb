"""Which known object is where in an image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

__all__ = ["associate"]


_PREFERENCE = 0.01
"""What the same mask id is worth, in squared gates."""


def associate(
    paths: NDArray[np.float64],
    gates_m: NDArray[np.float64],
    observed: NDArray[np.float64],
    *,
    compatible: NDArray[np.bool_],
    preferred: NDArray[np.bool_],
) -> list[tuple[int, int]]:
    """Which known object is where: the likeliest assignment (Kuhn, 1955).

    Minimises the sum of squared distances, in units of the gates; an object without a partner
    costs as much as one at its gate.

    Args:
        paths: (T, 2, 3) ends of the lines on which the known objects are, metres.
        gates_m: (T,) distances from which on an object is another one, metres.
        observed: (I, 3) places of what was seen, metres.
        compatible: (T, I) whether a pair is possible.
        preferred: (T, I) which pairs to prefer where distances say nothing.

    Returns:
        Pairs (t, i), in the order of t.
    """
    distance = _distance(paths, observed)
    cost = (distance / gates_m[:, None]) ** 2
    possible = compatible & (cost < 1.0)
    cost = np.where(possible, np.maximum(cost - _PREFERENCE * preferred, 0.0), 1.0)
    rows, columns = linear_sum_assignment(cost)
    return [(int(t), int(i)) for t, i in zip(rows, columns, strict=True) if possible[t, i]]


def _distance(paths: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.float64]:
    """(T, I) from lines (T, 2, 3) to points (I, 3)."""
    start, way = paths[:, 0, None], paths[:, 1, None] - paths[:, 0, None]
    square = np.maximum((way**2).sum(axis=2), 1e-12)
    share = np.clip((way * (points - start)).sum(axis=2) / square, 0.0, 1.0)
    return np.asarray(np.linalg.norm(points - start - share[..., None] * way, axis=2))
