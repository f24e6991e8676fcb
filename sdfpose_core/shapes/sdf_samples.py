"""SDF samples of a solid and their cache on disk."""

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
    "sample_oriented_surface",
    "sample_sdf",
    "sample_surface",
]

NEAR_SD = (0.003, 0.02)
"""Standard deviations of the two layers of near-surface samples, normalised units."""

BALL_RADIUS = 0.55
"""Radius of the ball of uniform samples, normalised units; shapes lie inside the ball of 0.5."""

BOUNDARY_DEPTH = 0.03
"""Maximum distance of boundary samples from the surface, normalised units."""

_SIGN_RAYS = 3
"""Number of rays whose majority decides whether a point is inside."""

_ON_SURFACE = 1e-4
"""Share of the points' extent. Nearer to the surface, rounding errors dominate the gradient."""


_RECIPE = 1
"""Version of the sampling. Increase it when `sample_sdf` changes with equal arguments."""

_RAY_START = 1e-2
"""Rays through a wall start this far below its surface, as a share of the maximum distance."""


class SampleCacheError(SdfposeError):
    """A sample cache cannot be written or read."""


@dataclass(frozen=True)
class SdfSamples:
    """Points with the signed distances and gradients of one shape.

    Attributes:
        points: (N, 3) float32, normalised object units (metres divided by the box's diagonal).
        sdf: (N,) float32, normalised units, negative inside.
        gradient: (N, 3) float32, unit vectors along the gradient of the signed distance.
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
        """Write a compressed ``.npz`` file atomically.

        Raises:
            SampleCacheError: the file cannot be written, e.g. because the disk is full.
        """
        content = io.BytesIO()
        np.savez_compressed(content, points=self.points, sdf=self.sdf, gradient=self.gradient)
        try:
            write_atomically(path, content.getvalue())
        except OSError as error:
            raise SampleCacheError(
                f"{path}: cannot be written ({error.strerror or error}): expected free space and "
                "write permission; free some space or choose another cache folder"
            ) from error

    @classmethod
    def load(cls, path: Path | str) -> SdfSamples:
        """Read a file written by `save`.

        Raises:
            SampleCacheError: the file is missing, damaged or of another kind.
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
                f"{path}: contains no SDF samples ({error}): expected a file written by "
                "SdfSamples.save; delete the file to create it again"
            ) from error


