"""Parts that distractors are joined of: solids in metres, y up, centred unless said otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from manifold3d import CrossSection, Manifold
from numpy.typing import ArrayLike, NDArray

from sdfpose_core.shapes.profiles import bezier, round_corners
from sdfpose_core.shapes.solids import bar, lathe, slab

__all__ = [
    "Axis",
    "along",
    "ball",
    "block",
    "disc",
    "finger",
    "joined",
    "log_uniform",
    "rod",
    "sheet",
    "swept",
    "torus",
    "tube",
    "turned",
]

Axis = Literal["x", "y", "z"]

_SEGMENTS = 32
"""Segments per full turn."""


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw a number whose logarithm is uniform."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def joined(solids: Sequence[Manifold]) -> Manifold:
    """Union of solids."""
    return sum(solids[1:], solids[0])


def along(solid: Manifold, axis: Axis) -> Manifold:
    """Turn a solid along y so that it lies along another axis."""
    turn = {"x": (0.0, 0.0, -90.0), "y": (0.0, 0.0, 0.0), "z": (90.0, 0.0, 0.0)}[axis]
    return solid.rotate(turn)


def block(x: float, y: float, z: float, edge: float = 0.0) -> Manifold:
    """Create a box with rounded edges; `edge` is their radius, metres."""
    if edge <= 0.0:
        return Manifold.cube((x, y, z), True)
    return slab((x, y, z), edge, edge, steps=4)


def turned(points: ArrayLike, smoothing: float = 0.0, segments: int = _SEGMENTS) -> Manifold:
    """Revolve a polyline about the y axis.

    Args:
        points: (N, 2) radius and height, metres, upward along the outside.
        smoothing: radius of its corners, metres.
        segments: segments per full turn.
    """
    outline = np.asarray(points, dtype=np.float64)
    ends = np.array([[0.0, outline[0, 1]]]), np.array([[0.0, outline[-1, 1]]])
    outline = np.concatenate([ends[0], outline, ends[1]])
    if smoothing > 0.0:
        outline = round_corners(outline, smoothing, 4)
    return lathe(outline, segments=segments)


def rod(radius: float, length: float, end_radius: float | None = None) -> Manifold:
    """Create a cylinder or cone along y; `end_radius` is the radius at the top."""
    top = radius if end_radius is None else max(end_radius, 1e-4)
    return turned([[radius, -0.5 * length], [top, 0.5 * length]])


def disc(radius: float, thickness: float, edge: float = 0.0) -> Manifold:
    """Create a flat cylinder along y with rounded edges."""
    half = 0.5 * thickness
    return turned([[radius, -half], [radius, half]], smoothing=min(edge, 0.9 * half))


def ball(x: float, y: float, z: float) -> Manifold:
    """Create an ellipsoid from its half axes, metres."""
    return Manifold.sphere(1.0, 24).scale((x, y, z))


def torus(radius: float, thickness: float) -> Manifold:
    """Create a ring about y from the radius of its centre line and the radius of the tube."""
    circle = CrossSection.circle(thickness, 16).translate((radius, 0.0))
    return circle.revolve(_SEGMENTS).rotate((-90.0, 0.0, 0.0))


def tube(radius: float, inner: float, length: float) -> Manifold:
    """Create a hollow cylinder along y, open at both ends."""
    section = CrossSection.square((radius - inner, length)).translate((inner, -0.5 * length))
    return section.revolve(_SEGMENTS).rotate((-90.0, 0.0, 0.0))


def sheet(shape: CrossSection, thickness: float) -> Manifold:
    """Extrude a plane figure (its x and y become x and -z) along y."""
    return shape.extrude(thickness).rotate((-90.0, 0.0, 0.0)).translate((0, -0.5 * thickness, 0))


def swept(
    path: Sequence[ArrayLike],
    thickness: ArrayLike,
    width: ArrayLike,
    *,
    exponent: float = 2.0,
    count: int = 16,
) -> Manifold:
    """Sweep a section along a cubic Bezier curve in the plane of x and y.

    Args:
        path: four control points (2,), metres.
        thickness: (K,) full thickness in that plane at equal distances of the parameter, metres.
        width: (K,) full width along z, metres.
        exponent: exponent of the superelliptic section.
        count: number of sections.
    """
    curve = bezier(path[0], path[1], path[2], path[3], count)
    place = np.linspace(0.0, 1.0, count)
    thick, wide = (_spread(x, place) for x in (thickness, width))
    return bar(curve, thick, wide, exponent=exponent, segments=16)


def _spread(values: ArrayLike, place: NDArray[np.float64]) -> NDArray[np.float64]:
    """Interpolate values, given at equal distances from 0 to 1."""
    known = np.atleast_1d(np.asarray(values, dtype=np.float64))
    return np.interp(place, np.linspace(0.0, 1.0, len(known)), known)


def finger(points: ArrayLike, radii: ArrayLike) -> Manifold:
    """Chain of rounded bars through points (N, 3) with radii (N,), metres."""
    p, r = np.asarray(points, dtype=np.float64), np.asarray(radii, dtype=np.float64)
    knots = [
        Manifold.sphere(float(radius), 12).translate(tuple(at))
        for at, radius in zip(p, r, strict=True)
    ]
    return joined([Manifold.batch_hull(knots[i : i + 2]) for i in range(len(knots) - 1)])
