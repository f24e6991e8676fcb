"""The plane that an object stands on or leans against, from the depth around its mask.

What lies behind a table's or a wall's surface is not part of the object. That says where a bottle
ends whose foot is seen from above, and which way is up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

__all__ = ["SupportPlane", "find_support"]

_CANDIDATES = 384
"""Planes through three points that are tried."""

_FEWEST_POINTS, _MOST_POINTS = 100, 800
"""Of the surroundings: with fewer nothing is looked for; of more a random choice is taken."""

_TOLERANCE_M, _TOLERANCE_PER_M = 0.003, 0.004
"""A point belongs to a plane within 3 mm + 4 mm (z / m)^2."""

_LEAST_SHARE = 0.12
"""Of the surroundings, that a plane must hold."""

_IN_FRONT_SHARE = 0.8
"""Of the object's points, that must not lie behind the plane; masks are not exact."""

_PLANES = 5
"""Planes that are looked at, those with most points first."""

_REACH = 0.7
"""Diagonals from the object's lowest visible points to a plane that matters."""

_LOWEST_SHARE = 0.1

_UPWARD, _UPWARD_BONUS = -0.25, 2.0
"""A plane whose normal points up in the image (y component below the first) counts for more: it is
rather a table than a wall."""

_FITS, _SETTLED_SHARE = 6, 0.005
"""Rounds of least squares: what stands on a table pulls at the first ones. They end when so few of
the plane's points still change."""

_HOLDS_SD = 2.0
"""Points of the mask within so many standard deviations of the plane are rather the plane's."""

_GRAZING = 0.05
"""Least sine between the viewing ray and the plane."""


@dataclass(frozen=True)
class SupportPlane:
    """Points p of the plane satisfy normal . p = offset; the object lies where it is larger.

    Attributes:
        normal: (3,) float32, unit vector, camera frame, towards the object.
        offset: metres.
        noise: 1 / m, standard deviation at 1 m of how far from it it was measured; the error grows
            with the square of depth.
    """

    normal: NDArray[np.float32]
    offset: float
    noise: float = 0.0

    def height(self, points: NDArray[np.floating]) -> NDArray[np.floating]:
        """Heights (N,) of points (N, 3) over the plane, metres."""
        return np.asarray(points @ self.normal - np.float32(self.offset))

    def holds(self, points: NDArray[np.float32], most_m: float) -> NDArray[np.bool_]:
        """Which points (N, 3), metres, camera frame, are rather the plane's than the object's.

        Args:
            points: measured inside the object's mask, which may leak.
            most_m: of what is higher above the plane none is.
        """
        noise = _HOLDS_SD * np.float32(self.noise) * points[:, 2] ** 2
        return np.asarray(self.height(points) < np.minimum(noise, most_m))


