"""Surfaces for evaluation: the part of a mesh that is visible from outside."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import open3d as o3d
import trimesh
from numpy.typing import NDArray

from sdfpose_core.geometry.directions import fibonacci_sphere
from sdfpose_core.shapes.sdf_samples import sample_surface

__all__ = [
    "CLOSED_LEAST",
    "OPEN_LEAST",
    "Surface",
    "escaping_share",
    "visible_surface",
]

CLOSED_LEAST, OPEN_LEAST = 0.04, 0.003
"""A point that is visible from a smaller share of all directions is hidden. For closed objects,
this hides the inside seen through an opening or a crack; for vessels, only closed cavities."""

_MAX_EDGE = 0.05
"""Triangles with longer edges are subdivided, as a triangle is wholly visible or not; diagonals."""

_LIFT = 1e-4
"""Distance of the ray origins from the surface, diagonals."""

_COARSE_DIRECTIONS, _FINE_DIRECTIONS = 64, 512
"""Number of directions for the test of all points, and for points that are nearly hidden."""

_CLEARLY_VISIBLE = 0.1
"""Share of the coarse directions above which a point is visible without the fine test."""


@dataclass(frozen=True)
class Surface:
    """A triangle mesh for sampling and distance queries.

    Attributes:
        vertices: (V, 3) float64, normalised object units.
        faces: (F, 3) int, oriented or not.
    """

    vertices: NDArray[np.float64]
    faces: NDArray[np.integer]

    @cached_property
    def rays(self) -> o3d.t.geometry.RaycastingScene:
        """The mesh as an Open3D ray casting scene."""
        scene = o3d.t.geometry.RaycastingScene()
        scene.add_triangles(
            o3d.core.Tensor.from_numpy(np.ascontiguousarray(self.vertices, dtype=np.float32)),
            o3d.core.Tensor.from_numpy(np.ascontiguousarray(self.faces, dtype=np.uint32)),
        )
        return scene

    def sample(self, rng: np.random.Generator, count: int) -> NDArray[np.float64]:
        """Sample points (count, 3) uniformly by area.

        Raises:
            MeshError: the mesh has no area.
        """
        return sample_surface(self.vertices, self.faces, rng, count)

    def nearest(
        self, points: NDArray[np.floating]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Compute distances (N,) of points (N, 3) to the mesh, and normals (N, 3) at the nearest.

        The normals are unit vectors; their sign follows the winding of the triangles.
        """
        query = np.ascontiguousarray(points, dtype=np.float32)
        found = self.rays.compute_closest_points(o3d.core.Tensor.from_numpy(query))
        distance = np.linalg.norm(query - found["points"].numpy(), axis=1)
        return distance.astype(np.float64), found["primitive_normals"].numpy().astype(np.float64)


def escaping_share(
    rays: o3d.t.geometry.RaycastingScene, points: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Estimate the share (N,) of directions in which rays from points (N, K, 3) hit nothing.

    Uses `_COARSE_DIRECTIONS` rays per point, or `_FINE_DIRECTIONS` if few of them escape. The
    result is the maximum over each group of K points.
    """
    points = np.asarray(points, dtype=np.float32)
    share = _escaping(rays, points, _COARSE_DIRECTIONS).max(axis=1)
    close = np.flatnonzero(share < _CLEARLY_VISIBLE)
    share[close] = _escaping(rays, points[close], _FINE_DIRECTIONS).max(axis=1)
    return share


def visible_surface(
    vertices: NDArray[np.floating], faces: NDArray[np.integer], *, vessel: bool
) -> Surface:
    """Extract the part of a mesh that is visible from outside, without hidden inner faces.

    Args:
        vertices: (V, 3), any unit.
        faces: (F, 3), in any orientation.
        vessel: whether both sides of the wall belong to the object, as for a bowl. Otherwise, the
            inside seen through an opening or a crack is hidden.
    """
    v = np.asarray(vertices, dtype=np.float64)
    diagonal = float(np.linalg.norm(np.ptp(v, axis=0)))
    v, f = trimesh.remesh.subdivide_to_size(
        v, np.asarray(faces, dtype=np.int64), _MAX_EDGE * diagonal, max_iter=20
    )
    whole = Surface(v, f)
    corners = v[f]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-30)
    centre, lift = corners.mean(axis=1), _LIFT * diagonal * normal
    share = escaping_share(whole.rays, np.stack([centre + lift, centre - lift], axis=1))
    seen = share >= (OPEN_LEAST if vessel else CLOSED_LEAST)
    return Surface(v, f[seen])


def _escaping(
    rays: o3d.t.geometry.RaycastingScene, points: NDArray[np.float32], count: int
) -> NDArray[np.float64]:
    directions = fibonacci_sphere(count)
    free = np.zeros(points.shape[:-1], dtype=np.int64)
    query = np.empty((*points.shape[:-1], 6), dtype=np.float32)
    query[..., :3] = points
    for direction in directions:
        query[..., 3:] = direction
        free += ~rays.test_occlusions(o3d.core.Tensor.from_numpy(query)).numpy()
    return free / count
