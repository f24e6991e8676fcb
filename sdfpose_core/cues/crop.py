"""What the colour network sees of an instance: a square crop, and its depth on a coarse grid."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sdfpose_core.errors import FrameError
from sdfpose_core.observation.colour_crop import ColourCrop, square_crop
from sdfpose_core.observation.frame import Instance

__all__ = ["CROP_SIDE", "GRID_SIDE", "CueCrop", "colour_crop_of"]

CROP_SIDE = 96
"""Rows and columns of the crop."""

GRID_SIDE = 24
"""Rows and columns of the depth grid."""

_MARGIN = 1.2
"""Side of the crop, in longer sides of the box around the instance's pixels."""

_DEPTH_RANGE = 1.5
"""Relative depth is limited to this."""


@dataclass(frozen=True)
class CueCrop:
    """Network input for one instance.

    Attributes:
        colour: (S, S, 3) uint8, RGB; black beyond the image.
        depth: (2, G, G) float32, of the same square: depth of the cell's points, relative to
            their median and in units of the instance's lateral size; and 1 where there are points.
    """

    colour: NDArray[np.uint8]
    depth: NDArray[np.float32]


def colour_crop_of(instance: Instance) -> CueCrop:
    """Crop the square around an instance.

    Args:
        instance: an instance with colour and at least one point.

    Raises:
        FrameError: the instance has no colour or no point, or its stored crop is damaged.
    """
    if instance.colour is None or len(instance.points) == 0:
        missing = "colour" if instance.colour is None else "points"
        raise FrameError(
            f"mask id {instance.mask_id} ({instance.category}) has no {missing}: expected a colour "
            "image and at least one point, which the colour network needs"
        )
    low, high = instance.pixels.min(axis=0), instance.pixels.max(axis=0) + 1
    side = int(np.ceil(_MARGIN * int((high - low).max()))) + 2
    left, top = (int(x) for x in (low + high - side) // 2)
    if isinstance(instance.colour, ColourCrop):
        stored = instance.colour
        part = square_crop(stored.decode(), left - stored.left, top - stored.top, side)
    else:
        part = square_crop(instance.colour, left, top, side)
    method = cv2.INTER_AREA if side > CROP_SIDE else cv2.INTER_LINEAR
    colour = cv2.resize(part, (CROP_SIDE, CROP_SIDE), interpolation=method)
    return CueCrop(np.asarray(colour, np.uint8), _depth_grid(instance, left, top, side))


def _depth_grid(instance: Instance, left: int, top: int, side: int) -> NDArray[np.float32]:
    """Relative depth and presence (2, G, G) of an instance's points."""
    cell = (instance.pixels - np.array([left, top])) * GRID_SIDE // side
    at = cell[:, 1] * GRID_SIDE + cell[:, 0]
    z = instance.points[:, 2].astype(np.float64)
    lateral = float(np.sqrt(instance.points[:, :2].var(axis=0).sum()))
    count = np.bincount(at, minlength=GRID_SIDE**2)
    total = np.bincount(at, z - instance.middle[2], minlength=GRID_SIDE**2)
    relative = total / np.maximum(count, 1) / max(4.0 * lateral, 1e-6)
    grid = np.stack([np.clip(relative, -_DEPTH_RANGE, _DEPTH_RANGE), count > 0])
    return grid.reshape(2, GRID_SIDE, GRID_SIDE).astype(np.float32)
