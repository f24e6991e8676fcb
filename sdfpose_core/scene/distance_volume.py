"""Distances from a decoded shape: interpolated on and around it, bounded far away.

A decoder's values far from the surface are off by some per cent, and beyond the ball of its
training they mean nothing. So a volume is made once for each shape, from the decoder near the
surface and from Euclidean distances to the surface elsewhere.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree
from torch import Tensor

from sdfpose_core.device import all_threads
from sdfpose_core.errors import ShapeError
from sdfpose_core.sdf.meshing import GRID_HALF_SIDE, mesh_from_grid, signed_distance_grid
from sdfpose_core.sdf.shape_decoder import ShapeDecoder
from sdfpose_core.sdf.volume import trilinear
from sdfpose_core.shapes.sdf_samples import sample_surface

__all__ = ["SHAPE_RADIUS", "DistanceVolume", "DistanceVolumes"]

SHAPE_RADIUS = 0.5
"""Shapes lie inside the ball of this radius about the origin, object units..."""

_DECODED_SLACK = 0.02
"""...decoded ones may stand out by this much."""

_CELLS = 64
"""Cells along each axis of the grid from which the mesh is made."""

_WIDE_CELLS, _WIDE_HALF_SIDE = 48, 1.5 * GRID_HALF_SIDE
"""The same of the wide grid, whose cells are twice as long."""

_RADIUS = 0.75
"""Radius of the ball in which values are interpolated, object units. The cells that it touches lie
within the wide grid."""

_LEVELS = ((64, 0.07), (128, 0.02))
"""Cells of ever finer grids around the shape, and the distance from the surface, object units, up
to which their corners are decoded. Farther away the distance is little curved, and the coarser
level is interpolated. Walls may be as thin as two of the last cells."""

_CENTRE = (slice((_WIDE_CELLS - _CELLS // 2) // 2, (_WIDE_CELLS - _CELLS // 2) // -2),) * 3
"""The corners of the wide grid that are every second one of the grid of the mesh."""

_SURFACE_SAMPLES = 20_000

_CAPACITY = 24
"""Number of shapes in the cache, of 9 MB each."""

Array = NDArray[np.float32]


@dataclass(frozen=True)
class _Grid:
    """Values at the corners of a regular grid about the origin, z fastest.

    Attributes:
        half_side: object units.
        values: (R + 1, R + 1, R + 1) float32.
    """

    half_side: float
    values: Array

    def at(self, points: Array) -> tuple[Array, Array]:
        """Interpolate the values (N,) and gradients (3, N) at points (3, N) inside the grid."""
        line = len(self.values)
        per_unit = np.float32((line - 1) / (2.0 * self.half_side))
        at = (points + np.float32(self.half_side)) * per_unit
        low = np.clip(at.astype(np.int32), 0, line - 2)
        index = (low[0] * line + low[1]) * line + low[2]
        flat = self.values.reshape(-1)
        corner = np.stack(
            [
                flat.take(index + ((i * line + j) * line + k))
                for i in (0, 1)
                for j in (0, 1)
                for k in (0, 1)
            ]
        )[:, None]
        value, gradient = trilinear(corner, *(at - low).astype(np.float32)[:, None])
        return value[0], per_unit * gradient[0]


class DistanceVolume:
    """Signed distances from one decoded shape, anywhere.

    Inside the ball of radius 0.75, values are interpolated. Outside, a lower bound is given that is
    nearly the distance: see `beyond_ball`.

    Args:
        decoder: decoder of the category.
        code: (D,) latent code.

    Raises:
        MeshError: the code has no surface.
    """

    def __init__(self, decoder: ShapeDecoder, code: Tensor) -> None:
        self._decoder = decoder
        self._code = code.detach()
        with all_threads(), torch.no_grad():
            grid = signed_distance_grid(decoder, self._code, _CELLS)
            mesh = mesh_from_grid(grid, decoder, self._code, with_normals=False)
            inside = grid.values[::2, ::2, ::2].cpu().numpy() < 0.0
            samples = sample_surface(
                mesh.vertices, mesh.faces, np.random.default_rng(0), _SURFACE_SAMPLES
            )
            self._wide = _wide_grid(np.concatenate([samples, mesh.vertices]), inside)
            self._fine = self._fine_grid()
        low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
        self._centre, self._half = 0.5 * (low + high)[:, None], 0.5 * (high - low)[:, None]

    def __call__(self, points: NDArray[np.floating]) -> tuple[Array, Array]:
        """Compute signed distances (N,), object units, and their unit gradients (N, 3).

        The gradient is 0 where it is undefined, such as on the medial axis.

        Args:
            points: (N, 3), object units.

        Raises:
            ShapeError: the points have the wrong shape.
        """
        if points.ndim != 2 or points.shape[1] != 3:
            raise ShapeError(f"points has shape {points.shape}: expected (N, 3)")
        value, gradient = self._interpolated(np.ascontiguousarray(points.T, dtype=np.float32))
        return value, gradient.T

    def _interpolated(self, points: Array) -> tuple[Array, Array]:
        """Distances (N,) and gradients (3, N) at points (3, N): rows are faster than columns."""
        length = _length(points)
        far = np.flatnonzero(length > _RADIUS)
        nearest = points.copy()
        nearest[:, far] *= _RADIUS / length[far]
        value, gradient = np.empty_like(length), np.empty_like(points)
        box = (np.abs(nearest) <= np.float32(GRID_HALF_SIDE)).all(axis=0)
        for grid, chosen in ((self._fine, box), (self._wide, ~box)):
            at = np.flatnonzero(chosen)
            value[at], gradient[:, at] = grid.at(nearest[:, at])
        gradient = _unit(gradient)
        if len(far):
            # The direction is that from the surface, not that from the point on the ball.
            surface = nearest[:, far] - value[far] * gradient[:, far]
            gradient[:, far] = _unit(points[:, far] - surface)
            value[far] = beyond_ball(value[far], length[far] - np.float32(_RADIUS))
        outside = self.box_distance(points)
        return np.where(outside > 0.0, np.maximum(value, outside), value), gradient

    def box_distance(self, points: Array) -> Array:
        """Distances (N,) of points (3, N), object units, from the shape's bounding box; 0 inside.

        They are a lower bound of the distances from the shape.
        """
        return _length(np.maximum(np.abs(points - self._centre) - self._half, np.float32(0.0)))

    def _fine_grid(self) -> _Grid:
        """The grid around the shape: decoded near the surface, else as the wide grid is."""
        values = self._wide.values[_CENTRE]
        for cells, band in _LEVELS:
            values = ndimage.zoom(values, (cells + 1) / len(values), order=1)
            near = np.argwhere(np.abs(values) < band)
            points = (near * (2.0 * GRID_HALF_SIDE / cells) - GRID_HALF_SIDE).astype(np.float32)
            at = torch.from_numpy(points).to(self._code.device)
            values[tuple(near.T)] = self._decoder(at[None], self._code[None])[0].cpu().numpy()
        return _Grid(GRID_HALF_SIDE, values)


class DistanceVolumes:
    """A cache of volumes. Threads may share it."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, bytes], DistanceVolume] = OrderedDict()
        self._lock = Lock()

    def of(self, category: str, decoder: ShapeDecoder, code: NDArray[np.float32]) -> DistanceVolume:
        """The volume of a code (D,), made when it is first asked for.

        Args:
            category: name of the decoder's category.
            decoder: its decoder.
            code: latent code.

        Raises:
            MeshError: the code has no surface.
        """
        key = (category, code.tobytes())
        with self._lock:
            volume = self._known.get(key)
            if volume is None:
                volume = DistanceVolume(decoder, torch.from_numpy(code).to(decoder.device))
            self._known[key] = volume
            self._known.move_to_end(key)
            if len(self._known) > _CAPACITY:
                self._known.popitem(last=False)
        return volume


