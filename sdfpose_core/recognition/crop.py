"""What the recognition network sees: the window around an instance, in metres and in colour."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from sdfpose_core.observation.colour_crop import ColourCrop, is_blank, square_crop
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

_LEAST_INSIDE = 0.5
"""A cell has a colour if more than this share of it is inside the image."""


def recognition_crop(instance: Instance) -> NDArray[np.float32]:
    """Crop (C, S, S) of the window around an instance.

    The channels are: the measured place relative to the object's middle, camera frame, in units of
    0.1 m (3); 1 where depth is known; 1 on the object's own pixels; the surface normal towards the
    camera (3); the height above the support plane in units of 0.1 m; 1 if there is a support plane;
    RGB from -1 to 1 (3); and 1 where colour is known. What is unknown is 0.

    Depth is that of each second cell of the window; colour is the mean over 2 x 2 of them. Colour
    is unknown beyond the image, and if the image shows nothing around the object (`is_blank`).

    Args:
        instance: an instance with at least one point.

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
    # The camera of a window of which nothing is known is that of no image.
    if instance.colour is not None and window.depth.any():
        crop[10:] = _colour(instance, instance.colour)
    return crop


def _colour(instance: Instance, image: NDArray[np.uint8] | ColourCrop) -> NDArray[np.float32]:
    """RGB of the window's cells, -1 to 1, and where it is known: (4, S, S)."""
    left, top, side = _window_square(instance)
    pixels = instance.pixels
    if isinstance(image, ColourCrop):
        left, top = left - image.left, top - image.top
        pixels = pixels - np.array([image.left, image.top])
        image = image.decode()
    if is_blank(image, pixels):
        return np.zeros((4, SIDE, SIDE), dtype=np.float32)
    part = square_crop(image, left, top, side)
    mean = cv2.resize(part, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    rows, columns = (
        _share_inside(first, side, length)
        for first, length in zip((top, left), image.shape[:2], strict=True)
    )
    inside = np.outer(rows, columns)[..., None]
    known = inside > _LEAST_INSIDE
    # What is beyond the image is black in the mean, and must not darken it.
    rgb = mean / np.where(known, inside, 1.0)
    values = np.where(known, np.minimum(rgb / 127.5, 2.0) - 1.0, 0.0)
    return np.concatenate([values, known], axis=2).transpose(2, 0, 1).astype(np.float32)


def _share_inside(first: int, side: int, length: int) -> NDArray[np.float64]:
    """Share (S,) of each cell along an axis that is inside an image of so many pixels."""
    edges = first + side / SIDE * np.arange(SIDE + 1)
    return np.diff(np.clip(edges, 0.0, length)) * (SIDE / side)


def _window_square(instance: Instance) -> tuple[int, int, int]:
    """Left, top and side of the window in pixels of the image.

    The window's camera sees the points at cells that are whole numbers of pixels apart.
    """
    window = instance.free.camera
    at = window.project(instance.points.astype(np.float64))
    spread = np.ptp(at, axis=0)
    axis = int(spread.argmax())
    step = instance.every
    if spread[axis] > 0.0:
        step = max(round(float(np.ptp(instance.pixels[:, axis]) / spread[axis])), 1)
    # The pixel that the first cell's ray goes through: whole, but for rounding.
    u, v = np.median(instance.pixels - step * at, axis=0).tolist()
    return round(u) - step // 2, round(v) - step // 2, step * window.width


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
