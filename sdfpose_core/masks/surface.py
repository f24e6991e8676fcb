"""The supporting surface: the dominant plane of a depth image, and its extent."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import open3d as o3d
from numpy.typing import NDArray

from sdfpose_core.observation.support_plane import SupportPlane

__all__ = ["Surface", "find_surface"]

_MAX_SAMPLES = 4000
"""Number of points for the plane search; the extent is then determined from all points."""

_MAX_PLANES = 3
"""Number of planes that are tried, largest first."""

_ITERATIONS = 200
_SEED = 0
"""Seed of RANSAC, so that the same image always gives the same surface."""

_RANSAC_M = 0.01
_TOLERANCE_M, _TOLERANCE_PER_M = 0.003, 0.004
"""RANSAC inlier threshold of 1 cm; for the fitted plane 3 mm + 4 mm (z / m)^2, because depth noise
grows with distance."""

_UPWARD_MAX_Y, _UPWARD_BONUS = -0.25, 2.0
"""A plane whose normal points up (y component below the first value) gets the second as weight: it
is more likely a table than a wall."""

_FIT_ITERATIONS = 4
"""Least-squares iterations: points of objects on the table bias the first ones."""

_MIN_VIEW_SINE = 0.05
"""Minimum sine of the angle between viewing ray and plane."""

_CELL_M = 0.02
"""Cell size of the grid of the supported area."""

_GAP_CELLS = 7
"""Gaps of the surface up to this width are closed: objects and their shadows hide parts of it."""

_MIN_POINTS = 100


@dataclass(frozen=True)
class Surface:
    """A plane, and its visible part.

    Attributes:
        plane: the plane; heights are positive on the side of the camera.
        axes: (2, 3) float32, unit vectors in the plane, camera frame.
        corner: (2,) float32, metres, position of the first cell along the axes.
        area: (A, B) bool, cells of `_CELL_M` along the two axes that belong to the surface.
    """

    plane: SupportPlane
    axes: NDArray[np.float32]
    corner: NDArray[np.float32]
    area: NDArray[np.bool_]

    def supports(self, points: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Check which points (N, 3), metres, camera frame, are above the area, at any height."""
        cells = np.floor((points @ self.axes.T - self.corner) / _CELL_M).astype(np.int32)
        inside = np.all((cells >= 0) & (cells < self.area.shape), axis=1)
        inside[inside] = self.area[tuple(cells[inside].T)]
        return inside


def find_surface(
    points: NDArray[np.float32], least_share: float, margin_m: float
) -> Surface | None:
    """Find the plane with the most inliers, preferring tables to walls; None if there is none.

    Args:
        points: (N, 3), metres, camera frame, evenly spread over the image.
        least_share: minimum inlier ratio of a plane.
        margin_m: distance by which objects may extend beyond the visible surface, metres.
    """
    if len(points) < _MIN_POINTS:
        return None
    left = points[:: -(-len(points) // _MAX_SAMPLES)]
    min_inliers = max(least_share * len(left), 3.0)
    best: SupportPlane | None = None
    best_weight = 0.0
    for _ in range(_MAX_PLANES):
        if len(left) < min_inliers:
            break
        cloud = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(left.astype(np.float64)))
        o3d.utility.random.seed(_SEED)
        _, chosen = cloud.segment_plane(_RANSAC_M, 3, _ITERATIONS)
        if len(chosen) < min_inliers:
            break
        plane = _fitted(left, np.asarray(chosen))
        weight = len(chosen) * (_UPWARD_BONUS if plane.normal[1] < _UPWARD_MAX_Y else 1.0)
        if weight > best_weight and not _grazes(plane, left[chosen]):
            best, best_weight = plane, weight
        left = np.delete(left, chosen, axis=0)
    return None if best is None else _bounded(best, points, margin_m)


def _fitted(points: NDArray[np.float32], chosen: NDArray[np.integer]) -> SupportPlane:
    """Fit a plane to the chosen points by least squares, then to its inliers."""
    for _ in range(_FIT_ITERATIONS):
        inliers = points[chosen].astype(np.float64)
        middle = inliers.mean(axis=0)
        normal = np.linalg.eigh((inliers - middle).T @ (inliers - middle))[1][:, 0]
        offset = float(normal @ middle)
        if offset > 0.0:  # the camera (the origin) is in front of every visible plane
            normal, offset = -normal, -offset
        plane = SupportPlane(normal.astype(np.float32), offset)
        within = np.flatnonzero(_inliers(plane, points))
        if len(within) < 3:
            break
        chosen = within
    inliers = points[chosen]
    # The standard deviation of a normal distribution is 1.48 median absolute deviations.
    noise = 1.48 * float(np.median(np.abs(plane.height(inliers)) / inliers[:, 2] ** 2))
    return SupportPlane(plane.normal, plane.offset, noise)


def _inliers(plane: SupportPlane, points: NDArray[np.float32]) -> NDArray[np.bool_]:
    tolerance = _TOLERANCE_M + _TOLERANCE_PER_M * points[:, 2] ** 2
    return np.asarray(np.abs(plane.height(points)) < tolerance)


def _grazes(plane: SupportPlane, points: NDArray[np.float32]) -> bool:
    """Check whether the plane is seen edge-on."""
    return -plane.offset < _MIN_VIEW_SINE * float(np.linalg.norm(points.mean(axis=0)))


def _bounded(plane: SupportPlane, points: NDArray[np.float32], margin_m: float) -> Surface:
    """Bound the plane by the convex hull of its largest part, as other parts are not the table."""
    _, _, axes = np.linalg.svd(plane.normal[None].astype(np.float64))
    axes = axes[1:].astype(np.float32)
    places = points[_inliers(plane, points)] @ axes.T
    border = round(margin_m / _CELL_M)
    corner = places.min(axis=0) - (border + 1) * _CELL_M
    cells = np.floor((places - corner) / _CELL_M).astype(np.int32)
    seen = np.zeros(cells.max(axis=0) + border + 2, dtype=np.uint8)
    seen[tuple(cells.T)] = 1
    joined = cv2.morphologyEx(seen, cv2.MORPH_CLOSE, np.ones((_GAP_CELLS, _GAP_CELLS), np.uint8))
    _, parts, statistics, _ = cv2.connectedComponentsWithStats(joined)
    largest = parts == 1 + int(statistics[1:, cv2.CC_STAT_AREA].argmax())
    hull = cv2.convexHull(cv2.findNonZero(largest.astype(np.uint8)))
    area = np.zeros_like(seen)
    cv2.fillConvexPoly(area, hull, 1)
    area = cv2.dilate(area, np.ones((2 * border + 1, 2 * border + 1), np.uint8))
    return Surface(plane, axes, corner.astype(np.float32), area.astype(np.bool_))