class SignedDistance:
    """Exact signed distance to a closed triangle mesh.

    Args:
        vertices: (V, 3), any unit.
        faces: (F, 3), a closed surface with any orientation.
    """

    def __init__(self, vertices: NDArray[np.floating], faces: NDArray[np.integer]) -> None:
        import open3d as o3d  # takes a second to import, and the pose node does not need it

        self._tensor = o3d.core.Tensor.from_numpy
        self._scene = o3d.t.geometry.RaycastingScene()
        self._scene.add_triangles(
            self._tensor(np.ascontiguousarray(vertices, dtype=np.float32)),
            self._tensor(np.ascontiguousarray(faces, dtype=np.uint32)),
        )

    def __call__(self, points: NDArray[np.floating], threads: int = 0) -> NDArray[np.float32]:
        """Compute signed distances (N,) float32, negative inside, in the unit of the vertices.

        Args:
            points: (N, 3), in the unit of the vertices.
            threads: number of CPU threads, 0 for all cores.
        """
        query = self._tensor(np.ascontiguousarray(points, dtype=np.float32))
        distance = self._scene.compute_signed_distance(query, nthreads=threads, nsamples=_SIGN_RAYS)
        return np.asarray(distance.numpy(), dtype=np.float32)

    def with_gradient(
        self, points: NDArray[np.floating], threads: int = 0
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Compute signed distances (N,) and gradients (N, 3), unit vectors.

        On the surface, the gradient is the normal of the nearest triangle. It points outwards if
        the mesh is oriented. Arguments are those of `__call__`.
        """
        query = np.ascontiguousarray(points, dtype=np.float32)
        tensor = self._tensor(query)
        nearest = self._scene.compute_closest_points(tensor, nthreads=threads)
        inside = self._scene.compute_occupancy(tensor, nthreads=threads, nsamples=_SIGN_RAYS)
        sign = 1.0 - 2.0 * inside.numpy()[:, None]
        away = (query - nearest["points"].numpy()) * sign
        length = np.linalg.norm(away, axis=1, keepdims=True)
        on_surface = length < _ON_SURFACE * float(np.abs(query).max(initial=1e-12))
        gradient = np.where(
            on_surface,
            nearest["primitive_normals"].numpy(),
            away / np.where(on_surface, 1.0, length),
        )
        distance = (sign * length)[:, 0]
        return distance.astype(np.float32), gradient.astype(np.float32)

    def wall(
        self,
        points: NDArray[np.floating],
        directions: NDArray[np.floating],
        at_most: float,
    ) -> NDArray[np.float64]:
        """Wall thickness (N,): distances from just below the surface to the other side.

        Args:
            points: (N, 3), on the surface.
            directions: (N, 3), unit vectors into the solid.
            at_most: upper limit of the distances, in the unit of the vertices.
        """
        rays = np.concatenate([points + _RAY_START * at_most * directions, directions], axis=1)
        hits = self._scene.cast_rays(self._tensor(rays.astype(np.float32)))
        return np.minimum(hits["t_hit"].numpy().astype(np.float64), at_most)


def sample_surface(
    vertices: NDArray[np.floating],
    faces: NDArray[np.integer],
    rng: np.random.Generator,
    count: int,
) -> NDArray[np.float64]:
    """Sample points (count, 3) uniformly from the surface of a mesh, in the unit of its vertices.

    Raises:
        MeshError: the mesh has no area.
    """
    return sample_oriented_surface(vertices, faces, rng, count)[0]


def sample_oriented_surface(
    vertices: NDArray[np.floating],
    faces: NDArray[np.integer],
    rng: np.random.Generator,
    count: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Sample a mesh like `sample_surface`.

    Returns:
        Points (count, 3), the unit normals (count, 3) of their faces, and the area of the mesh.

    Raises:
        MeshError: the mesh has no area.
    """
    corners = np.asarray(vertices, dtype=np.float64)[faces]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = 0.5 * np.linalg.norm(normal, axis=1)
    total = np.cumsum(area)
    if len(total) == 0 or not total[-1] > 0.0:
        raise MeshError(f"mesh of {len(faces)} faces has no area: expected a surface to sample")
    face = np.minimum(np.searchsorted(total, rng.uniform(0.0, total[-1], count)), len(faces) - 1)
    u, v = rng.uniform(size=(2, count, 1))
    outside = u + v > 1.0
    u, v = np.where(outside, 1.0 - u, u), np.where(outside, 1.0 - v, v)
    a, b, c = (corners[face, k] for k in range(3))
    normals = 0.5 * normal[face] / area[face, None]
    return np.asarray(a + u * (b - a) + v * (c - a)), normals, float(total[-1])


def sample_sdf(
    model: CadModel,
    rng: np.random.Generator,
    n_surface: int = 12_000,
    n_uniform: int = 5_000,
    n_boundary: int = 4_000,
    threads: int = 0,
) -> SdfSamples:
    """Sample the signed distance of a solid for the training of a decoder.

    The near-surface samples alternate between a narrow and a wide layer (`NEAR_SD`). The uniform
    samples fill the ball of `BALL_RADIUS`. The boundary samples alternate between both sides of
    the surface. The inner ones lie within the wall, so that even thin walls get points inside.

    Args:
        model: closed solid.
        rng: random number generator.
        n_surface: number of near-surface samples.
        n_uniform: number of uniform samples.
        n_boundary: number of samples on both sides of the surface.
        threads: number of CPU threads, 0 for all cores.

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
    """Return the samples of `sample_sdf`, from the cache in `folder` if present.

    The file name contains a digest of the geometry and the sampling parameters, so that a changed
    model never reuses an old file. The digest also seeds the random numbers.

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
    """Move surface points (N, 3), normalised units, off the surface, alternately out and in."""
    _, normal = exact.with_gradient(surface)
    outside = np.arange(len(surface)) % 2 == 0
    direction = np.where(outside[:, None], normal, -normal)
    room = np.where(outside, BOUNDARY_DEPTH, exact.wall(surface, -normal, BOUNDARY_DEPTH))
    return np.asarray(surface + (room * rng.random(len(surface)))[:, None] * direction)
