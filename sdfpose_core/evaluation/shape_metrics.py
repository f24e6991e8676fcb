"""Metrics of the distance between a reconstructed and the true surface."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import open3d as o3d
from numpy.typing import NDArray

from sdfpose_core.evaluation.surfaces import Surface

__all__ = [
    "FSCORE_DISTANCE",
    "SAMPLES",
    "ShapeErrors",
    "compare_surfaces",
    "surface_distance",
    "volume_iou",
]

SAMPLES = 30_000
"""Number of points sampled on each surface."""

FSCORE_DISTANCE = 0.01
"""Distance to the other surface at which a point counts as correct, diagonals."""

_OCCUPANCY_POINTS = 60_000


@dataclass(frozen=True)
class ShapeErrors:
    """Agreement of two surfaces, in normalised object units (diagonal 1).

    Attributes:
        chamfer: mean of the two directed mean distances from samples of one surface to the
            other surface (Chamfer-L1).
        fscore: harmonic mean of the shares of samples within `FSCORE_DISTANCE` of the other
            surface (Knapitsch et al., "Tanks and Temples", SIGGRAPH 2017), 0 to 1.
        normal_consistency: mean of |n . n'| over samples of both surfaces and their nearest points
            (Mescheder et al., "Occupancy Networks", CVPR 2019), 0 to 1.
    """

    chamfer: float
    fscore: float
    normal_consistency: float


def compare_surfaces(
    found: Surface, true: Surface, rng: np.random.Generator, samples: int = SAMPLES
) -> ShapeErrors:
    """Compute the errors of a surface; both surfaces are in normalised object units.

    Args:
        found: reconstructed surface.
        true: true surface.
        rng: random generator of the samples.
        samples: number of points sampled on each surface, uniformly by area.

    Raises:
        MeshError: one of the surfaces has no area.
    """
    distances, cosines = [], []
    for here, there in ((found, true), (true, found)):
        points = here.sample(rng, samples)
        distance, normal = there.nearest(points)
        # The normal of the sample itself, from the triangle it lies on.
        _, own = here.nearest(points)
        distances.append(distance)
        cosines.append(np.abs(np.einsum("ij,ij->i", own, normal)))
    precision, recall = (float(np.mean(d < FSCORE_DISTANCE)) for d in distances)
    return ShapeErrors(
        chamfer=float(np.mean([d.mean() for d in distances])),
        fscore=2.0 * precision * recall / max(precision + recall, 1e-12),
        normal_consistency=float(np.mean([c.mean() for c in cosines])),
    )


def surface_distance(
    found: Surface, true: Surface, rng: np.random.Generator, samples: int = SAMPLES
) -> float:
    """Compute only the Chamfer distance, in the unit of the surfaces; see `compare_surfaces`."""
    there, _ = true.nearest(found.sample(rng, samples))
    back, _ = found.nearest(true.sample(rng, samples))
    return float(0.5 * (there.mean() + back.mean()))


def volume_iou(found: Surface, true: Surface, rng: np.random.Generator) -> float:
    """Estimate the intersection over union of the volumes of two closed surfaces, 0 to 1.

    Uses `_OCCUPANCY_POINTS` points in the common bounding box.
    """
    corners = np.concatenate([found.vertices, true.vertices])
    points = rng.uniform(corners.min(axis=0), corners.max(axis=0), size=(_OCCUPANCY_POINTS, 3))
    a, b = _inside(found, points), _inside(true, points)
    return float(np.sum(a & b)) / max(float(np.sum(a | b)), 1.0)


def _inside(surface: Surface, points: NDArray[np.float64]) -> NDArray[np.bool_]:
    query = o3d.core.Tensor.from_numpy(points.astype(np.float32))
    return np.asarray(surface.rays.compute_occupancy(query, nsamples=3).numpy() > 0.5)
