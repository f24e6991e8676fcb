"""Planes of an image, and the one that an object stands on or leans against.

The object does not extend behind the surface of a table or a wall. This shows where a bottle seen
from above ends, and which way is up. Planes belong to the image: its large ones are found once, by
sequential random sample consensus (Fischler and Bolles, Comm. ACM 1981), and shared by the objects
that stand on them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

__all__ = ["SupportPlane", "dominant_planes", "find_supports"]

_CANDIDATES = 384
"""Candidate planes, each through three points..."""

_NEIGHBOURS_SHARE = 0.15
"""...of which two are at most this share of all points before or after the first. Points are in the
order of the image's rows, so this favours small planes."""

_MIN_ALTITUDE = 4.0
"""Minimum shortest altitude of the triangle of a candidate, in inlier thresholds. Points that
coincide or lie on a line define no plane."""

_MIN_POINTS, _MAX_POINTS = 100, 800
"""With fewer points there is no search; of more, an even subsample judges the candidates."""

_TOLERANCE_M, _TOLERANCE_PER_M = 0.003, 0.004
"""Inlier threshold of a plane: 3 mm + 4 mm (z / m)^2."""

_MIN_SHARE, _MIN_LOCAL_SHARE = 0.05, 0.12
"""Minimum inlier ratio of a plane: among the image's points, and among those around an object."""

_MIN_CONCENTRATION = 0.5
"""Minimum share of the points within three inlier thresholds that are inliers. It is 1 / 3 where a
plane cuts through scattered points."""

_MAX_PLANES = 5
"""Maximum number of planes of an image."""

_MIN_FRONT_SHARE = 0.8
"""Share of the object's points that must not lie behind the plane; masks are not exact."""

_MAX_DISTANCE = 0.7
"""Maximum distance from the object's lowest visible points to its plane, in diagonals. From
straight above, only the top of an upright bottle is visible: for a table it is a whole diagonal
there."""

_LOWEST_SHARE = 0.1
"""Quantile of the heights that counts as the object's lowest points."""

_UPWARD, _UPWARD_BONUS = -0.25, 4.0
"""Planes whose normal points up in the image (y component below the first value) come first, unless
another has this many times their inliers: they are more likely tables than walls. With gravity
known, they always come first."""

_UPWARD_COS = math.cos(math.radians(15.0))
"""With gravity known, a plane points up if its normal is within 15 degrees of the vertical."""

_OVERHEAD_COS, _OVERHEAD_MAX_Y = math.cos(math.radians(25.0)), 0.1
"""A plane that faces the camera is a table below if its normal is within 25 degrees of the viewing
direction, and its y component is at most the second value: see `SupportPlane.up`."""

_PARALLEL_COS = math.cos(math.radians(10.0))
"""The lid of a box is parallel to the plane that the box stands on, within 10 degrees."""

_MAX_ONE_SIDED = 0.6
"""Maximum length of the mean direction, seen from an object, of the points of the lid that it
stands on. It is 2 / pi where the points fill one half of the plane, as a book beside it may."""

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

    @property
    def up(self) -> NDArray[np.float32] | None:
        """Normal (3,) of the plane if it can be a table's top, None if it is rather a wall.

        It is judged for a camera that is held upright, by a person or a robot. A normal that points
        up in the image is a table's. A plane that faces the camera may be a table below or a wall
        ahead: objects rest on tables much more often than they touch walls. It is a table's top
        unless its normal points down in the image, as a wall's does if the camera looks down a
        little.
        """
        overhead = -self.normal[2] > _OVERHEAD_COS and self.normal[1] < _OVERHEAD_MAX_Y
        return self.normal if overhead or self.points_up() else None

    def points_up(self, up: NDArray[np.floating] | None = None) -> bool:
        """Whether the normal points up: in the image, or along `up` (3,), a unit vector."""
        if up is None:
            return bool(self.normal[1] < _UPWARD)
        return bool(self.normal @ up > _UPWARD_COS)

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


