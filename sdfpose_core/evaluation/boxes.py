"""Exact intersection over union of batches of oriented 3D boxes.

The intersection of two boxes is bounded by their twelve planes. Its volume is computed from its
edges only (Lasserre 1983, "An analytical expression and an algorithm for the volume of a convex
polyhedron in R^n", applied twice):

    volume = 1/3 sum_i h_i area_i            over the planes,       h_i: distance from the origin
    area_i = 1/2 sum_j d_ij length_ij        over the plane's edges, d_ij: distance within plane i
    d_ij   = (h_j - h_i cos_ij) / sin_ij     cos_ij = n_i . n_j

An edge is the intersection line of two planes, clipped by the slabs of both boxes. The computation
is a fixed number of array operations on 60 lines (two planes of one box are parallel) and 6 slabs.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["OrientedBox", "oriented_iou", "symmetric_iou"]

_YAW_STEPS = 36
"""Rotations about y that `symmetric_iou` tries; a half turn maps a box to itself."""

_SNAP = 1e-9
"""Entries of the relative rotation this close to 0 are set to 0: planes that are parallel up to
rounding errors would intersect in a line at an arbitrary position."""

_GROWTH = 1e-12
"""One box grows by this fraction of its size, so that only one of two coincident planes counts."""

_CHUNK = 4096
"""Pairs of boxes per batch, about 60 MB."""


@dataclass(frozen=True)
class OrientedBox:
    """A box, or a batch of boxes.

    Attributes:
        rotation: (..., 3, 3), box to camera frame.
        translation: (..., 3), centre, metres.
        dimensions_m: (..., 3), sides along the box's x, y and z, metres.
    """

    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]
    dimensions_m: NDArray[np.float64]

    @property
    def volume(self) -> NDArray[np.float64]:
        """Volume (...), cubic metres."""
        return np.prod(np.asarray(self.dimensions_m, dtype=np.float64), axis=-1)


def oriented_iou(a: OrientedBox, b: OrientedBox) -> NDArray[np.float64]:
    """Compute the intersection over union (...), 0 to 1, of boxes; batches broadcast.

    The IoU of a box without volume is 0. NaN in the input gives NaN, which exceeds no threshold.
    """
    shape = np.broadcast_shapes(
        *(np.shape(x.rotation)[:-2] for x in (a, b)),
        *(np.shape(x.translation)[:-1] for x in (a, b)),
        *(np.shape(x.dimensions_m)[:-1] for x in (a, b)),
    )
    rotation_a, half_a, centre_a = _flat(a, shape)
    rotation_b, half_b, centre_b = _flat(b, shape)
    overlap = np.empty(len(half_a))
    for start in range(0, len(half_a), _CHUNK):
        part = slice(start, start + _CHUNK)
        overlap[part] = _intersection(
            np.swapaxes(rotation_a[part], -1, -2) @ rotation_b[part],
            ((centre_b[part] - centre_a[part])[:, None] @ rotation_a[part])[:, 0],
            half_a[part],
            half_b[part],
        )
    overlap = np.minimum(overlap.reshape(shape), np.minimum(a.volume, b.volume))
    union = a.volume + b.volume - overlap
    with np.errstate(invalid="ignore"):
        ratio = overlap / np.where(union == 0.0, 1.0, union)
    return np.asarray(np.clip(ratio, 0.0, 1.0))


def symmetric_iou(
    a: OrientedBox, b: OrientedBox, yaw_steps: int = _YAW_STEPS
) -> NDArray[np.float64]:
    """Compute the maximum `oriented_iou` (...) over rotations of `a` about its own y axis.

    Use this for objects that are symmetric about y. A half turn maps a box to itself, so the steps
    divide a half turn: 36 steps are 5 degrees apart.
    """
    yaw = np.arange(yaw_steps) * (np.pi / yaw_steps)
    turns = np.zeros((yaw_steps, 3, 3))
    turns[:, 0, 0] = turns[:, 2, 2] = np.cos(yaw)
    turns[:, 0, 2] = np.sin(yaw)
    turns[:, 2, 0] = -np.sin(yaw)
    turns[:, 1, 1] = 1.0
    turned = OrientedBox(
        np.asarray(a.rotation)[..., None, :, :] @ turns,
        np.asarray(a.translation)[..., None, :],
        np.asarray(a.dimensions_m)[..., None, :],
    )
    fixed = OrientedBox(
        np.asarray(b.rotation)[..., None, :, :],
        np.asarray(b.translation)[..., None, :],
        np.asarray(b.dimensions_m)[..., None, :],
    )
    return np.asarray(oriented_iou(turned, fixed).max(axis=-1))


def _flat(
    box: OrientedBox, shape: tuple[int, ...]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return rotations (N, 3, 3), half sides (N, 3) and centres (N, 3), broadcast to `shape`."""

    def spread(array: ArrayLike, inner: tuple[int, ...]) -> NDArray[np.float64]:
        values = np.asarray(array, dtype=np.float64)
        return np.broadcast_to(values, (*shape, *inner)).reshape(-1, *inner)

    return (
        spread(box.rotation, (3, 3)),
        0.5 * spread(box.dimensions_m, (3,)),
        spread(box.translation, (3,)),
    )


