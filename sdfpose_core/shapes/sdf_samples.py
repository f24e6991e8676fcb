"""Samples of a solid's signed distance, and their cache on disk."""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.errors import MeshError, SdfposeError, ShapeError
from sdfpose_core.shapes.model import CadModel
from sdfpose_core.storage.files import write_atomically

__all__ = [
    "SampleCacheError",
    "SdfSamples",
    "SignedDistance",
    "cached_samples",
    "sample_sdf",
    "sample_surface",
]

NEAR_SD = (0.003, 0.02)
"""Widths (standard deviation, normalised units) of the two layers of near-surface samples."""

BALL_RADIUS = 0.55
"""Uniform samples fill this ball, normalised units; a shape lies inside the ball of 0.5."""

BOUNDARY_DEPTH = 0.03
"""Samples of the occupancy boundary lie this far from the surface at most, normalised units."""

_SIGN_RAYS = 3
"""The inside is decided by the majority of this many rays."""

_TOUCHING = 1e-4
"""Of the points' extent: nearer to the surface, the direction from it is rounding noise."""


_RECIPE = 1
"""To be raised when `sample_sdf` changes in what its arguments do not tell."""

_LIFT = 1e-2
"""Of the longest distance: rays through a wall start this far below its surface."""


class SampleCacheError(SdfposeError):
    """A cache of samples that cannot be written or read."""


@dataclass(frozen=True)
class SdfSamples:
    """Points and their signed distance to one shape.

    Attributes:
        points: (N, 3) float32, normalised object units (metres over the box's diagonal).
        sdf: (N,) float32, normalised units, negative inside.
        gradient: (N, 3) float32, the signed distance's gradient: unit vectors away from the
            nearest point of the surface.
    """

    points: NDArray[np.float32]
    sdf: NDArray[np.float32]
    gradient: NDArray[np.float32]

    def __post_init__(self) -> None:
        n = len(self.points)
        shapes = self.points.shape, self.sdf.shape, self.gradient.shape
        if shapes != ((n, 3), (n,), (n, 3)):
            raise ShapeError(
                f"points, sdf and gradient have shapes {shapes}: expected (N, 3), (N,), (N, 3)"
            )

    def save(self, path: Path | str) -> None:
        """Write a compressed ``.npz``: the whole file appears at once, or nothing does.

        Raises:
            SampleCacheError: the file cannot be written, e.g. because the disk is full.
        """
        content = io.BytesIO()
        np.savez_compressed(content, points=self.points, sdf=self.sdf, gradient=self.gradient)
        try:
            write_atomically(path, content.getvalue())
        except OSError as error:
            raise SampleCacheError(
                f"{path}: cannot be written ({error.strerror or error}): expected room and write "
                "permission there; free space or choose another cache folder"
            ) from error

    @classmethod
    def load(cls, path: Path | str) -> SdfSamples:
        """Read what `save` wrote.

        Raises:
            SampleCacheError: the file is missing, damaged or holds something else.
        """
        path = Path(path)
        try:
            with np.load(path, allow_pickle=False) as arrays:
                return cls(
                    np.asarray(arrays["points"], dtype=np.float32),
                    np.asarray(arrays["sdf"], dtype=np.float32),
                    np.asarray(arrays["gradient"], dtype=np.float32),
                )
        except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise SampleCacheError(
                f"{path}: holds no SDF samples ({error}): expected a file written by "
                "SdfSamples.save; delete it to have it made again"
            ) from error