def dominant_planes(
    points: NDArray[np.float32],
    up: NDArray[np.floating] | None = None,
    min_share: float = _MIN_SHARE,
) -> list[SupportPlane]:
    """Find the largest planes, those that point up first.

    Sequential RANSAC with a fixed number of candidates: the inliers of a plane, found by repeated
    least squares, are removed before the next is looked for.

    Args:
        points: (M, 3), metres, camera frame, evenly spread over the image, row by row.
        up: (3,) unit vector against gravity, camera frame; None if unknown.
        min_share: minimum inlier ratio of a plane.

    Returns:
        At most five planes. The same points always give the same planes.
    """
    if len(points) < _MIN_POINTS:
        return []
    tolerance = _tolerance(points)
    normals, offsets = _candidates(points, tolerance)
    every = -(-len(points) // _MAX_POINTS)
    distances = np.abs(points[::every] @ normals.T - offsets)
    members = (distances < tolerance[::every, None]).astype(np.float32)
    left = np.ones(len(points), dtype=np.bool_)
    bonus = _UPWARD_BONUS if up is None else 1.0 / min_share
    found: list[tuple[float, SupportPlane]] = []
    for _ in range(_MAX_PLANES if len(normals) else 0):
        best = int((left[::every].astype(np.float32) @ members).argmax())
        inlier = left & (np.abs(points @ normals[best] - offsets[best]) < tolerance)
        fitted = _fit(points, inlier, tolerance, min_share)
        if fitted is None:
            left &= ~inlier
            continue
        plane, inlier = fitted
        count = np.count_nonzero(inlier & left)
        left &= ~inlier
        if count >= min_share * len(points):
            found.append((count * (bonus if plane.points_up(up) else 1.0), plane))
    return [plane for _, plane in sorted(found, key=lambda x: x[0], reverse=True)]


def find_supports(
    around: NDArray[np.float32],
    points: NDArray[np.float32],
    diagonals_m: Sequence[float],
    planes: Sequence[SupportPlane] = (),
    up: NDArray[np.floating] | None = None,
) -> list[SupportPlane | None]:
    """Find the plane that has the object in front of it, and near, for each size it may have.

    The first such plane of the image is taken, because what lies beside an object says less about
    its support than the whole image does; the points around the object adjust its offset. A plane
    of these points alone is taken if there is no such plane, or if it is the lid of a box that
    stands on it, under the object.

    Args:
        around: (M, 3), metres, camera frame: points around the object, row by row.
        points: (N, 3), metres, camera frame: points of the object.
        diagonals_m: median diagonals of the categories that it may have.
        planes: planes of the image, from `dominant_planes`.
        up: (3,) unit vector against gravity, camera frame; None if unknown.

    Returns:
        One plane for each diagonal; None where there is none.
    """
    if len(points) == 0:
        return [None] * len(diagonals_m)
    around = around[:: max(1, len(around) // _MAX_POINTS)]
    points = points[:: max(1, len(points) // _MAX_POINTS)]
    found: dict[float, SupportPlane] = {}
    open_m = set(diagonals_m)
    for plane in _nearby(around, planes, up):
        distance, reach = _distance(plane, points), _max_distance(plane, points, up)
        if near_m := {x for x in open_m if distance < reach * x}:
            found |= dict.fromkeys(near_m, _lid(around, points, plane) or plane)
            open_m -= near_m
        if not open_m:
            break
    return [found.get(x) for x in diagonals_m]


def _nearby(
    around: NDArray[np.float32],
    planes: Sequence[SupportPlane],
    up: NDArray[np.floating] | None,
) -> Iterator[SupportPlane]:
    """Yield the image's planes, refined around the object, and then those of its surroundings."""
    for plane in planes:
        height = plane.height(around)
        inlier = np.abs(height) < _tolerance(around)
        # The few points around the object would make the normal worse, but depth may be biased.
        seen = np.count_nonzero(inlier) > _MIN_LOCAL_SHARE * len(around)
        shift = float(height[inlier].mean()) if seen else 0.0
        yield replace(plane, offset=plane.offset + shift)
    yield from dominant_planes(around, up, _MIN_LOCAL_SHARE)


def _lid(
    around: NDArray[np.float32], points: NDArray[np.float32], plane: SupportPlane
) -> SupportPlane | None:
    """Find a parallel plane between a plane and the object that the object stands on."""
    tolerance = _tolerance(around)
    height = plane.height(around)
    lowest = _distance(plane, points)
    between = np.flatnonzero((height > 2.0 * tolerance) & (height < lowest + tolerance))
    if len(between) < max(_MIN_LOCAL_SHARE * len(around), _MIN_POINTS // 4):
        return None
    # The height with the most points is the start of the fit.
    order = between[np.argsort(height[between])]
    ends = np.searchsorted(height[order], height[order] + 2.0 * tolerance[order])
    first = int((ends - np.arange(len(order))).argmax())
    inlier = np.zeros(len(around), dtype=np.bool_)
    inlier[order[first : ends[first]]] = True
    fitted = _fit(around, inlier, tolerance, _MIN_LOCAL_SHARE)
    if fitted is None:
        return None
    lid, inlier = fitted
    if lid.normal @ plane.normal < _PARALLEL_COS or not _distance(lid, points) < lowest:
        return None
    # It is nearer to the object than what is seen of the plane, and not beside the object only.
    offset = around - np.median(points, axis=0)
    along = offset - (offset @ lid.normal)[:, None] * lid.normal
    reach = np.linalg.norm(along, axis=1)
    nearest = reach < np.median(reach[inlier])
    near_plane = np.count_nonzero(nearest & (np.abs(height) < tolerance))
    mean_direction = (along[inlier] / reach[inlier, None]).mean(axis=0)
    surrounds = np.linalg.norm(mean_direction) < _MAX_ONE_SIDED
    return lid if surrounds and near_plane < np.count_nonzero(nearest & inlier) else None


def _tolerance(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Distances (N,) from a plane within which points (N, 3) are its inliers, metres."""
    return np.asarray(_TOLERANCE_M + _TOLERANCE_PER_M * points[:, 2] ** 2)


def _candidates(
    points: NDArray[np.float32], tolerance: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Normals (C, 3) and offsets (C,) of planes through three points that are not on a line."""
    count = len(points)
    rng = np.random.default_rng(count)
    first = rng.integers(count, size=_CANDIDATES)
    reach = max(round(_NEIGHBOURS_SHARE * count), 2)
    others = first + rng.integers(-reach, reach + 1, size=(2, _CANDIDATES))
    # Fold the indices at both ends, so that corners there do not coincide more often.
    a, b, c = points[np.stack([first, *(count - 1 - np.abs(count - 1 - np.abs(others)))])].astype(
        np.float64
    )
    normals = np.cross(b - a, c - a)
    area = np.linalg.norm(normals, axis=1)
    longest = np.sqrt(np.max([((x - y) ** 2).sum(axis=1) for x, y in ((a, b), (b, c), (c, a))], 0))
    usable = area > _MIN_ALTITUDE * tolerance[first] * longest
    normals = normals[usable] / area[usable, None]
    offsets = np.einsum("ij,ij->i", normals, a[usable])
    # The camera is in front of every visible plane.
    side = np.where(offsets > 0.0, -1.0, 1.0)
    return (side[:, None] * normals).astype(np.float32), (side * offsets).astype(np.float32)


def _fit(
    points: NDArray[np.float32],
    inlier: NDArray[np.bool_],
    tolerance: NDArray[np.float32],
    min_share: float,
) -> tuple[SupportPlane, NDArray[np.bool_]] | None:
    """Fit a plane to its inliers repeatedly; return it with its final inliers, or None."""
    if len(points) == 0:
        return None
    # Sums of these terms over the inliers give mean and covariance, relative to `origin` for
    # numerical accuracy.
    origin = points[0].astype(np.float64)
    local = np.ascontiguousarray((points - origin).T)
    terms = np.concatenate([local, local * local[0], local[1:] * local[1], local[2:] * local[2]])
    for _ in range(_MAX_FITS):
        count = int(np.count_nonzero(inlier))
        if count < max(min_share * len(points), 3):
            return None
        x, y, z, xx, xy, xz, yy, yz, zz = (terms @ inlier.astype(np.float64)).tolist()
        mean = np.array([x, y, z]) / count
        second = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
        axes = np.linalg.eigh(second / count - np.outer(mean, mean))[1]
        normal, centre = axes[:, 0], mean + origin
        offset = float(normal @ centre)
        if offset > 0.0:
            normal, offset = -normal, -offset
        before = inlier
        distance = np.abs(points @ normal.astype(np.float32) - np.float32(offset))
        inlier = distance < tolerance
        if np.count_nonzero(inlier != before) <= _CONVERGED_SHARE * count:
            break
    count = int(np.count_nonzero(inlier))
    if count < max(_MIN_CONCENTRATION * np.count_nonzero(distance < 3.0 * tolerance), 3):
        return None
    # A plane that is seen edge-on, or whose points are mostly in one place or line, is of no use.
    inliers = points[inlier]
    across = inliers @ axes[:, 1].astype(np.float32)
    width = _quantile(np.abs(across - _quantile(across, 0.5)), 0.5)
    edge_on = -offset < _MIN_SINE * float(np.linalg.norm(centre))
    if edge_on or width < float(_tolerance(centre[None])[0]):
        return None
    plane = SupportPlane(normal.astype(np.float32), offset)
    # A normal distribution's standard deviation is 1.48 median absolute deviations.
    noise = 1.48 * _quantile(np.abs(plane.height(inliers)) / inliers[:, 2] ** 2, 0.5)
    return replace(plane, noise=noise), inlier


def _max_distance(
    plane: SupportPlane, points: NDArray[np.float32], up: NDArray[np.floating] | None
) -> float:
    """Maximum distance of an object's lowest points from its plane, in diagonals."""
    table = plane.up is not None if up is None else plane.points_up(up)
    middle = points.mean(axis=0)
    from_above = -float(plane.normal @ middle) / float(np.linalg.norm(middle))
    return max(_MAX_DISTANCE, from_above) if table else _MAX_DISTANCE


def _distance(plane: SupportPlane, points: NDArray[np.float32]) -> float:
    """Height of the object's lowest points above the plane; infinite if it is not in front."""
    height = plane.height(points)
    if float(np.mean(height > -2.0 * _tolerance(points))) < _MIN_FRONT_SHARE:
        return np.inf
    return _quantile(height, _LOWEST_SHARE)


def _quantile(values: NDArray[np.floating], share: float) -> float:
    """Quantile of values (N,), without interpolation because that would be slow."""
    place = int(share * (len(values) - 1))
    return float(np.partition(values, place)[place])
