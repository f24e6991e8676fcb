"""Simulated frames with maps of object coordinates, as the NOCS data has them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.camera import PinholeCamera
from sdfpose_core.frame import GroundTruth
from sdfpose_core.simulation.rendering import Rendering

__all__ = ["object_coordinates"]


def object_coordinates(
    rendering: Rendering, camera: PinholeCamera, truths: Sequence[GroundTruth]
) -> NDArray[np.float32]:
    """Where on its object each pixel is: (H, W, 3), normalised object units, 0 elsewhere.

    Args:
        rendering: clean depth and mask.
        camera: that of the rendering.
        truths: poses of the mask's ids.
    """
    coordinates = np.zeros((*rendering.depth.shape, 3), dtype=np.float32)
    for truth in truths:
        v, u = np.nonzero(rendering.mask == truth.mask_id)
        points = camera.back_project(np.stack([u, v], axis=-1), rendering.depth[v, u])
        coordinates[v, u] = (points - truth.translation) @ truth.rotation / truth.scale
    return coordinates
