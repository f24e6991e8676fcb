"""Antipodal pairs of contacts on a decoded surface.

Two contacts hold an object, with soft fingers, if the line between them lies in both friction cones
(Nguyen, "Constructing force-closure grasps", IJRR 1988).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.grasping.gripper import Gripper
from sdfpose_core.scene.scene import PosedShape
from sdfpose_core.shapes.sdf_samples import sample_oriented_surface

__all__ = ["ContactPairs", "antipodal_pairs"]

_SAMPLES = 500
"""Surface points from which lines start..."""

_LINES = 3
"""...in this many directions each: against the normal, and askew."""

_ASKEW = 0.6
"""Largest angle of a line to the normal, in friction angles."""

_STEP_M = 0.001
"""Distance of the samples of a line. Walls are thicker."""

_RINGS = (0.15, 0.35)
"""Distances from the contact of the points that stand for a finger's pad, in finger widths. The
true contact may be there, as a pose is off by some millimetres."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class ContactPairs:
    """Pairs of contacts.

    Attributes:
        first: (N, 3), metres, scene frame.
        second: (N, 3).
        margin: (N,) how far the contacts are from slipping: 1 if both normals are along the line
            between the contacts, 0 if one is on its friction cone. The mean over the fingers' pads
            counts as much as the centre.
    """

    first: Array
    second: Array
    margin: Array

    def __len__(self) -> int:
        return len(self.margin)

    @property
    def width(self) -> Array:
        """(N,) distances between the contacts, metres."""
        return np.asarray(np.linalg.norm(self.second - self.first, axis=1))

    @property
    def axis(self) -> Array:
        """(N, 3) unit vectors from the first contact to the second."""
        return np.asarray((self.second - self.first) / self.width[:, None])

    def __getitem__(self, chosen: NDArray[np.integer] | NDArray[np.bool_]) -> ContactPairs:
        return ContactPairs(self.first[chosen], self.second[chosen], self.margin[chosen])


def antipodal_pairs(
    shape: PosedShape, vertices: NDArray[np.floating], faces: NDArray[np.integer], gripper: Gripper
) -> ContactPairs:
    """Find pairs of contacts that the gripper can reach around, as far as the shape tells.

    Lines start at points of the surface and go inward. Every place where one leaves the shape is a
    second contact: through a wall, or through the whole object. The same shape always gives the
    same pairs.

    Args:
        shape: the shape in the scene.
        vertices: (V, 3), metres, scene frame: its surface.
        faces: (F, 3).
        gripper: gripper.

    Raises:
        MeshError: the mesh has no area.
    """
    rng = np.random.default_rng(0)
    points, normals, _ = sample_oriented_surface(vertices, faces, rng, _SAMPLES)
    start = np.repeat(points.astype(np.float64), _LINES, axis=0)
    direction = -_askew(np.repeat(normals.astype(np.float64), _LINES, axis=0), rng, gripper)
    line, distance = _exits(shape, start, direction, gripper.max_grasp_m)
    first, direction = start[line], direction[line]
    second = first + distance[:, None] * direction
    centre = np.maximum(
        _cone_share(shape, first, -direction, gripper),
        _cone_share(shape, second, direction, gripper),
    )
    kept = centre < 1.0
    first, second, direction, centre = (x[kept] for x in (first, second, direction, centre))
    if not len(first):
        return ContactPairs(first, second, centre)
    pads = [
        _cone_share(shape, contact + ring * gripper.finger_width_m * side, outward, gripper)
        for contact, outward in ((first, -direction), (second, direction))
        for side in _sides(direction)
        for ring in _RINGS
    ]
    beside = np.clip(np.stack(pads), 0.0, 2.0).mean(axis=0)
    margin = np.clip(1.0 - 0.5 * (centre + beside), 0.0, 1.0)
    return ContactPairs(first, second, margin)


def _askew(normals: Array, rng: np.random.Generator, gripper: Gripper) -> Array:
    """Tilt the normals (N, 3) at random, except the first of each `_LINES`."""
    tilt = rng.normal(size=normals.shape)
    tilt -= (tilt * normals).sum(axis=1, keepdims=True) * normals
    tilt /= np.maximum(np.linalg.norm(tilt, axis=1, keepdims=True), 1e-9)
    angle = rng.uniform(0.0, _ASKEW * gripper.friction_angle, len(normals))
    angle[::_LINES] = 0.0
    return np.asarray(np.cos(angle)[:, None] * normals + np.sin(angle)[:, None] * tilt)


def _exits(
    shape: PosedShape, start: Array, direction: Array, longest_m: float
) -> tuple[NDArray[np.intp], Array]:
    """Where lines leave the shape: (E,) indices of the lines, and (E,) distances, metres."""
    steps = np.arange(0.5 * _STEP_M, longest_m + _STEP_M, _STEP_M)
    points = start[:, None] + steps[:, None] * direction[:, None]
    value = shape.signed_distance(shape.to_object(points.reshape(-1, 3)))[0]
    value = value.reshape(len(start), -1).astype(np.float64)
    line, at = np.nonzero((value[:, :-1] < 0.0) & (value[:, 1:] >= 0.0))
    before, after = value[line, at], value[line, at + 1]
    distance = steps[at] + _STEP_M * before / (before - after)
    kept = distance <= longest_m
    return line[kept], distance[kept]


def _cone_share(shape: PosedShape, points: Array, outward: Array, gripper: Gripper) -> Array:
    """Angles (N,) between the surface's normals and the lines, in friction angles.

    Args:
        shape: the shape in the scene.
        points: (N, 3) near the surface, which is looked for along the lines.
        outward: (N, 3) unit vectors along the lines, out of the shape.
        gripper: provides the friction.
    """
    value, gradient = shape.signed_distance(shape.to_object(points))
    slope = np.maximum((gradient * outward).sum(axis=1), 0.3)
    moved = points - np.clip(value / slope, -0.01, 0.01)[:, None] * outward
    _, gradient = shape.signed_distance(shape.to_object(moved))
    cosine = np.clip((gradient * outward).sum(axis=1), -1.0, 1.0)
    return np.asarray(np.arccos(cosine) / gripper.friction_angle, dtype=np.float64)


def _sides(direction: Array) -> list[Array]:
    """Four unit vectors (N, 3) across each direction (N, 3)."""
    helper = np.eye(3)[np.abs(direction).argmin(axis=1)]
    across = np.cross(direction, helper)
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    other = np.cross(direction, across)
    return [across, -across, other, -other]
