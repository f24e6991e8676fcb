"""On which of its sides a solid stands."""

from __future__ import annotations

import numpy as np
import trimesh
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, QhullError

from sdfpose_core.category_learning.orientation import UPS, Orientation, Up
from sdfpose_core.shapes.model import CadModel

__all__ = ["foot_areas"]

_FOOT = 0.015
"""Points this much above the lowest one, in diagonals, touch the ground: feet are not quite even,
and a round side touches along a line."""


def foot_areas(model: CadModel) -> dict[Up, float]:
    """Share of the box's base that an object's foot has, by the axis that points up.

    The foot is the convex hull of all points near the ground. It is 0 if the object would tip over:
    if the centre of mass is not above it.

    Args:
        model: closed solid.
    """
    hull = model.vertices[ConvexHull(model.vertices).vertices]
    mass = trimesh.Trimesh(model.vertices, model.faces, process=False).center_mass
    found: dict[Up, float] = {}
    for up in UPS:
        rotation = Orientation(up).rotation
        found[up] = _foot_area(hull @ rotation.T, rotation @ mass, _FOOT * model.diagonal_m)
    return found


def _foot_area(points: NDArray[np.float64], centre: NDArray[np.float64], height: float) -> float:
    """Area of the foot as a share of the box's base; points (N, 3) and centre (3,), y up."""
    base = np.ptp(points[:, [0, 2]], axis=0).prod()
    foot = points[points[:, 1] <= points[:, 1].min() + height][:, [0, 2]]
    try:
        hull = ConvexHull(foot)
    except QhullError:  # a point or a line
        return 0.0
    above = hull.equations[:, :2] @ centre[[0, 2]] + hull.equations[:, 2] <= 0.0
    return float(hull.volume / base) if above.all() else 0.0
