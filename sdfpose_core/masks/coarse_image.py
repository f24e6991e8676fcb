"""Every n-th pixel of masks and depth, for what needs no full resolution."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.masks.resolution import WORKING_PIXELS

__all__ = ["Box", "CoarseImage"]

Value = TypeVar("Value", bound=np.generic)

Box = tuple[slice, slice]
"""Rows and columns of a part of an image."""


@dataclass(frozen=True)
class CoarseImage:
    """The pixels in the middle of blocks of n x n pixels.

    Attributes:
        step: n, such that there are about `WORKING_PIXELS`.
        ids: (h, w), mask ids.
        depth: (h, w), metres, 0 = missing.
        camera: whose pixels these are.
    """

    step: int
    ids: NDArray[np.uint16]
    depth: NDArray[np.float32]
    camera: PinholeCamera

    @classmethod
    def of(
        cls, ids: NDArray[np.uint16], depth: NDArray[np.float32], camera: PinholeCamera
    ) -> CoarseImage:
        """Take the pixels of masks (H, W) and depth (H, W)."""
        step = min(max(1, round(math.sqrt(depth.size / WORKING_PIXELS))), *depth.shape)
        first = step // 2
        chosen = (slice(first, None, step), slice(first, None, step))
        height, width = depth[chosen].shape
        coarse = PinholeCamera(
            width,
            height,
            camera.fx / step,
            camera.fy / step,
            (camera.cx - first) / step,
            (camera.cy - first) / step,
        )
        return cls(step, ids[chosen].copy(), depth[chosen].copy(), coarse)

    def full_box(self, box: Box) -> Box:
        """Part of the full image whose pixels are nearest to those of a part of this one."""
        rows, columns = (
            slice(x.start * self.step, None if x.stop >= size else x.stop * self.step)
            for x, size in zip(box, self.depth.shape, strict=True)
        )
        return rows, columns

    def enlarged(self, part: NDArray[Value], shape: tuple[int, ...]) -> NDArray[Value]:
        """Values (h, w) of a part of this image at the pixels (H, W) of `full_box`."""
        rows, columns = (
            np.minimum(np.arange(n) // self.step, size - 1)
            for n, size in zip(shape, part.shape, strict=True)
        )
        return part[rows[:, None], columns]
