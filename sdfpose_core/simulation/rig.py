"""A rig: cameras that stand round a table."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np

from sdfpose_core.observation.frame import GroundTruth, RgbdFrame
from sdfpose_core.simulation.frames import simulated_frame
from sdfpose_core.simulation.scene import CameraPose
from sdfpose_core.simulation.tabletop import TABLE_CAMERA, table_scene

__all__ = ["rig_frames", "rig_poses"]

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


def rig_frames(
    *, cameras: int, seed: int = 0, width: int = 640, rate_hz: float = 10.0
) -> Iterator[tuple[RgbdFrame, list[GroundTruth]]]:
    """Render the cameras of a rig without end, one after the other; see `rig_poses`.

    The frames of a time have the same stamp, and `view_0_optical_frame` and so on as their
    `frame_id`.

    Args:
        cameras: number of cameras.
        seed: seed of the scene, the places of the cameras and the sensor noise.
        width: image width, pixels; the height is 3/4 of the width.
        rate_hz: frames per second of each camera.

    Yields:
        Each frame and the ground truth of its visible objects.
    """
    scene, rng = table_scene(seed), np.random.default_rng(seed)
    camera = TABLE_CAMERA.resize(width, width * 3 // 4)
    poses = rig_poses(cameras, seed)
    for index in itertools.count():
        for k, pose in enumerate(poses):
            yield simulated_frame(
                scene,
                camera,
                pose,
                rng,
                stamp_ns=round(1e9 * index / rate_hz),
                frame_id=f"view_{k}_optical_frame",
            )
