"""Plane that an object stands on or leans against, from the depth around its mask.

The object does not extend behind the surface of a table or a wall. This shows where a bottle seen
from above ends, and which way is up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

__all__ = ["SupportPlane", "find_support"]

_CANDIDATES = 384
"""Candidate planes, each through three random points."""

_MIN_POINTS, _MAX_POINTS = 100, 800
"""Surrounding points: with fewer there is no search, more are subsampled at random."""

_TOLERANCE_M, _TOLERANCE_PER_M = 0.003, 0.004
"""Inlier threshold of a plane: 3 mm + 4 mm (z / m)^2."""

_MIN_INLIER_SHARE = 0.12
"""Share of the surrounding points that must be inliers of the plane."""

_MIN_FRONT_SHARE = 0.8
"""Share of the object's points that must not lie behind the plane; masks are not exact."""

_MAX_PLANES = 5
"""Number of planes to check, those with the most points first."""

_MAX_DISTANCE = 0.7
"""Maximum distance from the object's lowest visible points to its plane, in diagonals."""

_LOWEST_SHARE = 0.1
"""Quantile of the heights that counts as the object's lowest points."""

_UPWARD, _UPWARD_BONUS = -0.25, 2.0
"""Planes whose normal points up in the image (y component below the first value) get the second
value as a weight: they are more likely tables than walls."""

_MAX_FITS, _CONVERGED_SHARE = 6, 0.005
"""Least-squares rounds, repeated because objects on the table distort the first ones. They end
when the share of inliers that change is no larger than the second value."""

_ON_PLANE_SDS = 2.0
"""Mask points within this many standard deviations of the plane are assigned to the plane."""

_MIN_SINE = 0.05
"""Minimum sine of the angle between viewing ray and plane."""


@dataclass(frozen=True)
class SupportPlane:
    """Plane of points p with normal . p = offset; the object is where normal . p > offset.

    Attributes:
        normal: (3,) float32, unit vector, camera frame, towards the object.
        offset: metres.
        noise: 1 / m, standard deviation at 1 m of the measured points' distances from the plane;
            it grows with the square of depth.
    """

    normal: NDArray[np.float32]
    offset: float
    noise: float = 0.0

    def height(self, points: NDArray[np.floating]) -> NDArray[np.floating]:
        """Heights (N,) of points (N, 3) above the plane, metres."""
        return np.asarray(points @ self.normal - np.float32(self.offset))

    def holds(self, points: NDArray[np.float32], most_m: float) -> NDArray[np.bool_]:
        """Select the points that more likely belong to the plane than to the object.

        Args:
            points: (N, 3), metres, camera frame, measured inside the object's mask.
            most_m: points higher above the plane than this, metres, belong to the object.
        """
        noise = _ON_PLANE_SDS * np.float32(self.noise) * points[:, 2] ** 2
        return np.asarray(self.height(points) < np.minimum(noise, most_m))


