"""The free space around an object: what its camera looked through.

A part of the image around the object's pixels, coarse and square, with what was measured behind
it. Whatever lies before a measured depth is empty; so an estimated surface that does is wrong, and
the way out is along the ray or towards the object's pixels.
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
"""Along each side of the window."""

_MARGIN_SHARE, _MARGIN_PX = 0.3, 8
"""The window reaches so far beyond the mask's box: a share of the box's longer side, and pixels."""

_SLACK_PX = 6
"""A window may be so much narrower than its margins want it, before its cells get coarser."""

_FEWEST_POINTS = 400
"""Of an object that is looked at on every so many rows and columns alone."""

_TOLERANCE_PX = 2
"""Edges in depth are ragged: space so near one counts as the nearer side of it, and what is so
near the object's pixels is none of the outside."""

_EDGE_SHARE = 0.05
"""Neighbouring depths that differ by this share make an edge."""

_BESIDE_PX = 3
"""Width of the strip beside the object."""

_OCCLUDER_SHARE = 0.02
"""What is nearer than the object's pixels about it by this share of their depth may hide more of
it."""

_FAR_M = 1e3
"""Stands for missing depth in comparisons."""


@dataclass(frozen=True)
class FreeSpace:
    """A window of the image, G x G cells; a cell stands for the ray through its centre.

    Attributes:
        depth: (G, G) float32, metres: what was measured nearest to the camera about the cell,
            before which its ray is free; 0 where nothing is known.
        outside: (G, G) float32, cells: distance from the object's pixels, 0 on them.
        camera: of the window: its pixels are the cells.
        hidden: share, 0 to 1, of the object's outline beside which it may go on unseen: there is
            the image's border, something nearer, or nothing was measured.
    """

    depth: NDArray[np.float32]
    outside: NDArray[np.float32]
    camera: PinholeCamera
    hidden: float

    @classmethod
    def unknown(cls) -> FreeSpace:
        """Nothing was looked through."""
        nothing = np.zeros((_CELLS, _CELLS), dtype=np.float32)
        return cls(nothing, nothing, PinholeCamera(_CELLS, _CELLS, 1.0, 1.0, 0.0, 0.0), 1.0)

    def ends(self) -> NDArray[np.float32]:
        """Points (M, 3), metres, camera frame, around the object, before which rays are free."""
        v, u = np.nonzero((self.outside > 0.0) & (self.depth > 0.0))
        return self.camera.back_project(np.stack([u, v], axis=-1), self.depth[v, u])


def thinning(side: int, count: int) -> int:
    """Every how many rows and columns suffice for an object, as its window is no finer.

    Args:
        side: of the box of its pixels, the longer one.
        count: of its pixels with depth; about `_FEWEST_POINTS` of them stay, or more.
    """
    return max(1, min(_stride(side, _MARGIN_PX), math.isqrt(count // _FEWEST_POINTS)))


def _stride(side: int, margin: int) -> int:
    """Pixels of a cell, of which a window may lack a few at its border."""
    reach = side + 2 * (math.ceil(_MARGIN_SHARE * side) + margin)
    return max(1, math.ceil((reach - _SLACK_PX) / _CELLS))


def free_space(
    measured: NDArray[np.float32],
    camera: PinholeCamera,
    pixels: NDArray[np.int32],
    every: int = 1,
) -> FreeSpace:
    """The window around the pixels of an object.

    Args:
        measured: (H, W), metres, 0 = missing.
        camera: that of the depth image.
        pixels: (N, 2), (u, v) of the object's measured points.
        every: of so many rows and columns one is looked at; the pixels are on those.
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
    tolerance, strip = (max(1, round(x / every)) for x in (_TOLERANCE_PX, _BESIDE_PX))
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
    elsewhere = np.ones((count, count), dtype=np.uint8)
    elsewhere[pixels[:, 1] - top, pixels[:, 0] - left] = 0
    distance = cv2.distanceTransform(elsewhere, cv2.DIST_L2, cv2.DIST_MASK_5)
    beside = np.flatnonzero((distance > tolerance) & (distance <= tolerance + strip))
    # Of the object, as near as it is: the mean of its depth about each pixel.
    near = (2 * (tolerance + strip) + 1,) * 2
    own = (elsewhere == 0).astype(np.float32)
    own_depth = cv2.boxFilter(own * canvas, -1, near, normalize=False).ravel()[beside]
    own_count = cv2.boxFilter(own, -1, near, normalize=False).ravel()[beside]
    hidden = canvas.ravel()[beside] * own_count < (1.0 - _OCCLUDER_SHARE) * own_depth
    size = 2 * (tolerance + stride // 2) + 1
    nearest = cv2.erode(
        np.where(canvas > 0.0, canvas, np.float32(_FAR_M)), np.ones((size, size), dtype=np.uint8)
    )
    cells = (slice(stride // 2, None, stride),) * 2
    canvas, nearest = canvas[cells], nearest[cells]
    outside = np.maximum(distance[cells] - np.float32(tolerance), np.float32(0.0))
    # On the object, and at edges of what is in front of it; a table's slope is no edge.
    blurred = (outside == 0.0) | (canvas - nearest > _EDGE_SHARE * canvas)
    return FreeSpace(
        np.where(blurred & (canvas > 0.0), nearest, canvas),
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
