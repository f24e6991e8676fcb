"""Similarity between corresponding points: closed-form and robust alignment."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sdfpose_core.errors import ShapeError

__all__ = ["Alignment", "align", "align_robustly", "nearest_yaw"]

_SAMPLE_SIZE = 4
"""Point pairs per hypothesis."""

_ITERATIONS = 128
"""With 50 % outliers, all samples contain an outlier only once in 4,000 runs."""

_MAX_REFITS = 10


@dataclass(frozen=True)
class Alignment:
    """Similarity transform: target = scale R source + t.

    Attributes:
        scale: ratio of lengths.
        rotation: (3, 3).
        translation: (3,), in the target's unit.
        inliers: (N,) bool, pairs used for the fit.
    """

    scale: float
    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]
    inliers: NDArray[np.bool_]

    def residual(
        self, source: NDArray[np.floating], target: NDArray[np.floating]
    ) -> NDArray[np.float64]:
        """Distances (N,) between the transformed source points and the target points (N, 3)."""
        moved = self.scale * source @ self.rotation.T + self.translation
        return np.asarray(np.linalg.norm(moved - target, axis=1))


def align(source: NDArray[np.floating], target: NDArray[np.floating]) -> Alignment:
    """Align all pairs by least squares (Umeyama, PAMI 1991).

    Args:
        source: (N, 3), not collinear.
        target: (N, 3), any unit.

    Raises:
        ShapeError: the arrays have the wrong shape, or the points do not determine a rotation.
    """
    _check(source, target)
    fitted = _fit(source.astype(np.float64)[None], target.astype(np.float64)[None])
    scale, rotation, translation, determined = (x[0] for x in fitted)
    if not determined:
        raise ShapeError(
            f"{len(source)} point pairs do not determine a similarity: expected at least three "
            "pairs that are not collinear"
        )
    return Alignment(float(scale), rotation, translation, np.ones(len(source), dtype=np.bool_))


def align_robustly(
    source: NDArray[np.floating],
    target: NDArray[np.floating],
    tolerance: float,
    rng: np.random.Generator,
) -> Alignment:
    """Align pairs that contain outliers by RANSAC (Fischler and Bolles 1981), then refit.

    Args:
        source: (N, 3).
        target: (N, 3).
        tolerance: inlier threshold, in the target's unit.
        rng: random number generator.

    Raises:
        ShapeError: the arrays have the wrong shape, or no sample determines a similarity.
    """
    _check(source, target)
    source, target = source.astype(np.float64), target.astype(np.float64)
    picks = rng.integers(len(source), size=(_ITERATIONS, _SAMPLE_SIZE))
    scale, rotation, translation, determined = _fit(source[picks], target[picks])
    moved = scale[:, None, None] * (source @ rotation.transpose(0, 2, 1)) + translation[:, None]
    near = ((moved - target) ** 2).sum(-1) <= tolerance**2
    support = np.where(determined, near.sum(axis=1), -1)
    best = int(support.argmax())
    if support[best] < _SAMPLE_SIZE:
        raise ShapeError(
            f"no similarity has {_SAMPLE_SIZE} inliers among {len(source)} point pairs within "
            f"{tolerance:g}: expected corresponding points that are not collinear"
        )
    inliers = near[best]
    for _ in range(_MAX_REFITS):
        refit = align(source[inliers], target[inliers])
        updated = refit.residual(source, target) <= tolerance
        if updated.sum() < _SAMPLE_SIZE or np.array_equal(updated, inliers):
            break
        inliers = updated
    return Alignment(refit.scale, refit.rotation, refit.translation, inliers)


def _check(source: NDArray[np.floating], target: NDArray[np.floating]) -> None:
    if source.ndim != 2 or source.shape[1:] != (3,) or source.shape != target.shape:
        raise ShapeError(
            f"source and target have shapes {source.shape} and {target.shape}: expected (N, 3) "
            "for both"
        )
    if len(source) < 3:
        raise ShapeError(f"got {len(source)} point pairs: expected at least 3")


def _fit(
    source: NDArray[np.floating], target: NDArray[np.floating]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Fit B similarities to pairs (B, N, 3).

    Returns:
        Scales (B,), rotations (B, 3, 3), translations (B, 3) and whether each is determined (B,).
    """
    source_mean, target_mean = source.mean(axis=1), target.mean(axis=1)
    a, b = source - source_mean[:, None], target - target_mean[:, None]
    u, d, vt = np.linalg.svd(b.transpose(0, 2, 1) @ a)
    sign = np.ones_like(d)
    sign[:, 2] = np.where(np.linalg.det(u) * np.linalg.det(vt) < 0.0, -1.0, 1.0)
    rotation = (u * sign[:, None]) @ vt
    spread = (a**2).sum(axis=(1, 2))
    determined = (spread > 0.0) & (d[:, 1] > 1e-9 * np.maximum(d[:, 0], 1e-300))
    scale = (d * sign).sum(axis=1) / np.where(spread > 0.0, spread, 1.0)
    determined &= scale > 0.0
    translation = target_mean - scale[:, None] * np.einsum("bij,bj->bi", rotation, source_mean)
    return scale, rotation, translation, determined


def nearest_yaw(
    rotation: NDArray[np.float64], reference: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Rotate R (3, 3) about its own y axis so that trace(R^T reference) is maximal."""
    x, z = rotation[:, 0], rotation[:, 2]
    sine = reference[:, 2] @ x - reference[:, 0] @ z
    cosine = reference[:, 0] @ x + reference[:, 2] @ z
    yaw = np.array([0.0, math.atan2(sine, cosine), 0.0])
    return np.asarray(rotation @ cv2.Rodrigues(yaw)[0])
