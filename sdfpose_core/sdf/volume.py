"""SDF volumes of fixed shapes: decoded once, then interpolated.

The network is evaluated on a grid around the surface when an object is detected. While the object
is tracked, values are interpolated from that grid with NumPy. For some hundred points this is
faster than the overhead of a tensor library.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sdfpose_core.errors import ShapeError
from sdfpose_core.sdf.meshing import GRID_HALF_SIDE, SdfGrid
from sdfpose_core.sdf.shape_decoder import ShapeDecoder, newton_direction

__all__ = ["SdfVolume", "SdfVolumes", "trilinear"]

_NORMAL_WEIGHT = 0.1
"""Object units per unit of difference between normals; separates the two sides of thin walls."""


@dataclass(frozen=True)
class SdfVolume:
    """SDF volume of a decoded shape, in object units.

    Attributes:
        resolution: cells R along each axis of the grid about the origin.
        values: ((R + 1)^3,) float32, signed distances at the grid's corners, z fastest.
        samples: (M, 3) float32, surface points.
        steps: (M, 3) float32, `newton_direction` at the samples.
        d_code: (M, D) float32, df/dcode at the samples.
    """

    resolution: int
    values: NDArray[np.float32]
    samples: NDArray[np.float32]
    steps: NDArray[np.float32]
    d_code: NDArray[np.float32]

    @cached_property
    def oriented(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Samples with weighted normals (6, M) and their squared lengths (M,)."""
        length = np.linalg.norm(self.steps, axis=1, keepdims=True)
        oriented = _oriented(self.samples.T[None], (self.steps / length).T[None])[0]
        return oriented, (oriented**2).sum(axis=0)

    @classmethod
    def of(cls, decoder: ShapeDecoder, code: Tensor, grid: SdfGrid, samples: Tensor) -> SdfVolume:
        """Create the volume of a latent code.

        Args:
            decoder: decoder of the category.
            code: (D,) latent code.
            grid: signed distance grid of the code.
            samples: (M, 3), object units, surface points.
        """
        with torch.no_grad():
            _, d_point, d_code = decoder.value_and_jacobian(samples[None], code[None])
        return cls(
            grid.resolution,
            grid.values.reshape(-1).cpu().numpy(),
            samples.cpu().numpy(),
            newton_direction(d_point[0]).cpu().numpy(),
            d_code[0].cpu().numpy(),
        )


class SdfVolumes:
    """Signed distances of B shapes.

    Values and gradients are interpolated trilinearly. Outside the grid, the distance from the grid
    is added. The derivative with respect to the code is taken from the nearest sample on the same
    side of the wall.

    Args:
        shapes: volumes with equal resolution and equal number of samples.

    Raises:
        ShapeError: the resolutions differ.
    """

    def __init__(self, shapes: Sequence[SdfVolume]) -> None:
        resolutions = {x.resolution for x in shapes}
        if len(resolutions) != 1:
            raise ShapeError(
                f"shapes have grids of {sorted(resolutions)} cells: expected one resolution"
            )
        (self._cells,) = resolutions
        line = self._cells + 1
        self._offsets = np.array(
            [[(i * line + j) * line + k] for i in (0, 1) for j in (0, 1) for k in (0, 1)]
        )
        self._shapes = shapes

    def value_and_gradient(
        self, points: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Interpolate f (B, N) and df/dpoints (B, 3, N) at points (B, 3, N).

        Raises:
            ShapeError: the points have the wrong shape.
        """
        if points.ndim != 3 or points.shape[:2] != (len(self._shapes), 3):
            raise ShapeError(
                f"points has shape {points.shape}: expected ({len(self._shapes)}, 3, N)"
            )
        per_unit = np.float32(self._cells / (2.0 * GRID_HALF_SIDE))
        inside = np.clip(points, np.float32(-GRID_HALF_SIDE), np.float32(GRID_HALF_SIDE))
        at = (inside + np.float32(GRID_HALF_SIDE)) * per_unit
        low = np.clip(at.astype(np.intp), 0, self._cells - 1)
        share_x, share_y, share_z = (at - low).astype(np.float32).transpose(1, 0, 2)
        line = self._cells + 1
        index = (low[:, 0] * line + low[:, 1]) * line + low[:, 2]
        corner = np.empty((8, *index.shape), dtype=np.float32)
        for i, shape in enumerate(self._shapes):
            corner[:, i] = shape.values.take(index[i] + self._offsets)
        value, gradient = trilinear(corner, share_x, share_y, share_z)
        gradient *= per_unit
        beyond = points - inside
        if beyond.any():
            far = np.sqrt((beyond**2).sum(axis=1))
            value += far
            away = beyond / np.maximum(far, np.float32(1e-9))[:, None]
            gradient = np.where(far[:, None] > 0.0, away, gradient)
        return value, gradient

    def d_code(
        self, points: NDArray[np.float32], gradient: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """df/dcodes (B, N, D) at points (B, 3, N) with gradients (B, 3, N)."""
        length = np.sqrt((gradient**2).sum(axis=1, keepdims=True))
        queries = _oriented(points, gradient / np.maximum(length, 1e-9)).transpose(0, 2, 1)
        d_codes = []
        for query, shape in zip(queries, self._shapes, strict=True):
            samples, squares = shape.oriented
            # |a - b|^2 without |a|^2, which is the same for all samples.
            distance = squares - 2.0 * query @ samples
            d_codes.append(shape.d_code[distance.argmin(axis=1)])
        return np.stack(d_codes)


def trilinear(
    corner: NDArray[np.float32],
    share_x: NDArray[np.float32],
    share_y: NDArray[np.float32],
    share_z: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Interpolate in cells, given the values at their corners.

    Args:
        corner: (8, B, N) values at the corners; the index counts along z first, then y, then x.
        share_x: (B, N) position along x within the cell, from 0 to 1.
        share_y: (B, N), along y.
        share_z: (B, N), along z.

    Returns:
        Values (B, N) and their derivatives (B, 3, N) per cell along x, y and z.
    """
    # Interpolate along z, then y, then x.
    d_z = corner[1::2] - corner[::2]
    along_z = corner[::2] + share_z * d_z
    d_y = along_z[1::2] - along_z[::2]
    along_y = along_z[::2] + share_y * d_y
    d_z = d_z[::2] + share_y * (d_z[1::2] - d_z[::2])
    d_x = along_y[1] - along_y[0]
    gradient = np.empty((len(d_x), 3, d_x.shape[1]), dtype=np.float32)
    gradient[:, 0] = d_x
    gradient[:, 1] = d_y[0] + share_x * (d_y[1] - d_y[0])
    gradient[:, 2] = d_z[0] + share_x * (d_z[1] - d_z[0])
    return along_y[0] + share_x * d_x, gradient


def _oriented(points: NDArray[np.float32], normals: NDArray[np.float32]) -> NDArray[np.float32]:
    """Append weighted normals (B, 3, N) to points (B, 3, N) as extra coordinates."""
    return np.concatenate([points, np.float32(_NORMAL_WEIGHT) * normals], axis=1)
