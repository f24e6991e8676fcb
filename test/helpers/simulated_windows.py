"""Instances that are a ball before a wall, without an image."""

from __future__ import annotations

import numpy as np

from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.observation.frame import Instance
from sdfpose_core.observation.free_space import FreeSpace

__all__ = ["window_instance"]

CELLS, FOCAL, CENTRE = 96, 120.0, 47.5


def window_instance(category="can", *, mask_id=1, distance=0.6, radius=0.08):
    """A ball, of which the nearest point is as far away as asked, 0.1 m before a wall."""
    v, u = np.mgrid[:CELLS, :CELLS]
    rays = np.stack([(u - CENTRE) / FOCAL, (v - CENTRE) / FOCAL, np.ones_like(u)], axis=-1)
    middle = distance + radius
    # The nearer of the two z with |z ray - (0, 0, middle)| = radius.
    square = (rays**2).sum(axis=-1)
    root = middle**2 - square * (middle**2 - radius**2)
    own = root > 0.0
    depth = np.where(own, (middle - np.sqrt(np.maximum(root, 0.0))) / square, middle + 0.1)
    camera = PinholeCamera(CELLS, CELLS, FOCAL, FOCAL, CENTRE, CENTRE)
    outside = np.where(own, 0.0, 2.0).astype(np.float32)
    window = FreeSpace(depth.astype(np.float32), outside, camera, 0.0)
    points = (rays * depth[..., None])[own].astype(np.float32)
    pixels = np.stack([u[own], v[own]], axis=-1).astype(np.int32)
    return Instance(mask_id, category, 1.0, points, pixels, window, len(points), unknown=True)
