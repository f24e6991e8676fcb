"""Collision geometry of objects: light meshes, convex hulls and solid primitives, with padding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import trimesh
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, QhullError

from sdfpose_core.errors import MeshError

__all__ = [
    "MIN_TRIANGLES",
    "Primitive",
    "TriangleMesh",
    "bounding_primitive",
    "convex_hull",
    "decimated",
    "padded",
]

MIN_TRIANGLES = 20
"""Fewest triangles that a mesh may be simplified to."""

_MAX_COLLAPSED = 40_000
"""Larger meshes are thinned out by vertex clustering first, whose time is linear in their size."""

_CLUSTER = 1.0 / 150.0
"""Edge of the cells of the finest grid as a share of the bounding box's diagonal."""

_COARSER = 1.5
"""Each grid's cells are longer than those of the one before by this factor."""

_MITRE = 0.3
"""Least cosine between a vertex normal and the normals of its faces that padding makes up for."""


@dataclass(frozen=True)
class TriangleMesh:
    """A triangle mesh.

    Attributes:
        vertices: (V, 3) float64, metres.
        faces: (F, 3) int32, vertex indices, counter-clockwise seen from outside.
    """

    vertices: NDArray[np.float64]
    faces: NDArray[np.int32]

    @classmethod
    def of(cls, vertices: NDArray[np.floating], faces: NDArray[np.integer]) -> TriangleMesh:
        """The mesh of arrays from elsewhere.

        Args:
            vertices: (V, 3), metres.
            faces: (F, 3).

        Raises:
            MeshError: there are no triangles or they have no area, a vertex is not finite, or an
                index is out of range.
        """
        mesh = cls(np.asarray(vertices, np.float64), np.asarray(faces, np.int32))
        if not len(mesh.faces):
            raise MeshError("the mesh has no triangles: expected at least one")
        if not np.all(np.isfinite(mesh.vertices)):
            raise MeshError("the mesh has vertices that are not finite: expected metres")
        if mesh.faces.min() < 0 or mesh.faces.max() >= len(mesh.vertices):
            raise MeshError(
                f"the mesh has vertex indices from {mesh.faces.min()} to {mesh.faces.max()}: "
                f"expected 0 to {len(mesh.vertices) - 1}"
            )
        corners = mesh.vertices[mesh.faces]
        if not np.any(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])):
            raise MeshError("the mesh has no area: expected a surface")
        return mesh

    def with_sides(self, sides: NDArray[np.floating]) -> TriangleMesh:
        """The mesh stretched so that its bounding box has the given sides (3,), metres."""
        own = np.ptp(self.vertices, axis=0)
        factors = np.divide(sides, own, out=np.ones(3), where=own > 0.0)
        return TriangleMesh(self.vertices * factors, self.faces)


@dataclass(frozen=True)
class Primitive:
    """A solid about the origin of the object frame.

    Attributes:
        kind: a box, or a cylinder about the y axis.
        sides_m: (3,) side lengths of its bounding box, metres.
    """

    kind: Literal["box", "cylinder"]
    sides_m: NDArray[np.float64]


def bounding_primitive(
    sides: NDArray[np.floating], *, symmetric_about_y: bool, padding_m: float = 0.0
) -> Primitive:
    """The box of an object, or the cylinder round it if it is symmetric about y.

    Args:
        sides: (3,) of the object's bounding box, metres.
        symmetric_about_y: whether the object is.
        padding_m: distance by which the primitive is larger on every side, metres.
    """
    grown = np.asarray(sides, np.float64) + 2.0 * padding_m
    if not symmetric_about_y:
        return Primitive("box", grown)
    across = max(grown[0], grown[2])
    return Primitive("cylinder", np.array([across, grown[1], across]))


