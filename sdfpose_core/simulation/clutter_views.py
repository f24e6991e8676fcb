"""Cameras that look at clutter from near and far, some of them tilted."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.simulation.scene import CameraPose, Scene
from sdfpose_core.simulation.views import random_intrinsics

__all__ = ["clutter_camera", "clutter_pose"]

_FIELD_OF_VIEW_DEG = (42.0, 88.0)
"""Range of the horizontal field of view: from long lenses of structured light to wide stereo."""

_ELEVATION_DEG = (3.0, 88.0)
_ROLL_SD_DEG = 5.0

_NEAREST_M = 0.2
"""Cameras measure nothing that is nearer."""

_ATTEMPTS = 24
_COARSE = (16, 12)
"""Size of the image that tells whether a view is of use."""

_LEAST_SEEN = 8
"""A view is of use if this many of its pixels show objects."""

_ROOM_HALF_M = 0.4
"""Half side of the region that a camera looks at if there are no objects."""


def clutter_camera(rng: np.random.Generator, width: int) -> PinholeCamera:
    """Draw the intrinsics of a camera with an image of `width` x 3/4 `width` pixels."""
    return random_intrinsics(rng, width, width * 3 // 4, _FIELD_OF_VIEW_DEG)


def clutter_pose(
    rng: np.random.Generator,
    scene: Scene,
    camera: PinholeCamera,
    *,
    distance_m: tuple[float, float],
    tilted: float,
) -> CameraPose:
    """Draw a camera that looks at one of the objects, or past it.

    Args:
        rng: source of all random draws.
        scene: scene to look at; with no object in it, the camera looks at the room.
        camera: intrinsics.
        distance_m: smallest and largest distance from the place it looks at.
        tilted: probability of any roll about the optical axis; others are nearly level.

    Returns:
        Pose of the camera: nothing is right before it, and some object is in the image; if no such
        view is found, the last one drawn.
    """
    low, high = np.log(distance_m)
    for _ in range(_ATTEMPTS):
        distance = float(np.exp(low + (high - low) * rng.beta(1.2, 1.8)))
        target = _target(rng, scene)
        elevation = np.deg2rad(_ELEVATION_DEG[0] + np.diff(_ELEVATION_DEG)[0] * rng.beta(1.6, 2.0))
        azimuth = rng.uniform(0.0, 2.0 * np.pi)
        flat = np.cos(elevation)
        away = np.array([flat * np.cos(azimuth), np.sin(elevation), flat * np.sin(azimuth)])
        # Up to a third of the image's width off the middle, so that borders cut objects.
        reach = 0.33 * distance * 0.5 * camera.width / camera.fx
        aim = target + reach * rng.uniform(-1.0, 1.0, size=3) * (1.0, 0.6, 1.0)
        roll = np.deg2rad(_ROLL_SD_DEG) * rng.normal()
        if rng.random() < tilted:
            roll = rng.uniform(-np.pi, np.pi)
        pose = CameraPose.look_at(target + distance * away, aim, float(roll))
        if _useful(scene, camera, pose):
            break
    return pose


def _target(rng: np.random.Generator, scene: Scene) -> NDArray[np.float64]:
    instances = scene.instances
    if instances:
        return instances[int(rng.integers(len(instances)))].translation
    half = _ROOM_HALF_M
    return rng.uniform((-half, 0.0, -half), (half, half, half))


def _useful(scene: Scene, camera: PinholeCamera, pose: CameraPose) -> bool:
    """Check a view by a coarse image: nothing too near, and an object in sight if there is one."""
    coarse = camera.resize(*_COARSE)
    rays = coarse.rays(coarse.pixel_grid()) @ pose.rotation.T.astype(np.float32)
    hits = scene.cast(pose.translation, rays)
    if float(hits.distance.min()) < _NEAREST_M:
        return False
    ids = np.array([x.mask_id for x in scene.all_objects] + [0])
    seen = int(np.count_nonzero(ids[hits.owner]))
    return seen >= _LEAST_SEEN or not scene.instances
