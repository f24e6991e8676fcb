"""Surfaces as an evaluation sees them: the part of a mesh that can be seen from outside."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import open3d as o3d
import trimesh
from numpy.typing import NDArray

from sdfpose_core.shapes.sdf_samples import sample_surface

__all__ = ["CLOSED_LEAST", "OPEN_LEAST", "Surface", "escaping_share", "visible_surface"]

CLOSED_LEAST, OPEN_LEAST = 0.04, 0.003
"""What is seen from so small a share of all directions is hidden: of a closed object, the inside
that shows through its mouth or a crack; of a vessel, nothing but true cavities."""

_LARGEST_EDGE = 0.05
"""Of the diagonal: triangles with longer ones are divided; each is visible as a whole or not."""

_LIFT = 1e-4
"""Of the diagonal: rays start this far from the surface."""

_FIRST_DIRECTIONS, _MORE_DIRECTIONS = 64, 512
"""All points are tested with the few; those that are nearly hidden with the many."""

_CLEARLY = 0.1
"""A share of the few directions above which a point is seen, whatever the many may say."""


@dataclass(frozen=True)
class Surface:
    """A triangle mesh to sample and to measure distances from.

    Attributes:
        vertices: (V, 3) float64, normalised object units.
        faces: (F, 3) int, oriented or not.
    """

    vertices: NDArray[np.float64]
    faces: NDArray[np.integer]

    @cached_property
    def rays(self) -> o3d.t.geometry.RaycastingScene:
        """The mesh as Open3D's ray casting scene."""
        scene = o3d.t.geometry.RaycastingScene()
        scene.add_triangles(
            o3d.core.Tensor.from_numpy(np.ascontiguousarray(self.vertices, dtype=np.float32)),
            o3d.core.Tensor.from_numpy(np.ascontiguousarray(self.faces, dtype=np.uint32)),
        )
        return scene

    def sample(self, rng: np.random.Generator, count: int) -> NDArray[np.float64]:
        """Points (count, 3) drawn evenly from the area.

        Raises:
            MeshError: the mesh has no area.
        """
        return sample_surface(self.vertices, self.faces, rng, count)

    def nearest(
        self, points: NDArray[np.floating]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Distances (N,) of points (N, 3) from the mesh, and normals (N, 3) of what is nearest.

        The normals are unit vectors whose sign follows the winding of the triangles.
        """
        query = np.ascontiguousarray(points, dtype=np.float32)
        found = self.rays.compute_closest_points(o3d.core.Tensor.from_numpy(query))
        distance = np.linalg.norm(query - found["points"].numpy(), axis=1)
        return distance.astype(np.float64), found["primitive_normals"].numpy().astype(np.float64)


def escaping_share(
    rays: o3d.t.geometry.RaycastingScene, points: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Largest share (N,) of all directions in which nothing lies before points (N, K, 3).

    Found from `_FIRST_DIRECTIONS` rays of each point, or from `_MORE_DIRECTIONS` where few of them
    escape; of the K points that belong together the freest counts.
    """
    points = np.asarray(points, dtype=np.float32)
    share = _escaping(rays, points, _FIRST_DIRECTIONS).max(axis=1)
    close = np.flatnonzero(share < _CLEARLY)
    share[close] = _escaping(rays, points[close], _MORE_DIRECTIONS).max(axis=1)
    return share


def visible_surface(
    vertices: NDArray[np.floating], faces: NDArray[np.integer], *, vessel: bool
) -> Surface:
    """What can be seen of a mesh from outside; hidden inner faces are left out.

    Args:
        vertices: (V, 3), any unit.
        faces: (F, 3), in any orientation.
        vessel: whether both sides of its wall belong to the object, as a bowl's do; otherwise
            the inside that shows through a mouth or a crack is hidden.
    """
    v = np.asarray(vertices, dtype=np.float64)
    diagonal = float(np.linalg.norm(np.ptp(v, axis=0)))
    v, f = trimesh.remesh.subdivide_to_size(
        v, np.asarray(faces, dtype=np.int64), _LARGEST_EDGE * diagonal, max_iter=20
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
    directions = _fibonacci_sphere(count)
    free = np.zeros(points.shape[:-1], dtype=np.int64)
    query = np.empty((*points.shape[:-1], 6), dtype=np.float32)
    query[..., :3] = points
    for direction in directions:
        query[..., 3:] = direction
        free += ~rays.test_occlusions(o3d.core.Tensor.from_numpy(query)).numpy()
    return free / count


def _fibonacci_sphere(count: int) -> NDArray[np.float32]:
    """Unit vectors (count, 3), evenly spread (Gonzalez, Math. Geosciences 2010)."""
    i = np.arange(count) + 0.5
    y = 1.0 - 2.0 * i / count
    angle = np.pi * (1.0 + 5.0**0.5) * i
    radius = np.sqrt(1.0 - y * y)
    return np.stack([radius * np.cos(angle), y, radius * np.sin(angle)], axis=1).astype(np.float32)
