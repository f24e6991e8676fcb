"""Named frames of an object's parts, measured on its decoded surface.

Every frame has z pointing out of the part, to where a gripper comes from, and y along the part.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.categories import GRASP_FRAMES
from sdfpose_core.errors import ConfigurationError
from sdfpose_core.observation.frame import ObjectEstimate
from sdfpose_core.shapes.body import BodyProfile
from sdfpose_core.shapes.sdf_samples import sample_surface

__all__ = ["PartFrame", "part_frames", "parts_of"]

_SAMPLES = 6000

_STANDS_OUT = 0.03
"""Points of a handle stand out of the body by at least this share of the diagonal..."""

_OUTER = 0.5
"""...and its bar by at least this share of the farthest one's distance."""

_LEAST_SHARE = 0.01
"""Least share of the surface in a handle or a lid."""

_RIM = 0.03
"""The rim is the highest part of the surface: this share of the height."""

_LID = 0.3
"""A lid is what is above this share of the height..."""

_LID_EDGE = 0.08
"""...and its edge the last share of its length."""

_OPEN_LID = 0.25
"""A lid stands open if the height is at least this share of the diagonal."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class PartFrame:
    """A frame of a part: x_obj = R x_part + t.

    Attributes:
        name: of the part, one of `GRASP_FRAMES`.
        rotation: R (3, 3): columns x, y along the part, z out of it.
        translation: t (3,), metres, object frame.
    """

    name: str
    rotation: Array
    translation: Array

    @classmethod
    def of(cls, name: str, origin: Array, out: Array, along: Array) -> PartFrame:
        """The frame with z along `out` (3,) and y as near to `along` (3,) as can be."""
        z = out / np.linalg.norm(out)
        y = along - (along @ z) * z
        y /= np.linalg.norm(y)
        return cls(name, np.stack([np.cross(y, z), y, z], axis=1), np.asarray(origin, float))


@dataclass(frozen=True)
class _Surface:
    """A surface: points (N, 3) all over it, its box, its body of revolution and that one's axis."""

    points: Array
    low: Array
    high: Array
    body: BodyProfile
    axis_x: float

    @property
    def diagonal(self) -> float:
        return float(np.linalg.norm(self.high - self.low))


def parts_of(estimate: ObjectEstimate, names: Sequence[str]) -> list[PartFrame]:
    """The frames of an estimate's parts, relative to the object frame.

    Args:
        estimate: object; without a mesh it has no parts.
        names: of the parts, such as those of its category.

    Raises:
        ConfigurationError: a name is unknown.
    """
    if not len(estimate.faces):
        return []
    return part_frames(estimate.vertices, estimate.faces, names)


def part_frames(
    vertices: NDArray[np.floating], faces: NDArray[np.integer], names: Sequence[str]
) -> list[PartFrame]:
    """Measure the frames of the parts of a surface. A part that is not there has none.

    Args:
        vertices: (V, 3), metres, object frame.
        faces: (F, 3).
        names: of the parts, from `GRASP_FRAMES`.

    Raises:
        ConfigurationError: a name is unknown.
        MeshError: the mesh has no area.
    """
    if unknown := [x for x in names if x not in _PARTS]:
        raise ConfigurationError(
            f"unknown frame '{unknown[0]}': expected {', '.join(GRASP_FRAMES)}"
        )
    if not names:
        return []
    points = sample_surface(vertices, faces, np.random.default_rng(0), _SAMPLES)
    low, high = (x.astype(np.float64) for x in (vertices.min(axis=0), vertices.max(axis=0)))
    body = BodyProfile.of(vertices, faces)
    # Only a handle moves the axis from the middle of the box.
    axis_x = body.axis_x_m if "handle" in names else float(0.5 * (low[0] + high[0]))
    surface = _Surface(np.asarray(points, dtype=np.float64), low, high, body, axis_x)
    found = (_PARTS[x](surface) for x in names)
    return [x for x in found if x is not None]


def _body_axis(surface: _Surface) -> PartFrame:
    """Middle of the body: y up along its axis, z toward the front."""
    middle = 0.5 * (surface.low + surface.high)
    origin = np.array([surface.axis_x, middle[1], middle[2]])
    return PartFrame.of("body_axis", origin, np.array([1.0, 0, 0]), np.array([0.0, 1, 0]))