def find_support(
    around: NDArray[np.float32],
    points: NDArray[np.float32],
    diagonal_m: float,
    likely: Sequence[SupportPlane] = (),
) -> SupportPlane | None:
    """Find the plane with the most surrounding points that has the object in front of it.

    Uses RANSAC with a fixed number of candidates, then repeated least squares.

    Args:
        around: (M, 3), metres, camera frame: points around the object.
        points: (N, 3), metres, camera frame: points of the object.
        diagonal_m: median diagonal of its category.
        likely: planes to check first. A plane that no other can beat is accepted at once.
    """
    if len(around) < _MIN_POINTS or len(points) == 0:
        return None
    rng = np.random.default_rng(len(around))
    if len(around) > _MAX_POINTS:
        around = around[rng.choice(len(around), _MAX_POINTS, replace=False)]
    if len(points) > _MAX_POINTS:
        points = points[:: len(points) // _MAX_POINTS]
    tolerance = _TOLERANCE_M + _TOLERANCE_PER_M * around[:, 2] ** 2
    for plane in likely:
        inlier = np.abs(plane.height(around)) < tolerance
        share = float(inlier.mean())
        if _weight(plane.normal[1]) * share > _UPWARD_BONUS * (1.0 - share):
            fitted = _fit(around, inlier, tolerance)
            if fitted is not None and _distance(fitted[0], points) < _MAX_DISTANCE * diagonal_m:
                return fitted[0]
    corners = around[rng.integers(len(around), size=(_CANDIDATES, 3))]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    length = np.linalg.norm(normals, axis=1)
    normals /= np.maximum(length, 1e-9)[:, None]
    offsets = np.einsum("ij,ij->i", normals, corners[:, 0])
    # The camera is in front of every visible plane.
    behind = offsets > 0.0
    normals[behind], offsets[behind] = -normals[behind], -offsets[behind]
    distances = np.abs(around @ normals.T.astype(np.float32) - offsets.astype(np.float32))
    members = (distances < tolerance[:, None]).astype(np.float32)
    weight = _weight(normals[:, 1])
    remaining = np.ones(len(around), dtype=np.bool_)
    for _ in range(_MAX_PLANES):
        score = (remaining.astype(np.float32) @ members) * weight
        best = int(score.argmax())
        fitted = _fit(around, remaining & (members[:, best] > 0.0), tolerance)
        members[:, best] = 0.0
        if fitted is None:
            continue
        plane, inlier = fitted
        if _distance(plane, points) < _MAX_DISTANCE * diagonal_m:
            return plane
        remaining &= ~inlier
    return None


def _weight(normal_y: NDArray[np.floating] | np.floating) -> NDArray[np.floating]:
    """Weight of a plane's points, given the y component of its normal."""
    return np.where(normal_y < _UPWARD, _UPWARD_BONUS, 1.0)


def _fit(
    around: NDArray[np.float32], inlier: NDArray[np.bool_], tolerance: NDArray[np.float32]
) -> tuple[SupportPlane, NDArray[np.bool_]] | None:
    """Fit a plane to its inliers repeatedly; return it with its final inliers, or None."""
    # Sums of these terms over the inliers give mean and covariance, relative to `origin` for
    # numerical accuracy.
    origin = around[0].astype(np.float64)
    local = np.ascontiguousarray((around - origin).T)
    terms = np.concatenate([local, local * local[0], local[1:] * local[1], local[2:] * local[2]])
    for _ in range(_MAX_FITS):
        count = int(np.count_nonzero(inlier))
        if count < _MIN_INLIER_SHARE * len(around):
            return None
        x, y, z, xx, xy, xz, yy, yz, zz = (terms @ inlier.astype(np.float64)).tolist()
        mean = np.array([x, y, z]) / count
        second = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
        normal = np.linalg.eigh(second - count * np.outer(mean, mean))[1][:, 0]
        centre = mean + origin
        offset = float(normal @ centre)
        if offset > 0.0:
            normal, offset = -normal, -offset
        before = inlier
        inlier = np.abs(around @ normal.astype(np.float32) - np.float32(offset)) < tolerance
        if np.count_nonzero(inlier != before) <= _CONVERGED_SHARE * count:
            break
    if -offset < _MIN_SINE * float(np.linalg.norm(centre)):
        return None
    plane = SupportPlane(normal.astype(np.float32), offset)
    # A normal distribution's standard deviation is 1.48 median absolute deviations.
    inliers = around[inlier]
    noise = 1.48 * _quantile(np.abs(plane.height(inliers)) / inliers[:, 2] ** 2, 0.5)
    return replace(plane, noise=noise), inlier


def _distance(plane: SupportPlane, points: NDArray[np.float32]) -> float:
    """Height of the object's lowest points above the plane; infinite if it is not in front."""
    height = plane.height(points)
    tolerance = _TOLERANCE_M + _TOLERANCE_PER_M * points[:, 2] ** 2
    if float(np.mean(height > -2.0 * tolerance)) < _MIN_FRONT_SHARE:
        return np.inf
    return _quantile(height, _LOWEST_SHARE)


def _quantile(values: NDArray[np.floating], share: float) -> float:
    """Quantile of values (N,), without interpolation because that would be slow."""
    place = int(share * (len(values) - 1))
    return float(np.partition(values, place)[place])
