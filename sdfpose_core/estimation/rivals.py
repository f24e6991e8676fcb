"""Rivals of a pose: modes that differ from it by more than the object's own symmetries."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.observation.frame import Alternative, ObjectEstimate

__all__ = ["SAME_MODE_COS", "rotation_cosine", "true_rivals", "with_modes"]

SAME_MODE_COS = math.cos(math.radians(25.0))
"""Modes of one category that differ by less than this angle are the same."""


def rotation_cosine(
    rotation: NDArray[np.floating],
    other: NDArray[np.floating],
    symmetries: NDArray[np.floating],
    *,
    symmetric_about_y: bool,
) -> float:
    """Cosine of the smallest angle between two rotations of an object, up to its symmetries.

    Args:
        rotation: R (3, 3).
        other: (3, 3).
        symmetries: (S, 3, 3): R S is as right as R.
        symmetric_about_y: whether yaw about y does not count.
    """
    # Both terms are linear in R^T R', whose rotations by the symmetries are compared.
    relative = np.stack([np.eye(3), *symmetries.transpose(0, 2, 1)]) @ (rotation.T @ other)
    if symmetric_about_y:
        return float(relative[:, 1, 1].max())
    return (float(np.trace(relative, axis1=1, axis2=2).max()) - 1.0) / 2.0


def true_rivals(estimate: ObjectEstimate) -> ObjectEstimate:
    """The estimate without the alternatives that its symmetries make as right as itself.

    Their probabilities are added to its own.
    """

    def same(x: Alternative) -> bool:
        cosine = rotation_cosine(
            estimate.rotation,
            x.rotation,
            estimate.symmetries,
            symmetric_about_y=estimate.symmetric_about_y,
        )
        return x.category == estimate.category and cosine > SAME_MODE_COS

    others = tuple(x for x in estimate.alternatives if not same(x))
    if len(others) == len(estimate.alternatives):
        return estimate
    return with_modes(estimate, 1.0 - math.fsum(x.probability for x in others), others)


def with_modes(
    estimate: ObjectEstimate, probability: float, alternatives: tuple[Alternative, ...]
) -> ObjectEstimate:
    """The estimate with another probability of its mode, and the confidence that follows.

    The confidence is the probability of the mode times that of being precise.

    Args:
        estimate: of an object.
        probability: of its mode.
        alternatives: the rival modes; with `probability`, theirs sum to 1.
    """
    factor = probability / estimate.probability if estimate.probability > 0.0 else 1.0
    return replace(
        estimate,
        probability=probability,
        confidence=min(factor * estimate.confidence, 1.0),
        alternatives=alternatives,
    )
