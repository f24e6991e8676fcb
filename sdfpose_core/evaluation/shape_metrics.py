"""How far a reconstructed surface is from the true one."""

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
"""Points drawn from each surface."""

FSCORE_DISTANCE = 0.01
"""Of the diagonal: a point this near to the other surface counts as right."""

_OCCUPANCY_POINTS = 60_000


@dataclass(frozen=True)
class ShapeErrors:
    """Agreement of two surfaces, in the unit of the normalised object (diagonal 1).

    Attributes:
        chamfer: mean of the two directed mean distances from samples of one surface to the
            other surface (Chamfer-L1).
        fscore: harmonic mean of the shares of samples within `FSCORE_DISTANCE` of the other
            surface (Knapitsch et al., "Tanks and Temples", SIGGRAPH 2017), 0 to 1.
        normal_consistency: mean of |n . n'| over samples of both surfaces and what is nearest to
            them (Mescheder et al., "Occupancy Networks", CVPR 2019), 0 to 1.
    """

    chamfer: float
    fscore: float
    normal_consistency: float


def compare_surfaces(
    found: Surface, true: Surface, rng: np.random.Generator, samples: int = SAMPLES
) -> ShapeErrors:
    """Errors of a surface, both in normalised object units.

    Args:
        found: the reconstruction.
        true: what it should be.
        rng: source of the samples.
        samples: drawn from each of the two, evenly by area.

    Raises:
        MeshError: one of the two has no area.
    """
    distances, cosines = [], []
    for here, there in ((found, true), (true, found)):
        points = here.sample(rng, samples)
        distance, normal = there.nearest(points)
        # A sample may lie on an edge: its own normal is that of the triangle it comes from.
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
    """The Chamfer distance alone, in the unit of the surfaces; see `compare_surfaces`."""
    there, _ = true.nearest(found.sample(rng, samples))
    back, _ = found.nearest(true.sample(rng, samples))
    return float(0.5 * (there.mean() + back.mean()))


def volume_iou(found: Surface, true: Surface, rng: np.random.Generator) -> float:
    """Intersection over union of the insides of two closed surfaces, 0 to 1.

    Found from `_OCCUPANCY_POINTS` points in the box of both.
    """
    corners = np.concatenate([found.vertices, true.vertices])
    points = rng.uniform(corners.min(axis=0), corners.max(axis=0), size=(_OCCUPANCY_POINTS, 3))
    a, b = _inside(found, points), _inside(true, points)
    return float(np.sum(a & b)) / max(float(np.sum(a | b)), 1.0)


def _inside(surface: Surface, points: NDArray[np.float64]) -> NDArray[np.bool_]:
    query = o3d.core.Tensor.from_numpy(points.astype(np.float32))
    return np.asarray(surface.rays.compute_occupancy(query, nsamples=3).numpy() > 0.5)