def _long_axis(surface: _Surface) -> PartFrame:
    """Middle of the box: y along its longest side, z up, or toward the front if that is up."""
    sides = surface.high - surface.low
    along = np.eye(3)[int(sides.argmax())]
    out = np.array([1.0, 0, 0]) if along[1] else np.array([0.0, 1, 0])
    return PartFrame.of("long_axis", 0.5 * (surface.low + surface.high), out, along)


def _opening(surface: _Surface) -> PartFrame:
    """Middle of the top: z up out of it, y toward the front."""
    centre, _ = _ring(surface)
    return PartFrame.of("opening", centre, np.array([0.0, 1, 0]), np.array([1.0, 0, 0]))


def _rim(surface: _Surface) -> PartFrame:
    """The place of the rim that is farthest from the front: z up, y along the rim."""
    centre, radius = _ring(surface)
    origin = centre - np.array([radius, 0.0, 0.0])
    return PartFrame.of("rim", origin, np.array([0.0, 1, 0]), np.array([0.0, 0, 1]))


def _handle(surface: _Surface) -> PartFrame | None:
    """Middle of the handle's bar: z away from the body, y along the bar, upward."""
    body, points = surface.body, surface.points
    if not len(body.heights_m):
        return None  # a surface without a body
    away = np.hypot(points[:, 0] - body.axis_x_m, points[:, 2])
    beyond = away - np.interp(points[:, 1], body.heights_m, body.radii_m)
    out = (points[:, 0] > body.axis_x_m) & (beyond > _STANDS_OUT * surface.diagonal)
    if np.count_nonzero(out) < _LEAST_SHARE * len(points):
        return None
    bar = points[out & (beyond >= _OUTER * beyond[out].max())]
    middle = bar.mean(axis=0)
    direction = np.array([middle[0] - body.axis_x_m, 0.0, middle[2]])
    _, axes = np.linalg.eigh(np.cov((bar - middle).T))
    along = axes[:, -1]
    across = abs(along @ direction) / np.linalg.norm(direction)
    up = np.array([0.0, 1, 0])
    # The bar of a small handle is as wide as it is long.
    along = along * np.sign(along[1]) if across < 0.7 and abs(along[1]) > 0.5 else up
    return PartFrame.of("handle", middle, direction, along)


def _lid_edge(surface: _Surface) -> PartFrame | None:
    """Middle of the lid's far edge: z out of it in the plane of the lid, y along it."""
    low, high, points = surface.low, surface.high, surface.points
    if high[1] - low[1] < _OPEN_LID * surface.diagonal:
        return None
    lid = points[points[:, 1] > low[1] + _LID * (high[1] - low[1])][:, :2]
    if len(lid) < _LEAST_SHARE * len(points):
        return None
    middle = lid.mean(axis=0)
    _, axes = np.linalg.eigh(np.cov((lid - middle).T))
    out = axes[:, -1] * np.sign(axes[1, -1])
    reach = (lid - middle) @ out
    edge = middle + (reach.max() * out)
    near = lid[reach > reach.max() - _LID_EDGE * (reach.max() - reach.min())]
    edge += ((near.mean(axis=0) - edge) @ axes[:, 0]) * axes[:, 0]
    origin = np.array([*edge, 0.5 * (low[2] + high[2])])
    return PartFrame.of("lid_edge", origin, np.array([*out, 0.0]), np.array([0.0, 0, 1]))


def _ring(surface: _Surface) -> tuple[Array, float]:
    """Centre (3,) and radius of the highest part of the surface about the body's axis, metres."""
    top, height = surface.high[1], surface.high[1] - surface.low[1]
    points = surface.points[surface.points[:, 1] > top - _RIM * height]
    axis, z = surface.axis_x, 0.5 * (surface.low[2] + surface.high[2])
    radius = float(np.median(np.hypot(points[:, 0] - axis, points[:, 2] - z)))
    return np.array([axis, top, z]), radius


_PARTS: Mapping[str, Callable[[_Surface], PartFrame | None]] = {
    "body_axis": _body_axis,
    "long_axis": _long_axis,
    "opening": _opening,
    "rim": _rim,
    "handle": _handle,
    "lid_edge": _lid_edge,
}