class SignedDistance:
    """Exact signed distance to a closed triangle mesh.

    Args:
        vertices: (V, 3), any unit.
        faces: (F, 3), a closed surface. Their orientation does not matter.
    """

    def __init__(self, vertices: NDArray[np.floating], faces: NDArray[np.integer]) -> None:
        import open3d as o3d  # here: it takes a second, and the pose node does without

        self._tensor = o3d.core.Tensor.from_numpy
        self._scene = o3d.t.geometry.RaycastingScene()
        self._scene.add_triangles(
            self._tensor(np.ascontiguousarray(vertices, dtype=np.float32)),
            self._tensor(np.ascontiguousarray(faces, dtype=np.uint32)),
        )

    def __call__(self, points: NDArray[np.floating], threads: int = 0) -> NDArray[np.float32]:
        """Signed distance (N,) float32, negative inside, of points (N, 3) in the mesh's unit.

        Args:
            points: (N, 3), in the unit of the vertices.
            threads: of the computation; 0 for all cores.
        """
        query = self._tensor(np.ascontiguousarray(points, dtype=np.float32))
        distance = self._scene.compute_signed_distance(query, nthreads=threads, nsamples=_SIGN_RAYS)
        return np.asarray(distance.numpy(), dtype=np.float32)

    def with_gradient(
        self, points: NDArray[np.floating], threads: int = 0
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Signed distance (N,) and its gradient (N, 3), unit vectors; arguments as above.

        On the surface itself the gradient is the normal of the nearest triangle, which points
        outward where the mesh is oriented.
        """
        query = np.ascontiguousarray(points, dtype=np.float32)
        tensor = self._tensor(query)
        nearest = self._scene.compute_closest_points(tensor, nthreads=threads)
        inside = self._scene.compute_occupancy(tensor, nthreads=threads, nsamples=_SIGN_RAYS)
        sign = 1.0 - 2.0 * inside.numpy()[:, None]
        away = (query - nearest["points"].numpy()) * sign
        length = np.linalg.norm(away, axis=1, keepdims=True)
        touching = length < _TOUCHING * float(np.abs(query).max(initial=1e-12))
        gradient = np.where(
            touching, nearest["primitive_normals"].numpy(), away / np.where(touching, 1.0, length)
        )
        distance = (sign * length)[:, 0]
        return distance.astype(np.float32), gradient.astype(np.float32)

    def wall(
        self,
        points: NDArray[np.floating],
        directions: NDArray[np.floating],
        at_most: float,
    ) -> NDArray[np.float64]:
        """Distances (N,) from just below surface points (N, 3) to the other side of the wall.

        Args:
            points: (N, 3), on the surface.
            directions: (N, 3), unit vectors into the solid.
            at_most: where distances are cut off, in the unit of the vertices.
        """
        rays = np.concatenate([points + _LIFT * at_most * directions, directions], axis=1)
        hits = self._scene.cast_rays(self._tensor(rays.astype(np.float32)))
        return np.minimum(hits["t_hit"].numpy().astype(np.float64), at_most)


def sample_surface(
    vertices: NDArray[np.floating],
    faces: NDArray[np.integer],
    rng: np.random.Generator,
    count: int,
) -> NDArray[np.float64]:
    """Points (count, 3) drawn evenly from the area of a mesh, in the unit of its vertices.

    Raises:
        MeshError: the mesh has no area.
    """
    corners = np.asarray(vertices, dtype=np.float64)[faces]
    area = 0.5 * np.linalg.norm(
        np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1
    )
    total = np.cumsum(area)
    if len(total) == 0 or not total[-1] > 0.0:
        raise MeshError(f"mesh of {len(faces)} faces has no area: expected a surface to sample")
    pick = np.minimum(np.searchsorted(total, rng.uniform(0.0, total[-1], count)), len(faces) - 1)
    u, v = rng.uniform(size=(2, count, 1))
    beyond = u + v > 1.0
    u, v = np.where(beyond, 1.0 - u, u), np.where(beyond, 1.0 - v, v)
    a, b, c = (corners[pick, k] for k in range(3))
    return np.asarray(a + u * (b - a) + v * (c - a))


def sample_sdf(
    model: CadModel,
    rng: np.random.Generator,
    n_surface: int = 12_000,
    n_uniform: int = 5_000,
    n_boundary: int = 4_000,
    threads: int = 0,
) -> SdfSamples:
    """Sample the signed distance of a solid for the training of a decoder.

    Half of the near-surface samples lie within the narrow layer that decides where the surface
    is, half within the wide one (`NEAR_SD`). The uniform samples fill the ball of `BALL_RADIUS`.
    The boundary samples lie on both sides of the surface by turns, the inner ones between it and
    the opposite side of the wall, so that the thinnest wall has its share of points inside.

    Args:
        model: a closed solid.
        rng: source of the points.
        n_surface: number of near-surface samples.
        n_uniform: number of uniform samples.
        n_boundary: number of samples of the occupancy boundary.
        threads: of the computation; 0 for all cores.

    Returns:
        `n_surface + n_uniform + n_boundary` samples in random order.

    Raises:
        MeshError: the model has no faces or no area.
    """
    if len(model.faces) == 0:
        raise MeshError(f"{model.name}: has no faces: expected a closed surface")
    vertices = model.normalised_vertices
    exact = SignedDistance(vertices, model.faces)
    near = sample_surface(vertices, model.faces, rng, n_surface)
    width = np.where(np.arange(n_surface) % 2 == 0, *NEAR_SD)[:, None]
    near += width * rng.normal(size=near.shape)
    direction = rng.normal(size=(n_uniform, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    ball = BALL_RADIUS * direction * rng.uniform(size=(n_uniform, 1)) ** (1.0 / 3.0)
    boundary = _boundary_points(exact, sample_surface(vertices, model.faces, rng, n_boundary), rng)
    points = rng.permutation(np.concatenate([near, ball, boundary])).astype(np.float32)
    sdf, gradient = exact.with_gradient(points, threads=threads)
    return SdfSamples(points, sdf, gradient)


def cached_samples(
    model: CadModel, folder: Path, n_surface: int, n_uniform: int, n_boundary: int
) -> SdfSamples:
    """The samples of `sample_sdf`, from a file in `folder` where it was made before.

    The file's name holds a digest of the model's geometry and of everything that decides on the
    samples, so that a file never stands for a model that has changed. The model also decides on
    the random numbers.

    Raises:
        MeshError: the model has no faces or no area.
        SampleCacheError: the file cannot be written, e.g. because the disk is full.
    """
    layout = NEAR_SD, BALL_RADIUS, BOUNDARY_DEPTH, n_surface, n_uniform, n_boundary
    digest = hashlib.sha256(repr((_RECIPE, layout)).encode())
    digest.update(np.ascontiguousarray(model.vertices, dtype=np.float64).tobytes())
    digest.update(np.ascontiguousarray(model.faces, dtype=np.int32).tobytes())
    path = folder / f"{model.name.replace('/', '.')}-{digest.hexdigest()[:16]}.npz"
    if path.exists():
        return SdfSamples.load(path)
    rng = np.random.default_rng(list(digest.digest()))
    samples = sample_sdf(model, rng, n_surface, n_uniform, n_boundary)
    samples.save(path)
    return samples


def _boundary_points(
    exact: SignedDistance, surface: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Points (N, 3) off surface points (N, 3), normalised units: outside and inside by turns."""
    _, normal = exact.with_gradient(surface)
    outside = np.arange(len(surface)) % 2 == 0
    direction = np.where(outside[:, None], normal, -normal)
    room = np.where(outside, BOUNDARY_DEPTH, exact.wall(surface, -normal, BOUNDARY_DEPTH))
    return np.asarray(surface + (room * rng.random(len(surface)))[:, None] * direction)
