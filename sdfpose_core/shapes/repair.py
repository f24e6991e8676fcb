"""Close open meshes: patch small holes, or wrap any triangle soup in a thin shell."""

from __future__ import annotations

import numpy as np
import open3d as o3d
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import marching_cubes

from sdfpose_core.shapes.solids import from_mesh, triangles

__all__ = ["close_by_shell", "patch_small_holes"]

_SMALL_HOLE = 0.5
"""Holes with a shorter boundary, in diagonals of the box, are patched. The mouth of a vessel that
is modelled without wall thickness is longer."""

_CELLS = 160
"""Grid cells along the longest side."""

_OFFSET_CELLS = 0.9
"""Distance of the shell from the surface, in cells. It is just above half a cell's diagonal, so
that the flood fill cannot pass through the surface between grid points."""

_MARGIN_CELLS = 4

_BLOCK = 4
"""Grid points along a block's side. Blocks far from the surface are sampled only once."""


def patch_small_holes(
    vertices: NDArray[np.floating], faces: NDArray[np.integer]
) -> tuple[NDArray[np.float64], NDArray[np.int64], int]:
    """Close each hole that has a short boundary by a triangle fan around the boundary's centre.

    Args:
        vertices: (V, 3), any unit.
        faces: (F, 3), consistently oriented around the holes.

    Returns:
        vertices (V', 3), faces (F', 3), and the number of patches.
    """
    points, corners = np.asarray(vertices, dtype=np.float64), np.asarray(faces, dtype=np.int64)
    limit = _SMALL_HOLE * float(np.linalg.norm(np.ptp(points, axis=0)))
    patches: list[NDArray[np.int64]] = []
    centres: list[NDArray[np.float64]] = []
    for loop in _boundary_loops(corners):
        ends = np.roll(loop, -1)
        if np.linalg.norm(points[ends] - points[loop], axis=1).sum() > limit:
            continue
        centre = np.full_like(loop, len(points) + len(centres))
        patches.append(np.stack([ends, loop, centre], axis=1))
        centres.append(points[loop].mean(axis=0, keepdims=True))
    return (
        np.concatenate([points, *centres]),
        np.concatenate([corners, *patches]),
        len(patches),
    )


def _boundary_loops(faces: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Closed loops of edges that border only one face, in the direction of that face."""
    edges = faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    _, kind, count = np.unique(
        np.sort(edges, axis=1), axis=0, return_inverse=True, return_counts=True
    )
    open_edges = edges[count[kind.reshape(-1)] == 1]
    following = dict(open_edges.tolist())
    if len(following) < len(open_edges):
        return []  # loops share a vertex, or the face orientation is inconsistent
    loops = []
    while following:
        start, vertex = following.popitem()
        loop = [start]
        while vertex != start and vertex in following:
            loop.append(vertex)
            vertex = following.pop(vertex)
        if vertex == start:
            loops.append(np.array(loop, dtype=np.int64))
    return loops


def close_by_shell(
    vertices: NDArray[np.floating], faces: NDArray[np.integer]
) -> tuple[NDArray[np.float64], NDArray[np.int64], float]:
    """Replace a surface by the filled outer boundary of its offset surface.

    The unsigned distance is sampled on a grid. Everything that can be reached from outside without
    coming closer to the surface than the offset counts as outside. The boundary of the rest is the
    result (after Wang et al., "Dual Octree Graph Networks", SIGGRAPH 2022, section 4). Openings
    narrower than about twice the offset are closed, and walls thinner than that are thickened.

    Args:
        vertices: (V, 3), any unit.
        faces: (F, 3), in any order and orientation.

    Returns:
        vertices (V', 3), faces (F', 3) of a closed surface, and the offset as a fraction of the
        bounding box's diagonal.
    """
    points = np.asarray(vertices, dtype=np.float64)
    low, high = points.min(axis=0), points.max(axis=0)
    cell = float((high - low).max()) / _CELLS
    offset = _OFFSET_CELLS * cell
    origin = low - _MARGIN_CELLS * cell
    blocks = np.ceil(((high - low) / cell + 2 * _MARGIN_CELLS + 1) / _BLOCK).astype(int)
    distance = _distance_near(points, faces, origin, cell, blocks, offset)

    regions, _ = ndimage.label(distance > offset)
    inside = regions != regions[0, 0, 0]
    excess = distance - offset
    field = np.where(inside, -np.abs(excess), excess)
    surface, corners, _, _ = marching_cubes(field, 0.0, spacing=(cell, cell, cell))
    solid = from_mesh(surface + origin, corners).simplify(0.1 * cell)
    shell_vertices, shell_faces = triangles(solid)
    diagonal = float(np.linalg.norm(high - low))
    return shell_vertices, shell_faces.astype(np.int64), offset / diagonal


def _distance_near(
    vertices: NDArray[np.float64],
    faces: NDArray[np.integer],
    origin: NDArray[np.float64],
    cell: float,
    blocks: NDArray[np.int_],
    offset: float,
) -> NDArray[np.float32]:
    """Distance of grid points from a mesh, exact in all blocks that come within `offset` of it.

    Args:
        vertices: (V, 3).
        faces: (F, 3).
        origin: (3,) first grid point.
        cell: distance between neighbouring grid points.
        blocks: (3,) number of blocks of `_BLOCK`^3 grid points along each axis.
        offset: distance up to which values must be exact.

    Returns:
        (_BLOCK bx, _BLOCK by, _BLOCK bz) float32; the other blocks have the value at their centre,
        which is larger than `offset`.
    """
    scene = o3d.t.geometry.RaycastingScene()
    scene.add_triangles(
        o3d.core.Tensor.from_numpy(np.ascontiguousarray(vertices - origin, dtype=np.float32)),
        o3d.core.Tensor.from_numpy(np.ascontiguousarray(faces, dtype=np.uint32)),
    )

    def distance(points: NDArray[np.floating]) -> NDArray[np.float32]:
        query = o3d.core.Tensor.from_numpy(points.astype(np.float32))
        return np.asarray(scene.compute_distance(query).numpy())

    corner = np.moveaxis(np.indices(tuple(blocks)), 0, -1) * _BLOCK
    half = 0.5 * (_BLOCK - 1)
    centre = distance((corner + half) * cell)
    near = np.argwhere(centre <= offset + np.sqrt(3.0) * half * cell)
    inner = np.moveaxis(np.indices((_BLOCK,) * 3), 0, -1)
    exact = distance((near[:, None, None, None] * _BLOCK + inner) * cell)

    grid = np.broadcast_to(centre[..., None, None, None], (*blocks, *(_BLOCK,) * 3)).copy()
    grid[tuple(near.T)] = exact
    return grid.transpose(0, 3, 1, 4, 2, 5).reshape(tuple(_BLOCK * blocks))
