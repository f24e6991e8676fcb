"""Half turns that map a shape onto itself: discrete symmetries as in BOP (Hodan et al., 2018)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from sdfpose_core.shapes.sdf_samples import sample_oriented_surface

__all__ = ["discrete_symmetries", "up_to_yaw"]

_HALF_TURNS = np.stack([np.diag(x) for x in ((1.0, -1, -1), (-1.0, 1, -1), (-1.0, -1, 1))])
"""(3, 3, 3): about x, y and z."""

_MEAN = 0.01
"""Largest mean distance between a symmetric shape and its turned copy, in diagonals: 2 mm for a
mug. That is the noise of one pixel of an RGB-D camera, and as much as a shape that was decoded from
one view is off by itself; so no camera decides between the two poses."""

_REST, _LARGEST = 0.05, 0.025
"""All but this share of the surface may be off by this many diagonals at most. A pull tab is less
than that; a handle, a lens or the mouth of a vessel is more."""

_SAMPLES = 2000
"""Samples that stand for the surface..."""

_QUERIES = 300
"""...and those that are turned."""

_NEIGHBOURS = 4
"""At an edge or in a thin wall, the nearest sample may belong to another face."""


def discrete_symmetries(
    vertices: NDArray[np.floating], faces: NDArray[np.integer]
) -> NDArray[np.float64]:
    """Find the half turns about the axes through the box's centre that leave a surface as it is.

    Args:
        vertices: (V, 3), in any unit, object frame.
        faces: (F, 3).

    Returns:
        (S, 3, 3) rotations, at most one about each of x, y and z, in this order; without the
        identity.

    Raises:
        MeshError: the mesh has no area.
    """
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    diagonal = float(np.linalg.norm(high - low))
    points, normals, area = sample_oriented_surface(
        (vertices - 0.5 * (low + high)) / diagonal, faces, np.random.default_rng(0), _SAMPLES
    )
    radius = np.sqrt(area / _SAMPLES)  # of the disc that a sample stands for
    turned = points[:_QUERIES] @ _HALF_TURNS  # a half turn is its own transpose
    distance, nearest = cKDTree(points).query(turned, _NEIGHBOURS)
    offset = turned[:, :, None] - points[nearest]
    along = np.abs((offset * normals[nearest]).sum(axis=-1))
    across = np.sqrt(np.maximum(distance**2 - along**2, 0.0))
    gap = np.hypot(along, np.maximum(across - radius, 0.0)).min(axis=-1)
    alike = (gap.mean(axis=1) < _MEAN) & (np.quantile(gap, 1.0 - _REST, axis=1) < _LARGEST)
    return _HALF_TURNS[alike]


def up_to_yaw(symmetries: NDArray[np.float64]) -> NDArray[np.float64]:
    """Leave out what a continuous symmetry about y contains or adds.

    Args:
        symmetries: (S, 3, 3) half turns.

    Returns:
        (0, 3, 3), or (1, 3, 3) if both ends are alike.
    """
    return symmetries[symmetries[:, 1, 1] < 0.0][:1]
