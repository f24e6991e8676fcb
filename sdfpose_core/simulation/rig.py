"""A rig: cameras that stand round a table."""

from __future__ import annotations

import math

import numpy as np

from sdfpose_core.simulation.scene import CameraPose

__all__ = ["rig_poses"]

_TARGET_M = np.array([0.0, 0.05, -0.02])
_DISTANCE_M, _ELEVATION_DEG = (1.0, 1.2), (30.0, 42.0)
_APART_DEG = 90.0


def rig_poses(count: int, seed: int = 0) -> list[CameraPose]:
    """Poses of cameras that look at the middle of `simulation.tabletop.table_scene`.

    Args:
        count: number of cameras; neighbours are 90 degrees apart.
        seed: seed of the place of the first one, and of heights and distances.
    """
    rng = np.random.default_rng(seed)
    start = math.radians(rng.uniform(0.0, 360.0))
    poses = []
    for index in range(count):
        azimuth = start + index * math.radians(_APART_DEG)
        elevation = math.radians(rng.uniform(*_ELEVATION_DEG))
        across = math.cos(elevation)
        direction = np.array(
            [across * math.cos(azimuth), math.sin(elevation), across * math.sin(azimuth)]
        )
        poses.append(
            CameraPose.look_at(_TARGET_M + rng.uniform(*_DISTANCE_M) * direction, _TARGET_M)
        )
    return poses
