"""Solids as `manifold3d.Manifold` in the object frame (metres, y up): lathe, slab and bar.

Each of these is one closed, outward-oriented solid, ready for union and difference.
"""

from __future__ import annotations

import numpy as np
from manifold3d import Error, Manifold, Mesh, Mesh64
from numpy.typing import NDArray

from sdfpose_core.errors import MeshError
from sdfpose_core.shapes.profiles import Meridian, thin_out

__all__ = [
    "SEGMENTS",
    "bar",
    "from_mesh",
    "lathe",
    "lathe_along_x",
    "simplified",
    "slab",
    "triangles",
]

SEGMENTS = 64
"""Segments per full turn."""

_TOLERANCE_M = 4e-5
"""Tolerance for simplifying meridians."""


def from_mesh(vertices: NDArray[np.floating], faces: NDArray[np.integer]) -> Manifold:
    """Create a solid from vertices (V, 3) and faces (F, 3), counter-clockwise from outside.

    Raises:
        MeshError: the mesh is not closed, not consistently oriented or inside out.
    """
    solid = Manifold(
        Mesh64(
            np.ascontiguousarray(vertices, dtype=np.float64),
            np.ascontiguousarray(faces, dtype=np.uint64),
        )
    )
    if solid.status() != Error.NoError:
        raise MeshError(
            f"mesh of {len(faces)} faces does not bound a solid ({solid.status().name}): expected "
            "a closed surface with consistently oriented faces"
        )
    if solid.volume() <= 0.0:
        raise MeshError(
            f"mesh of {len(faces)} faces is inside out (volume {solid.volume():.3g} m^3): expected "
            "faces that are counter-clockwise seen from outside"
        )
    return solid