def decimated(mesh: TriangleMesh, max_triangles: int) -> TriangleMesh:
    """Simplify a mesh to at most a number of triangles; it need not be closed.

    The method is quadric edge collapse (Garland and Heckbert, *Surface simplification using quadric
    error metrics*, SIGGRAPH 1997). The vertices of very large meshes are clustered first (Rossignac
    and Borrel, 1993), so that the time is bounded.

    Args:
        mesh: any mesh; returned as it is if it is light enough.
        max_triangles: at least `MIN_TRIANGLES`.

    Raises:
        MeshError: nothing is left, because all triangles are degenerate.
    """
    if len(mesh.faces) <= max_triangles:
        return mesh
    import open3d as o3d  # takes a second to import, and light meshes do not need it

    thinned = _clustered(mesh, _MAX_COLLAPSED) if len(mesh.faces) > _MAX_COLLAPSED else mesh
    light = o3d.geometry.TriangleMesh(
        o3d.utility.Vector3dVector(thinned.vertices), o3d.utility.Vector3iVector(thinned.faces)
    ).simplify_quadric_decimation(max_triangles)
    light.remove_degenerate_triangles()
    light.remove_unreferenced_vertices()
    faces = np.asarray(light.triangles)
    if len(faces) in range(1, max_triangles + 1):
        return TriangleMesh(np.array(light.vertices), faces.astype(np.int32))
    return _clustered(mesh, max_triangles)  # borders and non-manifold edges resist the collapse


def convex_hull(mesh: TriangleMesh) -> TriangleMesh:
    """The convex hull of a mesh's vertices.

    Raises:
        MeshError: the vertices lie in a plane.
    """
    try:
        hull = ConvexHull(mesh.vertices)
    except QhullError as error:
        raise MeshError(
            f"a mesh of {len(mesh.vertices)} vertices has no convex hull: expected vertices that "
            "do not lie in a plane"
        ) from error
    faces = hull.simplices
    corners = mesh.vertices[faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    inward = np.einsum("fi,fi->f", normals, hull.equations[:, :3]) < 0.0
    faces = np.where(inward[:, None], faces[:, ::-1], faces)
    used, indices = np.unique(faces, return_inverse=True)
    return TriangleMesh(mesh.vertices[used], indices.reshape(-1, 3).astype(np.int32))


def padded(mesh: TriangleMesh, padding_m: float) -> TriangleMesh:
    """Move the surface of a mesh outward, each face by at least `padding_m`.

    Vertices move along their normals, at edges farther than the padding. Only where faces meet at
    an edge sharper than about 35 degrees do the faces move by less.
    """
    if padding_m == 0.0:
        return mesh
    solid = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False, validate=False)
    normals = np.asarray(solid.vertex_normals)
    along = np.einsum("fki,fi->fk", normals[mesh.faces], solid.face_normals)
    least = np.ones(len(normals))
    np.minimum.at(least, mesh.faces.ravel(), along.ravel())
    reach = padding_m / np.maximum(least, _MITRE)
    return TriangleMesh(mesh.vertices + reach[:, None] * normals, mesh.faces)


def _clustered(mesh: TriangleMesh, max_triangles: int) -> TriangleMesh:
    """Join the vertices of each cell of a grid; the grid is made coarser until it suffices.

    Raises:
        MeshError: nothing is left.
    """
    low, spread = mesh.vertices.min(axis=0), np.ptp(mesh.vertices, axis=0)
    edge = _CLUSTER * float(np.linalg.norm(spread))
    faces = mesh.faces.astype(np.int64)
    while len(faces) > max_triangles:
        cells = np.floor((mesh.vertices - low) / max(edge, 1e-12)).astype(np.int64)
        rows = cells.max(axis=0) + 1
        keys = (cells[:, 0] * rows[1] + cells[:, 1]) * rows[2] + cells[:, 2]
        _, cluster = np.unique(keys, return_inverse=True)
        faces = cluster[mesh.faces]
        faces = faces[np.all(faces != np.roll(faces, 1, axis=1), axis=1)]
        ordered = np.sort(faces, axis=1)
        count = int(cluster.max()) + 1
        _, first = np.unique(
            (ordered[:, 0] * count + ordered[:, 1]) * np.int64(count) + ordered[:, 2],
            return_index=True,
        )
        faces = faces[np.sort(first)]
        edge *= _COARSER
    if not len(faces):
        raise MeshError(
            f"a mesh of {len(mesh.faces):,} triangles cannot be simplified to {max_triangles:,}: "
            "expected a connected surface"
        )
    counts = np.bincount(cluster)
    sums = [np.bincount(cluster, weights=x) for x in mesh.vertices.T]
    used, indices = np.unique(faces, return_inverse=True)
    vertices = (np.stack(sums, axis=1) / counts[:, None])[used]
    return TriangleMesh(vertices, indices.reshape(-1, 3).astype(np.int32))
