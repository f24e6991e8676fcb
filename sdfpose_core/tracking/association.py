"""Association: which tracked object each instance of an image shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from sdfpose_core.observation.frame import Instance
from sdfpose_core.tracking.predicted_track import PredictedTrack

__all__ = ["assign_instances", "associate"]


_PREFERENCE = 0.01
"""Bonus for the same mask id, in squared gates."""


def assign_instances(
    options: Mapping[int, Sequence[Instance]], predicted: Sequence[PredictedTrack]
) -> dict[int, PredictedTrack]:
    """The tracked object behind each mask id, one for one. New objects have no entry.

    Objects that were seen recently are assigned first: the predicted place of an object that has
    been out of view for long is a guess.

    Args:
        options: instances by mask id; those of a mask id differ in category.
        predicted: the tracked objects; each may be behind a mask id that has its category, or one
            under which masks have presented it.
    """
    owners: dict[int, PredictedTrack] = {}
    categories = {i: {x.category for x in same} for i, same in options.items()}
    for priority in sorted({x.priority for x in predicted}):
        free = [same[0] for i, same in options.items() if i not in owners]
        candidates = [x for x in predicted if x.priority == priority]
        if not free:
            break
        pairs = associate(
            np.stack([x.path for x in candidates]),
            np.array([x.gate_m for x in candidates]),
            np.stack([x.middle for x in free]),
            compatible=np.array(
                [
                    [not categories[y.mask_id].isdisjoint(x.object.known_as) for y in free]
                    for x in candidates
                ]
            ),
            preferred=np.array(
                [[x.object.estimate.mask_id == y.mask_id for y in free] for x in candidates]
            ),
        )
        owners |= {free[j].mask_id: candidates[i] for i, j in pairs}
    return owners


def associate(
    paths: NDArray[np.float64],
    gates_m: NDArray[np.float64],
    observed: NDArray[np.float64],
    *,
    compatible: NDArray[np.bool_],
    preferred: NDArray[np.bool_],
) -> list[tuple[int, int]]:
    """The assignment of observations to tracks with the least cost (Kuhn, 1955).

    The cost is the sum of squared distances in units of the gates. A track without an observation
    costs as much as one at its gate.

    Args:
        paths: (T, 2, 3) ends of the line segments on which the tracks are predicted, metres.
        gates_m: (T,) distances from which on an observation is another object, metres.
        observed: (I, 3) observed places, metres.
        compatible: (T, I) whether a pair is possible.
        preferred: (T, I) which pairs to prefer where distances do not decide.

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
    """(T, I) distances from line segments (T, 2, 3) to points (I, 3)."""
    start, way = paths[:, 0, None], paths[:, 1, None] - paths[:, 0, None]
    square = np.maximum((way**2).sum(axis=2), 1e-12)
    share = np.clip((way * (points - start)).sum(axis=2) / square, 0.0, 1.0)
    return np.asarray(np.linalg.norm(points - start - share[..., None] * way, axis=2))