def beyond_ball(distance: Array, beyond: Array, radius: float = _RADIUS) -> Array:
    """Lower bound of the distance from a shape at points outside a ball.

    Let q be the point of the ball of radius R next to p = q + e q / R, D its distance from the
    shape, and s the shape's point next to p. Then ``|p - s|^2 = e^2 + |q - s|^2 + 2 e (q - s) . q /
    R``, in which ``|q - s| >= D``, and ``2 (q - s) . q = |q - s|^2 + R^2 - |s|^2`` with ``|s| <=
    r``, the radius of the shape. So ``|p - s|^2 >= e^2 + D^2 + (D^2 + R^2 - r^2) e / R``. This is
    exact where s is on the sphere of radius r.

    Args:
        distance: (N,) D, object units.
        beyond: (N,) e, distance of the points from the ball, object units.
        radius: R, larger than that of the shape.
    """
    square = distance**2
    outer = SHAPE_RADIUS + _DECODED_SLACK
    along = square + (radius**2 - outer**2)
    return np.asarray(np.sqrt(beyond**2 + square + along * beyond / radius))


def _wide_grid(surface: NDArray[np.floating], inside: NDArray[np.bool_]) -> _Grid:
    """The wide grid of Euclidean distances to surface points (M, 3), with their sign."""
    axis = np.linspace(-_WIDE_HALF_SIDE, _WIDE_HALF_SIDE, _WIDE_CELLS + 1)
    corners = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1)
    length = np.linalg.norm(corners, axis=-1)
    values = length - SHAPE_RADIUS  # corners of cells that are never read
    used = length <= _WIDE_HALF_SIDE
    values[used] = cKDTree(surface).query(corners[used], workers=torch.get_num_threads())[0]
    values[_CENTRE] *= np.where(inside, -1.0, 1.0)
    return _Grid(_WIDE_HALF_SIDE, values.astype(np.float32))


def _length(vectors: Array) -> Array:
    """Lengths (N,) of vectors (3, N)."""
    x, y, z = vectors
    return np.asarray(np.sqrt(x * x + y * y + z * z))


def _unit(vectors: Array) -> Array:
    return vectors / np.maximum(_length(vectors), np.float32(1e-9))
