"""The depth image as points."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.observation.frame import RgbdFrame

__all__ = ["PointCloud", "point_cloud", "selected_points"]

_MAX_DEPTH_SHARE = 2.5
"""Points beyond this many times the median depth are left out: they would shrink the scene."""


@dataclass(frozen=True)
class PointCloud:
    """The depth image as points.

    Attributes:
        centre: (3,) median point.
        points: (N, 3) float32, relative to the centre, so that half precision is enough.
        colours: (N, 3) uint8, RGB.
        spacing_m: distance of neighbouring points at the median depth.
    """

    centre: NDArray[np.float64]
    points: NDArray[np.float32]
    colours: NDArray[np.uint8]
    spacing_m: float


def point_cloud(frame: RgbdFrame, max_points: int) -> PointCloud | None:
    """Sample the depth image on a grid; None if it is empty."""
    camera = frame.camera
    step = max(1, math.ceil(math.sqrt(frame.depth.size / max_points)))
    depth = frame.depth[::step, ::step]
    known = depth > 0.0
    if not known.any():
        return None
    middle = float(np.median(depth[known]))
    v, u = np.nonzero(known & (depth < _MAX_DEPTH_SHARE * middle))
    pixels = np.stack([u, v], axis=-1) * step
    points = camera.back_project(pixels, depth[v, u])
    centre = np.median(points, axis=0).astype(np.float64)
    return PointCloud(
        centre,
        (points - centre).astype(np.float32),
        np.ascontiguousarray(frame.colour[pixels[:, 1], pixels[:, 0]]),
        step * middle / camera.fx,
    )


def selected_points(
    cloud: PointCloud | None, chosen: NDArray[np.bool_] | None
) -> PointCloud | None:
    """Select points of a cloud; None if there are none."""
    if cloud is None or chosen is None or not chosen.any():
        return None
    return replace(cloud, points=cloud.points[chosen], colours=cloud.colours[chosen])
