"""Pinhole camera.

The optical frame follows REP-103: z forward, x right, y down, metres. Pixel centres have integer
coordinates; a pixel is (u, v) = (column, row).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sdfpose_core.errors import FrameError

__all__ = ["PinholeCamera"]


_MIN_FOCAL, _MAX_PIXELS = 1e-3, 1e9
"""No camera has a smaller focal length or larger intrinsics, pixels; lengths would overflow."""


@dataclass(frozen=True)
class PinholeCamera:
    """Rectified pinhole camera without skew.

    Attributes:
        width, height: image size, pixels.
        fx, fy: focal lengths, pixels.
        cx, cy: principal point, pixels (pixel centres at integers).

    Raises:
        FrameError: the size or the focal lengths are not positive and finite, or an intrinsic is
            far too small or large to be in pixels.
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float

    def __post_init__(self) -> None:
        if self.width <= 0 or self.height <= 0:
            raise FrameError(
                f"camera size is {self.width}x{self.height}: expected a positive width and height"
            )
        numbers = (self.fx, self.fy, self.cx, self.cy)
        focal = self.fx, self.fy
        if not np.all(np.isfinite(numbers)) or min(focal) <= 0:
            raise FrameError(
                f"intrinsics fx={self.fx}, fy={self.fy}, cx={self.cx}, cy={self.cy} are invalid: "
                "expected finite values and positive focal lengths (is the camera calibrated?)"
            )
        if min(focal) < _MIN_FOCAL or max(map(abs, numbers)) > _MAX_PIXELS:
            raise FrameError(
                f"intrinsics fx={self.fx}, fy={self.fy}, cx={self.cx}, cy={self.cy} are of no "
                "camera: expected pixels"
            )

    @classmethod
    def from_matrix(cls, matrix: ArrayLike, width: int, height: int) -> PinholeCamera:
        """Create a camera from the 3x3 intrinsic matrix K, or the left 3x3 block of P.

        Raises:
            FrameError: the matrix is not 3x3 or its entries are invalid.
        """
        k = np.asarray(matrix, dtype=np.float64)
        if k.shape != (3, 3):
            raise FrameError(f"intrinsic matrix has shape {k.shape}: expected (3, 3)")
        return cls(width, height, float(k[0, 0]), float(k[1, 1]), float(k[0, 2]), float(k[1, 2]))

    @property
    def matrix(self) -> NDArray[np.float64]:
        """Intrinsic matrix K (3, 3)."""
        return np.array([[self.fx, 0.0, self.cx], [0.0, self.fy, self.cy], [0.0, 0.0, 1.0]])

    def project(self, points: NDArray[np.floating]) -> NDArray[np.floating]:
        """Project points (..., 3), metres, camera frame, z > 0, to pixels (..., 2) as (u, v)."""
        z = points[..., 2]
        u = points[..., 0] / z * self.fx + self.cx
        v = points[..., 1] / z * self.fy + self.cy
        return np.stack([u, v], axis=-1)

    def rays(self, pixels: NDArray[np.number]) -> NDArray[np.float32]:
        """Ray directions (..., 3) with z = 1, camera frame, through pixels (..., 2) as (u, v)."""
        pixels = np.asarray(pixels)
        rays = np.ones((*pixels.shape[:-1], 3), dtype=np.float32)
        rays[..., 0] = (pixels[..., 0] - self.cx) / self.fx
        rays[..., 1] = (pixels[..., 1] - self.cy) / self.fy
        return rays

    def pixel_grid(self) -> NDArray[np.int32]:
        """All pixels (height, width, 2) as (u, v)."""
        u, v = np.meshgrid(
            np.arange(self.width, dtype=np.int32), np.arange(self.height, dtype=np.int32)
        )
        return np.stack([u, v], axis=-1)

    def back_project(
        self, pixels: NDArray[np.number], depth: NDArray[np.floating]
    ) -> NDArray[np.float32]:
        """Back-project pixels (..., 2) with depth (...), metres, to camera points (..., 3)."""
        return self.rays(pixels) * np.asarray(depth, dtype=np.float32)[..., None]

    def crop(self, left: int, top: int, width: int, height: int) -> PinholeCamera:
        """Camera of the cropped image whose upper left pixel is (left, top)."""
        return PinholeCamera(width, height, self.fx, self.fy, self.cx - left, self.cy - top)

    def resize(self, width: int, height: int) -> PinholeCamera:
        """Camera of the image resized to width x height pixels."""
        sx, sy = width / self.width, height / self.height
        # A pixel covers [i - 0.5, i + 0.5]: the image border stays fixed, not the first centre.
        return PinholeCamera(
            width,
            height,
            self.fx * sx,
            self.fy * sy,
            (self.cx + 0.5) * sx - 0.5,
            (self.cy + 0.5) * sy - 0.5,
        )

    def contains(self, pixels: NDArray[np.number] | Sequence[float]) -> NDArray[np.bool_]:
        """Whether pixels (..., 2) as (u, v) lie inside the image."""
        p = np.asarray(pixels)
        u, v = p[..., 0], p[..., 1]
        return (u >= -0.5) & (v >= -0.5) & (u < self.width - 0.5) & (v < self.height - 0.5)
