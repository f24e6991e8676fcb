"""What the recognition network sees: the window around an instance, in metres and in colour."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from sdfpose_core.observation.colour_crop import ColourCrop, square_crop
from sdfpose_core.observation.frame import Instance

__all__ = ["CHANNELS", "SIDE", "recognition_crop"]

SIDE = 48
"""Rows and columns of the crop."""

CHANNELS = 14
"""Place (3), known depth, own pixels, normal (3), height, known support plane, colour (3), known
colour."""

_UNIT_M = 0.1
_RANGE = 3.0
"""Offsets from the object's middle and heights are limited to this, in units of 0.1 m."""


def recognition_crop(instance: Instance) -> NDArray[np.float32]:
    """Crop (C, S, S) of the window around an instance.

    The channels are: the measured place relative to the object's middle, camera frame, in units of
    0.1 m (3); 1 where depth is known; 1 on the object's own pixels; the surface normal towards the
    camera (3); the height above the support plane in units of 0.1 m; 1 if there is a support plane;
    RGB from -1 to 1 (3); and 1 where colour is known. What is unknown is 0.

    Raises:
        FrameError: a stored colour crop is damaged.
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
    crop[:9, ~known] *= (np.arange(9) == 4)[:, None]
    if instance.colour is not None and len(instance.points):
        crop[10:] = _colour(instance, instance.colour)
    return crop


def _colour(instance: Instance, image: NDArray[np.uint8] | ColourCrop) -> NDArray[np.float32]:
    """RGB of the window's cells, -1 to 1, and where it is known: (4, S, S)."""
    left, top, side = _window_square(instance)
    if isinstance(image, ColourCrop):
        stored, image = image, image.decode()
        left, top = left - stored.left, top - stored.top
    inside = np.full((*image.shape[:2], 1), 255, dtype=np.uint8)
    parts = [square_crop(x, left, top, side) for x in (image, np.repeat(inside, 3, axis=2))]
    colour, known = (
        cv2.resize(x, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32) for x in parts
    )
    there = known[..., :1] > _MOSTLY
    values = np.where(there, colour / np.float32(127.5) - 1.0, 0.0)
    return np.concatenate([values, there], axis=2).transpose(2, 0, 1).astype(np.float32)


def _window_square(instance: Instance) -> tuple[int, int, int]:
    """Left, top and side of the window in pixels of the image.

    The window's camera sees the points at cells that are whole numbers of pixels apart.
    """
    window = instance.free.camera
    at = window.project(instance.points.astype(np.float64))
    spread = np.ptp(at, axis=0)
    axis = int(spread.argmax())
    step = 1
    if spread[axis] > 0.0:
        step = max(round(float(np.ptp(instance.pixels[:, axis]) / spread[axis])), 1)
    corner = np.median(instance.pixels - step * at, axis=0) - 0.5 * (step - 1)
    left, top = (round(float(x)) for x in corner)
    return left, top, step * window.width


_MOSTLY = 127.0
"""A cell has a colour if more than half of it is inside the image, of 255."""


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
