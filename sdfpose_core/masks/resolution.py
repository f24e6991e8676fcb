"""Between the resolution of the image and that of the mask network.

Labels are enlarged along the edges of the image: where the labels around a pixel differ, it takes
that of the coarse pixel that resembles it most in depth and colour (joint bilateral upsampling,
Kopf et al., SIGGRAPH 2007, for labels).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from sdfpose_core.geometry.camera import PinholeCamera

__all__ = ["WORKING_PIXELS", "enlarged", "reduced", "working_camera"]

WORKING_PIXELS = 320 * 240
"""Number of pixels that the network sees of any image."""

_MOST_ENLARGED = 2.0
"""Small images are enlarged at most by this factor."""

_DEPTH = 0.01
"""Relative difference of depth that counts as much as a distance of one coarse pixel."""

_MOST_DEPTH = 3.0
"""Limit of the difference of depth in these units: depth is noisy at edges."""

_UNKNOWN_DEPTH = 1.0
"""Difference of depth, in these units, to a pixel without."""

_COLOUR = 60.0
"""Difference of colour, 0 to 255, that counts as much as a distance of one coarse pixel."""


def working_camera(camera: PinholeCamera) -> PinholeCamera:
    """Camera with the same view, about `WORKING_PIXELS` pixels, and even width and height."""
    scale = min(math.sqrt(WORKING_PIXELS / (camera.width * camera.height)), _MOST_ENLARGED)
    width, height = (max(2 * round(0.5 * scale * x), 2) for x in (camera.width, camera.height))
    return camera.resize(width, height)


def reduced(
    colour: NDArray[np.uint8], depth: NDArray[np.float32], width: int, height: int
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Resample colour (H, W, 3) and depth (H, W), metres, to another size.

    Depth is that of the pixel in the middle: a mean would lie between the surfaces at an edge.
    """
    large = width > depth.shape[1]
    method = cv2.INTER_LINEAR if large else cv2.INTER_AREA
    image = np.asarray(cv2.resize(colour, (width, height), interpolation=method), dtype=np.uint8)
    rows, columns = _middles(depth.shape, (height, width))
    return image, np.ascontiguousarray(depth[rows[:, None], columns])


def enlarged(
    labels: NDArray[np.int32], depth: NDArray[np.float32], colour: NDArray[np.uint8]
) -> NDArray[np.int32]:
    """Resample labels to the size of an image, along its edges.

    Args:
        labels: (h, w), 0 = background, of the same view.
        depth: (H, W), metres, 0 = missing.
        colour: (H, W, 3), RGB.

    Returns:
        (H, W) labels.
    """
    if labels.shape[0] >= depth.shape[0]:
        rows, columns = _middles(labels.shape, depth.shape)
        return labels[rows[:, None], columns]
    middles = _middles(depth.shape, labels.shape)
    sides = [_neighbours(*x) for x in zip(depth.shape, labels.shape, strict=True)]
    corners = [(y, x) for y in sides[0] for x in sides[1]]
    around = [labels[y[0][:, None], x[0]] for y, x in corners]
    mixed = np.zeros(depth.shape, dtype=np.bool_)
    for other in around[1:]:
        mixed |= other != around[0]
    v, u = np.nonzero(mixed)
    z, rgb = depth[v, u], colour[v, u].astype(np.float32)
    best = np.full(len(v), np.inf, dtype=np.float32)
    chosen = np.zeros(len(v), dtype=np.int32)
    for (y, x), label in zip(corners, around, strict=True):
        at = middles[0][y[0][v]], middles[1][x[0][u]]
        cost = np.hypot(y[1][v], x[1][u]) + _depth_difference(z, depth[at])
        cost += np.abs(rgb - colour[at]).mean(axis=1) / np.float32(_COLOUR)
        better = cost < best
        best[better] = cost[better]
        chosen[better] = label[v[better], u[better]]
    out = around[0]
    out[v, u] = chosen
    return out


def _middles(size: Sequence[int], coarse: Sequence[int]) -> list[NDArray[np.intp]]:
    """Row and column of the pixel at the middle of each of `coarse` rows and columns."""
    return [
        np.minimum(((np.arange(n) + 0.5) * full / n).astype(np.intp), full - 1)
        for full, n in zip(size, coarse, strict=True)
    ]


def _neighbours(size: int, coarse: int) -> list[tuple[NDArray[np.intp], NDArray[np.float32]]]:
    """Coarse pixels before and after each of `size` pixels, and the distances to them."""
    place = (np.arange(size) + 0.5) * coarse / size - 0.5
    before = np.floor(place).astype(np.intp)
    return [
        (np.clip(x, 0, coarse - 1), np.abs(place - x).astype(np.float32))
        for x in (before, before + 1)
    ]


def _depth_difference(
    first: NDArray[np.float32], second: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Difference (N,) of depths (N,), limited, in units of `_DEPTH`."""
    nearer = np.minimum(first, second)
    relative = np.abs(first - second) / np.maximum(nearer, np.float32(1e-3))
    limited = np.minimum(relative / np.float32(_DEPTH), np.float32(_MOST_DEPTH))
    return np.where(nearer > 0.0, limited, np.float32(_UNKNOWN_DEPTH))
