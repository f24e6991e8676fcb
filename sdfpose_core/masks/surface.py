"""The surface that objects stand on: the dominant plane of a depth image, and its reach."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import open3d as o3d
from numpy.typing import NDArray

from sdfpose_core.observation.support_plane import SupportPlane

__all__ = ["Surface", "find_surface"]

_SAMPLE = 4000
"""Points among which planes are looked for; all of the others then tell how far one reaches."""

_PLANES = 3
"""Planes that are looked at, the largest first."""

_ITERATIONS = 200
_SEED = 0
"""Of the random choice of planes: the same image always has the same surface."""

_RANSAC_M = 0.01
_TOLERANCE_M, _TOLERANCE_PER_M = 0.003, 0.004
"""A point belongs to a plane within 1 cm at first; to the fitted one within 3 mm + 4 mm (z / m)^2,
as the noise of depth grows."""

_UPWARD, _UPWARD_BONUS = -0.25, 2.0
"""A plane whose normal points up in the image (y component below the first) counts for more: it is
rather a table than a wall."""

_FITS = 4
"""Rounds of least squares: what stands on a table pulls at the first ones."""

_GRAZING = 0.05
"""Least sine between the viewing ray and the plane."""

_CELL_M = 0.02
"""Grid on which the supported area is drawn."""

_GAP_CELLS = 7
"""Parts of the surface that are closer belong together: objects and their shadows hide some."""

_FEWEST_POINTS = 100


@dataclass(frozen=True)
class Surface:
    """A plane, and the part of it that was seen.

    Attributes:
        plane: heights over it are positive on the camera's side.
        axes: (2, 3) float32, unit vectors in the plane, camera frame.
        corner: (2,) float32, metres, of the area's first cell along the axes.
        area: (A, B) bool, cells of `_CELL_M` along the two axes that are above the surface.
    """

    plane: SupportPlane
    axes: NDArray[np.float32]
    corner: NDArray[np.float32]
    area: NDArray[np.bool_]

    def supports(self, points: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Which points (N, 3), metres, camera frame, are above the area, at whatever height."""
        cells = np.floor((points @ self.axes.T - self.corner) / _CELL_M).astype(np.int32)
        inside = np.all((cells >= 0) & (cells < self.area.shape), axis=1)
        inside[inside] = self.area[tuple(cells[inside].T)]
        return inside


def find_surface(
    points: NDArray[np.float32], least_share: float, margin_m: float
) -> Surface | None:
    """The plane that holds most points, a table rather than a wall, if any holds enough.

    Args:
        points: (N, 3), metres, camera frame, evenly spread over the image.
        least_share: of the points, that a plane must hold.
        margin_m: objects may reach so far over the edge of what was seen of the surface.
    """
    if len(points) < _FEWEST_POINTS:
        return None
    left = points[:: -(-len(points) // _SAMPLE)]
    fewest = max(least_share * len(left), 3.0)
    best: SupportPlane | None = None
    most = 0.0
    for _ in range(_PLANES):
        if len(left) < fewest:
            break
        cloud = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(left.astype(np.float64)))
        o3d.utility.random.seed(_SEED)
        _, chosen = cloud.segment_plane(_RANSAC_M, 3, _ITERATIONS)
        if len(chosen) < fewest:
            break
        plane = _fitted(left, np.asarray(chosen))
        weight = len(chosen) * (_UPWARD_BONUS if plane.normal[1] < _UPWARD else 1.0)
        if weight > most and not _grazes(plane, left[chosen]):
            best, most = plane, weight
        left = np.delete(left, chosen, axis=0)
    return None if best is None else _bounded(best, points, margin_m)


def _fitted(points: NDArray[np.float32], chosen: NDArray[np.integer]) -> SupportPlane:
    """Least squares through the chosen points, then through those within the tolerance."""
    for _ in range(_FITS):
        held = points[chosen].astype(np.float64)
        middle = held.mean(axis=0)
        normal = np.linalg.eigh((held - middle).T @ (held - middle))[1][:, 0]
        offset = float(normal @ middle)
        if offset > 0.0:  # the camera, at the origin, is in front of every plane that it sees
            normal, offset = -normal, -offset
        plane = SupportPlane(normal.astype(np.float32), offset)
        within = np.flatnonzero(_holds(plane, points))
        if len(within) < 3:
            break
        chosen = within
    held = points[chosen]
    # Of a normal distribution: 1.48 median absolute deviations.
    noise = 1.48 * float(np.median(np.abs(plane.height(held)) / held[:, 2] ** 2))
    return SupportPlane(plane.normal, plane.offset, noise)


def _holds(plane: SupportPlane, points: NDArray[np.float32]) -> NDArray[np.bool_]:
    tolerance = _TOLERANCE_M + _TOLERANCE_PER_M * points[:, 2] ** 2
    return np.asarray(np.abs(plane.height(points)) < tolerance)


def _grazes(plane: SupportPlane, points: NDArray[np.float32]) -> bool:
    """Whether the plane is seen edge-on."""
    return -plane.offset < _GRAZING * float(np.linalg.norm(points.mean(axis=0)))


def _bounded(plane: SupportPlane, points: NDArray[np.float32], margin_m: float) -> Surface:
    """The convex hull of the plane's largest connected part: what else lies in it is no table."""
    _, _, axes = np.linalg.svd(plane.normal[None].astype(np.float64))
    axes = axes[1:].astype(np.float32)
    places = points[_holds(plane, points)] @ axes.T
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
