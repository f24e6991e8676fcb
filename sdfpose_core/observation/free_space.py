"""Free space around an object: the space that the camera looked through.

It is stored as a coarse, square window of the depth image around the object's pixels. The space in
front of a measured depth is empty. An estimated surface that lies there is wrong; it has to move
along the ray or towards the object's pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sdfpose_core.geometry.camera import PinholeCamera

__all__ = ["FreeSpace", "free_space", "thinning"]

_CELLS = 96
"""Cells along each side of the window."""

_MARGIN_SHARE, _MARGIN_PX = 0.3, 8
"""Margin around the mask's box: a share of its longer side plus a number of pixels."""

_SLACK_PX = 6
"""The window may be narrower than box and margins by this much before its cells get coarser."""

_MIN_POINTS = 400
"""An object is subsampled only as long as about this many points remain."""

_TOLERANCE_PX = 2
"""Depth edges are ragged. Space this close to an edge gets the nearer depth, and space this close
to the object's pixels does not count as outside."""

_EDGE_SHARE = 0.05
"""Neighbouring depths that differ by this share form an edge."""

_STRIP_PX = 3
"""Width of the strip beside the object."""

_OCCLUDER_SHARE = 0.02
"""Depth that is nearer than the neighbouring object pixels by this share may occlude the object."""

_FAR_M = 1e3
"""Replaces missing depth in comparisons."""


@dataclass(frozen=True)
class FreeSpace:
    """Image window of G x G cells; each cell represents the ray through its centre.

    Attributes:
        depth: (G, G) float32, metres: the ray of the cell is free up to this depth, the nearest
            one measured around the cell; 0 = unknown.
        outside: (G, G) float32, distance from the object's pixels in cells, 0 on the object.
        camera: camera of the window, whose pixels are the cells.
        hidden: share, 0 to 1, of the object's outline beyond which the object may continue
            unseen, because of the image border, an occluder or missing depth.
    """

    depth: NDArray[np.float32]
    outside: NDArray[np.float32]
    camera: PinholeCamera
    hidden: float

    @classmethod
    def unknown(cls) -> FreeSpace:
        """Create a window in which no free space is known."""
        zeros = np.zeros((_CELLS, _CELLS), dtype=np.float32)
        return cls(zeros, zeros, PinholeCamera(_CELLS, _CELLS, 1.0, 1.0, 0.0, 0.0), 1.0)

    def ends(self) -> NDArray[np.float32]:
        """End points (M, 3), metres, camera frame, of the free rays around the object."""
        v, u = np.nonzero((self.outside > 0.0) & (self.depth > 0.0))
        return self.camera.back_project(np.stack([u, v], axis=-1), self.depth[v, u])


def thinning(side: int, count: int) -> int:
    """Choose the subsampling step for an object's rows and columns.

    The step does not exceed the cell size of the object's window.

    Args:
        side: longer side of the mask's box, pixels.
        count: number of mask pixels with depth; about `_MIN_POINTS` or more remain.
    """
    return max(1, min(_stride(side, _MARGIN_PX), math.isqrt(count // _MIN_POINTS)))


def _stride(side: int, margin: int) -> int:
    """Cell size in pixels; the window may be up to `_SLACK_PX` narrower than requested."""
    window = side + 2 * (math.ceil(_MARGIN_SHARE * side) + margin)
    return max(1, math.ceil((window - _SLACK_PX) / _CELLS))


def free_space(
    measured: NDArray[np.float32],
    camera: PinholeCamera,
    pixels: NDArray[np.int32],
    every: int = 1,
) -> FreeSpace:
    """Compute the free space around the pixels of an object.

    Args:
        measured: (H, W), depth image, metres, 0 = missing.
        camera: camera of the depth image.
        pixels: (N, 2), (u, v) of the object's measured points.
        every: subsampling step; every n-th row and column is used, and `pixels` lie on those.
    """
    if len(pixels) == 0:
        return FreeSpace.unknown()
    if every > 1:
        measured, pixels = measured[::every, ::every], pixels // every
        camera = PinholeCamera(
            measured.shape[1],
            measured.shape[0],
            *(x / every for x in (camera.fx, camera.fy, camera.cx, camera.cy)),
        )
    tolerance, strip = (max(1, round(x / every)) for x in (_TOLERANCE_PX, _STRIP_PX))
    x, y, width, height = cv2.boundingRect(np.ascontiguousarray(pixels))
    stride = _stride(max(width, height), _MARGIN_PX // every)
    count = stride * _CELLS
    left, top = (2 * x + width - count) // 2, (2 * y + height - count) // 2
    canvas = np.zeros((count, count), dtype=np.float32)
    rows, columns = slice(max(top, 0), top + count), slice(max(left, 0), left + count)
    part = measured[rows, columns]
    inside = (slice(rows.start - top, rows.start - top + part.shape[0]),
              slice(columns.start - left, columns.start - left + part.shape[1]))  # fmt: skip
    canvas[inside] = part
    background = np.ones((count, count), dtype=np.uint8)
    background[pixels[:, 1] - top, pixels[:, 0] - left] = 0
    distance = cv2.distanceTransform(background, cv2.DIST_L2, cv2.DIST_MASK_5)
    beside = np.flatnonzero((distance > tolerance) & (distance <= tolerance + strip))
    # Compare with the mean depth of the object's pixels nearby.
    kernel = (2 * (tolerance + strip) + 1,) * 2
    own = (background == 0).astype(np.float32)
    own_depth = cv2.boxFilter(own * canvas, -1, kernel, normalize=False).ravel()[beside]
    own_count = cv2.boxFilter(own, -1, kernel, normalize=False).ravel()[beside]
    hidden = canvas.ravel()[beside] * own_count < (1.0 - _OCCLUDER_SHARE) * own_depth
    size = 2 * (tolerance + stride // 2) + 1
    nearest = cv2.erode(
        np.where(canvas > 0.0, canvas, np.float32(_FAR_M)), np.ones((size, size), dtype=np.uint8)
    )
    cells = (slice(stride // 2, None, stride),) * 2
    canvas, nearest = canvas[cells], nearest[cells]
    outside = np.maximum(distance[cells] - np.float32(tolerance), np.float32(0.0))
    # Use the nearest depth on the object and at depth edges only; a sloped table is not an edge.
    use_nearest = (outside == 0.0) | (canvas - nearest > _EDGE_SHARE * canvas)
    return FreeSpace(
        np.where(use_nearest & (canvas > 0.0), nearest, canvas),
        outside / np.float32(stride),
        PinholeCamera(
            _CELLS,
            _CELLS,
            camera.fx / stride,
            camera.fy / stride,
            (camera.cx - left - stride // 2) / stride,
            (camera.cy - top - stride // 2) / stride,
        ),
        float(hidden.mean()),
    )
