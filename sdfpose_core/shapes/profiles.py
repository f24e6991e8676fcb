"""Meridians: plane curves (r, y) that define solids of revolution.

A meridian is an array (N, 2) float64 of radius and height in metres. It runs counter-clockwise
from the axis at the bottom, outwards and up, and back to the axis at the top (or down into a cup).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "Meridian",
    "bezier",
    "cup",
    "fillet_inset",
    "join",
    "offset_inwards",
    "round_corners",
    "thin_out",
]

Meridian = NDArray[np.float64]


def bezier(
    p0: ArrayLike,
    p1: ArrayLike,
    p2: ArrayLike,
    p3: ArrayLike,
    count: int = 16,
) -> Meridian:
    """Cubic Bezier curve (count, 2) from `p0` to `p3` with the control points `p1` and `p2`."""
    t = np.linspace(0.0, 1.0, count)[:, None]
    a, b, c, d = (np.asarray(p, dtype=np.float64) for p in (p0, p1, p2, p3))
    u = 1.0 - t
    return np.asarray(u**3 * a + 3 * u**2 * t * b + 3 * u * t**2 * c + t**3 * d)


def join(*pieces: NDArray[np.floating] | Sequence[Sequence[float]]) -> Meridian:
    """Concatenate pieces (N_i, 2) and remove points equal to their predecessor."""
    points = np.concatenate([np.asarray(p, dtype=np.float64).reshape(-1, 2) for p in pieces])
    step = np.linalg.norm(np.diff(points, axis=0), axis=1)
    return np.asarray(points[np.concatenate([[True], step > 1e-7])])


def round_corners(
    points: NDArray[np.floating] | Sequence[Sequence[float]],
    radii: Sequence[float] | float,
    steps: int = 6,
) -> Meridian:
    """Replace each inner corner of a polyline (N, 2) by an arc of about the given radius.

    If two arcs do not fit on the segment between them, both shrink.

    Args:
        points: (N, 2), metres.
        radii: one radius per point (the first and last are ignored), or one for all, metres.
        steps: segments per arc.
    """
    p = np.asarray(points, dtype=np.float64)
    radius = np.broadcast_to(np.asarray(radii, dtype=np.float64), (len(p),))
    apart = np.concatenate([[True], np.linalg.norm(np.diff(p, axis=0), axis=1) > 1e-7])
    p, radius = p[apart], radius[apart]
    n = len(p)
    if n < 3:
        return p
    edge = np.diff(p, axis=0)
    length = np.linalg.norm(edge, axis=1)
    direction = edge / length[:, None]
    cosine = np.clip(np.sum(direction[:-1] * direction[1:], axis=1), -1.0, 1.0)
    turn = np.minimum(np.arccos(cosine), np.deg2rad(170.0))
    trim = np.zeros(n)
    trim[1:-1] = radius[1:-1] * np.tan(turn / 2.0)
    share = np.minimum(1.0, 0.98 * length / np.maximum(trim[:-1] + trim[1:], 1e-12))
    trim[1:-1] *= np.minimum(share[:-1], share[1:])
    out: list[NDArray[np.float64]] = [p[:1]]
    for i in range(1, n - 1):
        if trim[i] < 1e-6:
            out.append(p[i : i + 1])
            continue
        start, end = p[i] - trim[i] * direction[i - 1], p[i] + trim[i] * direction[i]
        # Up to 90 degrees, this cubic deviates from the arc by less than 0.03 % of the radius.
        handle = 4.0 / 3.0 * np.tan(turn[i - 1] / 4.0) / np.tan(turn[i - 1] / 2.0)
        out.append(
            bezier(
                start, start + handle * (p[i] - start), end + handle * (p[i] - end), end, steps + 1
            )
        )
    out.append(p[-1:])
    return join(*out)


def thin_out(points: Meridian, tolerance: float) -> Meridian:
    """Simplify a polyline to within `tolerance`, metres (Douglas and Peucker 1973)."""
    keep = np.zeros(len(points), dtype=bool)
    keep[[0, -1]] = True
    stack = [(0, len(points) - 1)]
    while stack:
        i, j = stack.pop()
        if j - i < 2:
            continue
        chord = points[j] - points[i]
        offset = points[i + 1 : j] - points[i]
        length_sq = float(chord @ chord)
        along = np.clip(offset @ chord / max(length_sq, 1e-18), 0.0, 1.0)
        distance = np.linalg.norm(offset - along[:, None] * chord, axis=1)
        k = int(np.argmax(distance))
        if distance[k] > tolerance:
            k += i + 1
            keep[k] = True
            stack += [(i, k), (k, j)]
    return np.asarray(points[keep])


def fillet_inset(y: NDArray[np.float64], radius: float, height: float) -> NDArray[np.float64]:
    """Inset (N,), metres, of a wall with a quarter-elliptic fillet at the floor.

    Args:
        y: (N,), heights above the floor, metres.
        radius: inset at y = 0, metres.
        height: height at which the inset reaches zero, metres.
    """
    if radius <= 0.0 or height <= 0.0:
        return np.zeros_like(y)
    t = np.clip(1.0 - y / height, 0.0, 1.0)
    return np.asarray(radius * (1.0 - np.sqrt(1.0 - t * t)))


def offset_inwards(outer: Meridian, thickness: NDArray[np.float64] | float) -> Meridian:
    """Offset an upward curve by `thickness` (N,) to its left; return points (N, 2).

    The result is made monotone in height. This removes the loops that appear if the offset exceeds
    the radius of curvature.
    """
    tangent = np.gradient(outer, axis=0)
    tangent /= np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-12)
    left = np.stack([-tangent[:, 1], tangent[:, 0]], axis=1)
    inner = outer + left * np.broadcast_to(thickness, (len(outer),))[:, None]
    inner[:, 1] = np.maximum.accumulate(inner[:, 1])
    inner[:, 0] = np.maximum(inner[:, 0], 0.0)
    return np.asarray(inner)


def cup(
    base: Meridian,
    outer: Meridian,
    thickness: NDArray[np.float64] | float,
    floor: float,
    fillet: float = 0.0,
) -> tuple[Meridian, Meridian]:
    """Create the meridian of an open vessel with a rounded lip.

    Args:
        base: (B, 2) underside, from the axis to the outer edge of the foot.
        outer: (N, 2) outer wall, upwards from the foot to the rim.
        thickness: (N,) wall thickness, metres.
        floor: height of the inner floor on the axis, metres.
        fillet: radius between floor and inner wall, metres.

    Returns:
        The vessel's closed meridian and that of its cavity. The cavity extends one height above
        the rim and is used to cut away parts that protrude into the vessel.
    """
    inner = offset_inwards(outer, thickness)
    rim_outer, rim_inner = outer[-1], inner[-1]
    middle, half = 0.5 * (rim_outer + rim_inner), 0.5 * (rim_outer - rim_inner)
    up = np.array([-half[1], half[0]])
    angle = np.linspace(0.0, np.pi, 9)[1:-1, None]
    lip = middle + np.cos(angle) * half + np.sin(angle) * up

    above = inner[inner[:, 1] > floor + 1e-5]
    first = float(np.interp(floor, inner[:, 1], inner[:, 0]))
    wall = join([[first, floor]], above)
    if fillet > 0.0:
        fillet = min(fillet, 0.9 * first, 0.5 * (wall[-1, 1] - floor))
        y = np.union1d(wall[:, 1], floor + fillet * (1.0 - np.cos(np.linspace(0, np.pi / 2, 8))))
        r = np.interp(y, wall[:, 1], wall[:, 0]) - fillet_inset(y - floor, fillet, fillet)
        wall = np.stack([r, y], axis=1)
    vessel = join(base, outer, lip, wall[::-1], [[0.0, floor]])
    top = wall[-1]
    rise = np.array([0.0, outer[-1, 1]])
    cavity = join([[0.0, floor]], wall, [top + rise], [[0.0, top[1] + rise[1]]])
    return vessel, cavity
