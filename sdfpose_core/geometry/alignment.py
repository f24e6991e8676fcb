"""The similarity between corresponding points, in closed form and against outliers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sdfpose_core.errors import ShapeError

__all__ = ["Alignment", "align", "align_robustly", "nearest_yaw"]

_SAMPLE = 4
"""Pairs that a hypothesis is made of."""

_ROUNDS = 128
"""With half of the pairs wrong, at least one sample of 128 is all right but once in 4,000."""

_REFITS = 10


@dataclass(frozen=True)
class Alignment:
    """Target = scale R source + t.

    Attributes:
        scale: ratio of lengths.
        rotation: (3, 3).
        translation: (3,), in the target's unit.
        inliers: (N,) bool, the pairs that it is made of.
    """

    scale: float
    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]
    inliers: NDArray[np.bool_]

    def residual(
        self, source: NDArray[np.floating], target: NDArray[np.floating]
    ) -> NDArray[np.float64]:
        """Distances (N,) between the moved source points and the target points (N, 3)."""
        moved = self.scale * source @ self.rotation.T + self.translation
        return np.asarray(np.linalg.norm(moved - target, axis=1))


def align(source: NDArray[np.floating], target: NDArray[np.floating]) -> Alignment:
    """Least squares over all pairs, after Umeyama (PAMI 1991).

    Args:
        source: (N, 3), not all on one line.
        target: (N, 3), any unit.

    Raises:
        ShapeError: the arrays have other shapes, or the points do not determine a rotation.
    """
    _check(source, target)
    found = _fit(source.astype(np.float64)[None], target.astype(np.float64)[None])
    scale, rotation, translation, determined = (x[0] for x in found)
    if not determined:
        raise ShapeError(
            f"{len(source)} pairs of points do not determine a similarity: expected at least three "
            "that are not on one line"
        )
    return Alignment(float(scale), rotation, translation, np.ones(len(source), dtype=np.bool_))


def align_robustly(
    source: NDArray[np.floating],
    target: NDArray[np.floating],
    tolerance: float,
    rng: np.random.Generator,
) -> Alignment:
    """Random sample consensus (Fischler and Bolles 1981) around `align`.

    Args:
        source: (N, 3).
        target: (N, 3).
        tolerance: in the target's unit; a pair that is farther off is an outlier.
        rng: source of the samples.

    Raises:
        ShapeError: the arrays have other shapes, or no sample determines a similarity.
    """
    _check(source, target)
    source, target = source.astype(np.float64), target.astype(np.float64)
    picks = rng.integers(len(source), size=(_ROUNDS, _SAMPLE))
    scale, rotation, translation, determined = _fit(source[picks], target[picks])
    moved = scale[:, None, None] * (source @ rotation.transpose(0, 2, 1)) + translation[:, None]
    near = ((moved - target) ** 2).sum(-1) <= tolerance**2
    support = np.where(determined, near.sum(axis=1), -1)
    best = int(support.argmax())
    if support[best] < _SAMPLE:
        raise ShapeError(
            f"no similarity brings {_SAMPLE} of {len(source)} pairs of points within {tolerance:g} "
            "of each other: expected corresponding points that are not on one line"
        )
    inliers = near[best]
    for _ in range(_REFITS):
        found = align(source[inliers], target[inliers])
        again = found.residual(source, target) <= tolerance
        if again.sum() < _SAMPLE or np.array_equal(again, inliers):
            break
        inliers = again
    return Alignment(found.scale, found.rotation, found.translation, inliers)


def _check(source: NDArray[np.floating], target: NDArray[np.floating]) -> None:
    if source.ndim != 2 or source.shape[1:] != (3,) or source.shape != target.shape:
        raise ShapeError(
            f"source and target have shapes {source.shape} and {target.shape}: expected (N, 3) both"
        )
    if len(source) < 3:
        raise ShapeError(f"{len(source)} pairs of points came: expected at least 3")


def _fit(
    source: NDArray[np.floating], target: NDArray[np.floating]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Scales (B,), rotations, translations and whether they are determined, of (B, N, 3) pairs."""
    middle, goal = source.mean(axis=1), target.mean(axis=1)
    a, b = source - middle[:, None], target - goal[:, None]
    u, d, vt = np.linalg.svd(b.transpose(0, 2, 1) @ a)
    sign = np.ones_like(d)
    sign[:, 2] = np.where(np.linalg.det(u) * np.linalg.det(vt) < 0.0, -1.0, 1.0)
    rotation = (u * sign[:, None]) @ vt
    spread = (a**2).sum(axis=(1, 2))
    determined = (spread > 0.0) & (d[:, 1] > 1e-9 * np.maximum(d[:, 0], 1e-300))
    scale = (d * sign).sum(axis=1) / np.where(spread > 0.0, spread, 1.0)
    determined &= scale > 0.0
    translation = goal - scale[:, None] * np.einsum("bij,bj->bi", rotation, middle)
    return scale, rotation, translation, determined


def nearest_yaw(
    rotation: NDArray[np.float64], reference: NDArray[np.float64]
) -> NDArray[np.float64]:
    """R (3, 3) turned about its own y axis until trace(R^T reference) is largest."""
    x, z = rotation[:, 0], rotation[:, 2]
    sine = reference[:, 2] @ x - reference[:, 0] @ z
    cosine = reference[:, 0] @ x + reference[:, 2] @ z
    yaw = np.array([0.0, math.atan2(sine, cosine), 0.0])
    return np.asarray(rotation @ cv2.Rodrigues(yaw)[0])