def simplified(
    vertices: NDArray[np.float32], faces: NDArray[np.int32], tolerance: float
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Simplify a closed mesh within about `tolerance`.

    The remaining vertices are a subset of the old ones. A mesh that is not closed (because the
    surface leaves its grid) is returned unchanged.

    Args:
        vertices: (V, 3), any unit.
        faces: (F, 3).
        tolerance: of a single edge collapse, in the unit of the vertices; several collapses
            together may move the surface by up to twice as much.
    """
    solid = Manifold(Mesh(vertices, faces.astype(np.uint32)))
    if solid.status() != Error.NoError:
        return vertices, faces
    mesh = solid.simplify(tolerance).to_mesh()
    return (
        np.array(mesh.vert_properties[:, :3], dtype=np.float32),
        np.array(mesh.tri_verts, dtype=np.int32),
    )


def triangles(solid: Manifold) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Return the vertices (V, 3), metres, and faces (F, 3) of a solid."""
    mesh = solid.to_mesh64()
    return (
        np.array(mesh.vert_properties[:, :3], dtype=np.float64),
        np.array(mesh.tri_verts, dtype=np.int32),
    )


def lathe(
    meridian: Meridian,
    exponent: NDArray[np.float64] | float = 2.0,
    depth: NDArray[np.float64] | float = 1.0,
    segments: int = SEGMENTS,
) -> Manifold:
    """Revolve a meridian about the y axis, with superelliptic cross sections.

    The cross section at a meridian point of radius r is |x / r|^e + |z / (r d)|^e = 1.

    Args:
        meridian: (N, 2) radius and height, metres, counter-clockwise; the first and the last point
            lie on the axis.
        exponent: (N,) e of the cross sections: 2 is an ellipse, larger is a rounded rectangle.
        depth: (N,) d, half-width along z divided by half-width along x.
        segments: segments per full turn.
    """
    points = np.column_stack(
        [
            meridian,
            np.broadcast_to(exponent, (len(meridian),)),
            np.broadcast_to(depth, (len(meridian),)),
        ]
    )
    # Scale the section parameters so that one tolerance applies to all columns.
    size = max(float(meridian[:, 0].max()), 1e-6)
    points = thin_out(points * [1.0, 1.0, 0.1 * size, size], _TOLERANCE_M)
    points = points / [1.0, 1.0, 0.1 * size, size]
    rings = points[1:-1].copy()
    rings[:, 0] = np.maximum(rings[:, 0], 1e-5)
    theta = np.arange(segments) * (2.0 * np.pi / segments)
    cosine, sine = np.cos(theta), np.sin(theta)
    e = rings[:, 2:3]
    norm = (np.abs(cosine) ** e + np.abs(sine) ** e) ** (-1.0 / e)
    x = rings[:, 0:1] * norm * cosine
    z = -rings[:, 0:1] * rings[:, 3:4] * norm * sine
    y = np.broadcast_to(rings[:, 1:2], x.shape)
    vertices = np.concatenate(
        [
            np.stack([x, y, z], axis=-1).reshape(-1, 3),
            [[0.0, points[0, 1], 0.0], [0.0, points[-1, 1], 0.0]],
        ]
    )
    return from_mesh(vertices, _tube_faces(len(rings), segments))


def lathe_along_x(meridian: Meridian, segments: int = SEGMENTS) -> Manifold:
    """Revolve a meridian (r, x) about the x axis; its second coordinate becomes x."""
    return lathe(meridian, segments=segments).rotate((0.0, 0.0, -90.0))


def slab(
    size: tuple[float, float, float],
    corner_radius: float,
    edge_radius: float,
    steps: int = 6,
) -> Manifold:
    """Create a centred, convex slab: a rounded rectangle in x and z with rounded edges.

    Args:
        size: sides along x, y, z, metres.
        corner_radius: corner radius of the outline seen from above, metres.
        edge_radius: radius between the sides and the flat top and bottom, metres.
        steps: segments per quarter circle.
    """
    a, h, b = (0.5 * s for s in size)
    edge = min(edge_radius, 0.999 * h, 0.999 * min(a, b))
    corner = min(max(corner_radius, edge, 1e-6), min(a, b))
    phi = np.linspace(0.0, np.pi / 2.0, max(2, steps // 2 + 1)) if edge > 1e-6 else np.zeros(1)
    theta = np.linspace(0.0, np.pi / 2.0, steps + 1)
    inset = (edge * (1.0 - np.cos(phi)))[:, None]
    level = np.broadcast_to((h - edge * (1.0 - np.sin(phi)))[:, None], (len(phi), len(theta)))
    if edge <= 1e-6:
        level = np.full_like(level, h)
    px = (a - corner) + np.maximum(corner - inset, 0.0) * np.cos(theta)
    pz = (b - corner) + np.maximum(corner - inset, 0.0) * np.sin(theta)
    octant = np.stack([px, level, pz], axis=-1).reshape(-1, 3)
    signs = np.array([[i, j, k] for i in (-1, 1) for j in (-1, 1) for k in (-1, 1)])
    return Manifold.hull_points((octant[None] * signs[:, None]).reshape(-1, 3))


def bar(
    path: NDArray[np.float64],
    thickness: NDArray[np.float64] | float,
    width: NDArray[np.float64] | float,
    exponent: float = 2.0,
    segments: int = 20,
) -> Manifold:
    """Create a bar with superelliptic cross section along a path in the plane z = 0.

    If the path bends more tightly than the bar is thick, the bar is the union of the convex hulls
    of neighbouring sections, so that it does not intersect itself.

    Args:
        path: (N, 2) x and y of the centre line, metres.
        thickness: (N,) full thickness in the plane of the path, metres.
        width: (N,) full width along z, metres.
        exponent: exponent of the superelliptic cross section.
        segments: segments per cross section.
    """
    n = len(path)
    tangent = np.gradient(path, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    normal = np.stack([-tangent[:, 1], tangent[:, 0]], axis=1)
    theta = np.arange(segments) * (2.0 * np.pi / segments)
    cosine, sine = np.cos(theta), np.sin(theta)
    norm = (np.abs(cosine) ** exponent + np.abs(sine) ** exponent) ** (-1.0 / exponent)
    u = 0.5 * np.broadcast_to(thickness, (n,))[:, None] * (norm * cosine)
    w = 0.5 * np.broadcast_to(width, (n,))[:, None] * (norm * sine)
    xy = path[:, None, :] + u[..., None] * normal[:, None, :]
    sections = np.concatenate([xy, w[..., None]], axis=-1)
    advance = np.sum((xy[1:] - xy[:-1]) * (tangent[1:] + tangent[:-1])[:, None, :], axis=-1)
    if float(advance.min()) > 0.0:
        ends = np.column_stack([path[[0, -1]], np.zeros(2)])
        return from_mesh(np.concatenate([sections.reshape(-1, 3), ends]), _tube_faces(n, segments))
    pieces = [Manifold.hull_points(np.concatenate(sections[i : i + 2])) for i in range(n - 1)]
    return sum(pieces[1:], pieces[0])


def _tube_faces(rings: int, segments: int) -> NDArray[np.int64]:
    """Faces of a tube of `rings` closed rings, followed by one start and one end pole."""
    start, end = rings * segments, rings * segments + 1
    j = np.arange(segments)
    k = (j + 1) % segments
    base = (np.arange(rings - 1) * segments)[:, None]
    a, b, c, d = base + j, base + k, base + segments + k, base + segments + j
    last = (rings - 1) * segments
    return np.concatenate(
        [
            np.stack([a, b, c], axis=-1).reshape(-1, 3),
            np.stack([a, c, d], axis=-1).reshape(-1, 3),
            np.stack([np.full_like(j, start), k, j], axis=-1),
            np.stack([np.full_like(j, end), last + j, last + k], axis=-1),
        ]
    )