# Planes 0 to 5 belong to box a (x+, x-, y+, y-, z+, z-), planes 6 to 11 to box b.
_PAIRS = np.array([(i, j) for i, j in combinations(range(12), 2) if i // 2 != j // 2])
_FIRST, _SECOND = _PAIRS[:, 0], _PAIRS[:, 1]

# Slabs 0 to 2 belong to box a, 3 to 5 to box b. A line is not clipped by the slabs it bounds.
_FREE = np.array([[k not in (i // 2, j // 2) for k in range(6)] for i, j in _PAIRS])


def _intersection(
    rotation: NDArray[np.float64],
    centre: NDArray[np.float64],
    half_a: NDArray[np.float64],
    half_b: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Compute the intersection volume (N,) of boxes a, axis-aligned at the origin, and b.

    Args:
        rotation: (N, 3, 3), box b to box a.
        centre: (N, 3), centre of b in the frame of a.
        half_a: (N, 3), half sides of a.
        half_b: (N, 3), half sides of b.
    """
    # Scale by the larger box, so that the tolerances are relative.
    unit = np.maximum(half_a.max(axis=-1), half_b.max(axis=-1))[:, None]
    unit = np.where(unit > 0.0, unit, 1.0)
    half_a, half_b, centre = half_a / unit, half_b / unit + _GROWTH, centre / unit
    rotation = np.where(np.abs(rotation) < _SNAP, 0.0, rotation)

    normal_a = np.broadcast_to(np.eye(3), rotation.shape)
    normal_b = np.swapaxes(rotation, -1, -2)
    offset_b = (normal_b @ centre[..., None])[..., 0]
    normals = np.repeat(np.concatenate([normal_a, normal_b], axis=1), 2, axis=1)
    normals[:, 1::2] *= -1.0
    heights = np.empty((len(rotation), 12))
    heights[:, 0:6:2] = heights[:, 1:6:2] = half_a
    heights[:, 6::2], heights[:, 7::2] = half_b + offset_b, half_b - offset_b

    n_i, n_j = normals[:, _FIRST], normals[:, _SECOND]
    h_i, h_j = heights[:, _FIRST], heights[:, _SECOND]
    direction = np.cross(n_i, n_j)
    cosine = (n_i * n_j).sum(axis=-1)
    sine_sq = (direction * direction).sum(axis=-1)
    meet = sine_sq > _SNAP**2
    sine = np.sqrt(np.where(meet, sine_sq, 1.0))
    direction = direction / sine[..., None]
    # In this form, the terms of nearly parallel planes cancel before the division.
    one_minus_cosine = np.where(cosine > 0.0, sine_sq / (1.0 + np.abs(cosine)), 1.0 - cosine)
    d_ij = ((h_j - h_i) + h_i * one_minus_cosine) / sine
    within_i = (n_j - cosine[..., None] * n_i) / sine[..., None]
    point = h_i[..., None] * n_i + d_ij[..., None] * within_i
    length = np.where(meet, _clipped_length(point, direction, rotation, centre, half_a, half_b), 0)

    # h_i d_ij + h_j d_ji
    weight = (2.0 * h_i * h_j * one_minus_cosine - cosine * (h_i - h_j) ** 2) / sine
    volume = (length * weight).sum(axis=-1) / 6.0
    return np.asarray(np.maximum(volume, 0.0) * unit[:, 0] ** 3)


def _clipped_length(
    point: NDArray[np.float64],
    direction: NDArray[np.float64],
    rotation: NDArray[np.float64],
    centre: NDArray[np.float64],
    half_a: NDArray[np.float64],
    half_b: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Compute the lengths (N, 60) of the lines, clipped by the slabs that they do not bound."""
    p = np.concatenate([point, (point - centre[:, None]) @ rotation], axis=-1)
    d = np.concatenate([direction, direction @ rotation], axis=-1)
    h = np.concatenate([half_a, half_b], axis=-1)[:, None]
    parallel = np.abs(d) < _SNAP
    safe = np.where(parallel, 1.0, d)
    enter, leave = (-np.sign(safe) * h - p) / safe, (np.sign(safe) * h - p) / safe
    outside = np.where(np.abs(p) > h, np.inf, -np.inf)
    enter = np.where(_FREE, np.where(parallel, outside, enter), -np.inf)
    leave = np.where(_FREE, np.where(parallel, -outside, leave), np.inf)
    with np.errstate(invalid="ignore"):
        return np.maximum(leave.min(axis=-1) - enter.max(axis=-1), 0.0)
