"""What the recognition network sees of an instance: the window around it, in metres."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.observation.frame import Instance

__all__ = ["CHANNELS", "SIDE", "recognition_crop"]

SIDE = 48
"""Rows and columns of the crop."""

CHANNELS = 10
"""Place (3), known depth, own pixels, normal (3), height, known support plane."""

_UNIT_M = 0.1
_RANGE = 3.0
"""Offsets from the object's middle and heights are limited to this, in units of 0.1 m."""


def recognition_crop(instance: Instance) -> NDArray[np.float32]:
    """Crop (C, S, S) of the window around an instance.

    The channels are: the measured place relative to the object's middle, camera frame, in units of
    0.1 m (3); 1 where depth is known; 1 on the object's own pixels; the surface normal towards the
    camera (3); the height above the support plane in units of 0.1 m; and 1 if there is a support
    plane. What is unknown is 0.
    """
    window = instance.free
    every = window.depth.shape[0] // SIDE
    v, u = (x.ravel() for x in np.mgrid[: SIDE * every : every, : SIDE * every : every])
    depth = window.depth[v, u]
    points = window.camera.back_project(np.stack([u, v], axis=-1), depth).astype(np.float32)
    known = (depth > 0.0).reshape(SIDE, SIDE)
    offset = (points - instance.middle.astype(np.float32)) / np.float32(_UNIT_M)
    crop = np.zeros((CHANNELS, SIDE, SIDE), dtype=np.float32)
    crop[:3] = _limited(offset).T.reshape(3, SIDE, SIDE)
    crop[3] = known
    crop[4] = (window.outside[v, u] == 0.0).reshape(SIDE, SIDE)
    crop[5:8] = _normals(points.reshape(SIDE, SIDE, 3), known)
    if instance.support is not None:
        height = instance.support.height(points) / _UNIT_M
        crop[8] = _limited(height).reshape(SIDE, SIDE)
        crop[9] = 1.0
    crop[:, ~known] *= np.isin(np.arange(CHANNELS), (4, 9))[:, None]
    return crop


def _limited(x: NDArray[np.floating]) -> NDArray[np.floating]:
    return np.clip(x, -_RANGE, _RANGE)


def _normals(points: NDArray[np.float32], known: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Normals (3, S, S) from the neighbours to both sides, 0 where one of them is unknown."""
    normals = np.zeros((3, *known.shape), dtype=np.float32)
    across = points[1:-1, 2:] - points[1:-1, :-2]
    down = points[2:, 1:-1] - points[:-2, 1:-1]
    normal = np.cross(down, across)
    length = np.linalg.norm(normal, axis=-1)
    usable = known[1:-1, 2:] & known[1:-1, :-2] & known[2:, 1:-1] & known[:-2, 1:-1]
    usable &= length > 0.0
    unit = normal / np.maximum(length, 1e-12)[..., None]
    normals[:, 1:-1, 1:-1] = np.where(usable, unit.transpose(2, 0, 1), 0.0)
    return normals