def find_support(
    around: NDArray[np.float32],
    points: NDArray[np.float32],
    diagonal_m: float,
    likely: Sequence[SupportPlane] = (),
) -> SupportPlane | None:
    """The plane with most points around an object that has it in front of it, if any.

    Random sample consensus with a fixed choice of candidates, then rounds of least squares.

    Args:
        around: (M, 3), metres, camera frame: what was measured around the object.
        points: (N, 3), metres, camera frame: of the object.
        diagonal_m: of its category.
        likely: planes that are looked at first: one that no other can outdo is taken.
    """
    if len(around) < _FEWEST_POINTS or len(points) == 0:
        return None
    rng = np.random.default_rng(len(around))
    if len(around) > _MOST_POINTS:
        around = around[rng.choice(len(around), _MOST_POINTS, replace=False)]
    if len(points) > _MOST_POINTS:
        points = points[:: len(points) // _MOST_POINTS]
    tolerance = _TOLERANCE_M + _TOLERANCE_PER_M * around[:, 2] ** 2
    for plane in likely:
        inlier = np.abs(plane.height(around)) < tolerance
        held = float(inlier.mean())
        if _weight(plane.normal[1]) * held > _UPWARD_BONUS * (1.0 - held):
            found = _fitted(around, inlier, tolerance)
            if found is not None and _distance(found[0], points) < _REACH * diagonal_m:
                return found[0]
    corners = around[rng.integers(len(around), size=(_CANDIDATES, 3))]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    length = np.linalg.norm(normals, axis=1)
    normals /= np.maximum(length, 1e-9)[:, None]
    offsets = np.einsum("ij,ij->i", normals, corners[:, 0])
    # The camera is in front of every plane that it sees.
    behind = offsets > 0.0
    normals[behind], offsets[behind] = -normals[behind], -offsets[behind]
    distances = np.abs(around @ normals.T.astype(np.float32) - offsets.astype(np.float32))
    members = (distances < tolerance[:, None]).astype(np.float32)
    upright = _weight(normals[:, 1])
    left = np.ones(len(around), dtype=np.bool_)
    for _ in range(_PLANES):
        count = (left.astype(np.float32) @ members) * upright
        best = int(count.argmax())
        found = _fitted(around, left & (members[:, best] > 0.0), tolerance)
        members[:, best] = 0.0
        if found is None:
            continue
        plane, inlier = found
        if _distance(plane, points) < _REACH * diagonal_m:
            return plane
        left &= ~inlier
    return None


def _weight(normal_y: NDArray[np.floating] | np.floating) -> NDArray[np.floating]:
    """What a point of a plane counts, by the y component of its normal."""
    return np.where(normal_y < _UPWARD, _UPWARD_BONUS, 1.0)


def _fitted(
    around: NDArray[np.float32], inlier: NDArray[np.bool_], tolerance: NDArray[np.float32]
) -> tuple[SupportPlane, NDArray[np.bool_]] | None:
    """Least squares through the inliers, again and again, and the points that it holds then."""
    # Sums over the inliers of these give mean and covariance; about a middle, so that they are
    # exact.
    origin = around[0].astype(np.float64)
    local = np.ascontiguousarray((around - origin).T)
    terms = np.concatenate([local, local * local[0], local[1:] * local[1], local[2:] * local[2]])
    for _ in range(_FITS):
        count = int(np.count_nonzero(inlier))
        if count < _LEAST_SHARE * len(around):
            return None
        x, y, z, xx, xy, xz, yy, yz, zz = (terms @ inlier.astype(np.float64)).tolist()
        mean = np.array([x, y, z]) / count
        second = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
        normal = np.linalg.eigh(second - count * np.outer(mean, mean))[1][:, 0]
        middle = mean + origin
        offset = float(normal @ middle)
        if offset > 0.0:
            normal, offset = -normal, -offset
        before = inlier
        inlier = np.abs(around @ normal.astype(np.float32) - np.float32(offset)) < tolerance
        if np.count_nonzero(inlier != before) <= _SETTLED_SHARE * count:
            break
    if -offset < _GRAZING * float(np.linalg.norm(middle)):
        return None
    plane = SupportPlane(normal.astype(np.float32), offset)
    # Of a normal distribution: 1.48 median absolute deviations.
    held = around[inlier]
    noise = 1.48 * _quantile(np.abs(plane.height(held)) / held[:, 2] ** 2, 0.5)
    return replace(plane, noise=noise), inlier


def _distance(plane: SupportPlane, points: NDArray[np.float32]) -> float:
    """Height of the object's lowest points over the plane, infinite where it is not in front."""
    height = plane.height(points)
    tolerance = _TOLERANCE_M + _TOLERANCE_PER_M * points[:, 2] ** 2
    if float(np.mean(height > -2.0 * tolerance)) < _IN_FRONT_SHARE:
        return np.inf
    return _quantile(height, _LOWEST_SHARE)


def _quantile(values: NDArray[np.floating], share: float) -> float:
    """One of the values (N,), without the interpolation that takes longer than the search."""
    place = int(share * (len(values) - 1))
    return float(np.partition(values, place)[place])
