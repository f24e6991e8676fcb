"""Demonstration scene: one unseen object of each category on a table, and an orbiting camera."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.observation.frame import GroundTruth, RgbdFrame
from sdfpose_core.shapes.families import FAMILIES, HELD_OUT_SEED, sample_model
from sdfpose_core.simulation import primitives
from sdfpose_core.simulation.frames import simulated_frame
from sdfpose_core.simulation.paint import Paint
from sdfpose_core.simulation.rotations import yaw
from sdfpose_core.simulation.scene import CameraPose, Scene, SceneObject

__all__ = ["TABLE_CAMERA", "orbit", "table_frames", "table_scene"]

TABLE_CAMERA = PinholeCamera(640, 480, 600.0, 600.0, 319.5, 239.5)
"""Intrinsics of the demonstration camera: a typical RGB-D camera at VGA resolution."""

_FLOOR_M = -0.74


@dataclass(frozen=True)
class _Place:
    """Position, yaw and paint of an object."""

    x_m: float
    z_m: float
    yaw_deg: float
    paint: Paint


_PLACES = {
    "laptop": _Place(
        -0.02, -0.21, -78.0, Paint((168, 172, 180), "laptop", (38, 44, 56), gloss=0.25)
    ),
    "bottle": _Place(0.33, -0.12, 20.0, Paint((46, 125, 100), "label", (240, 234, 214), gloss=0.5)),
    "mug": _Place(-0.33, -0.02, -40.0, Paint((224, 122, 95), "dipped", (246, 239, 228), gloss=0.4)),
    "can": _Place(0.22, 0.12, 0.0, Paint((196, 57, 60), "label", (238, 220, 170), gloss=0.6)),
    "bowl": _Place(-0.17, 0.16, 0.0, Paint((86, 124, 180), "speckled", (232, 236, 240), gloss=0.4)),
    "camera": _Place(0.045, 0.13, -62.0, Paint((58, 60, 66), "plain", gloss=0.35)),
}
"""Larger objects are behind, as seen from the camera's start (+z), and fronts face the camera."""

_JITTER_M = 0.015
_JITTER_DEG = 12.0


def table_scene(seed: int = 0) -> Scene:
    """Create a table with one held-out instance of each category.

    Mask ids follow the order of `FAMILIES`, from 1 on.

    Args:
        seed: seed of the instances, which no training uses, and of small shifts.
    """
    rng = np.random.default_rng(seed)
    objects = []
    for mask_id, category in enumerate(FAMILIES, start=1):
        place = _PLACES[category]
        model = sample_model(category, HELD_OUT_SEED + seed)
        shift = rng.normal(size=2) * _JITTER_M
        turn = np.deg2rad(place.yaw_deg + _JITTER_DEG * rng.normal())
        where = np.array([place.x_m + shift[0], 0.5 * model.dimensions_m[1], place.z_m + shift[1]])
        objects.append(SceneObject(mask_id, category, model, yaw(turn), where, place.paint))
    top = SceneObject(
        0,
        "",
        primitives.box(1.3, 0.03, 0.95),
        np.eye(3),
        np.array([0.0, -0.015, 0.0]),
        Paint((214, 176, 132), "wood", (160, 116, 76), gloss=0.12),
    )
    leg = primitives.box(0.05, -_FLOOR_M - 0.03, 0.05)
    wood = Paint((120, 86, 58), gloss=0.1)
    legs = [
        SceneObject(0, "", leg, np.eye(3), np.array([x, 0.5 * _FLOOR_M - 0.015, z]), wood)
        for x in (-0.58, 0.58)
        for z in (-0.41, 0.41)
    ]
    floor = SceneObject(
        0,
        "",
        primitives.box(14.0, 0.02, 14.0),
        np.eye(3),
        np.array([0.0, _FLOOR_M - 0.01, 0.0]),
        Paint((203, 205, 203), "tiles", (176, 178, 178), gloss=0.05),
    )
    return Scene([*objects, *legs, floor], top)


def orbit(
    time_s: float,
    *,
    period_s: float = 60.0,
    distance_m: float = 1.2,
    elevation_deg: float = 36.0,
    start_deg: float = 90.0,
) -> CameraPose:
    """Pose of a camera that orbits the table's centre with slowly varying height and distance.

    Args:
        time_s: time since the start.
        period_s: duration of one orbit.
        distance_m: mean distance from the table's centre; varies by 8 %.
        elevation_deg: mean elevation above the table; varies by 7 degrees.
        start_deg: azimuth at time 0, from the world's x toward z.
    """
    phase = 2.0 * np.pi * time_s / period_s
    azimuth = np.deg2rad(start_deg) + phase
    elevation = np.deg2rad(elevation_deg + 7.0 * np.sin(2.0 * phase))
    distance = distance_m * (1.0 + 0.08 * np.sin(3.0 * phase))
    target = np.array([0.0, 0.05, -0.02])
    direction = np.array(
        [
            np.cos(elevation) * np.cos(azimuth),
            np.sin(elevation),
            np.cos(elevation) * np.sin(azimuth),
        ]
    )
    return CameraPose.look_at(target + distance * direction, target)


def table_frames(
    *, seed: int = 0, width: int = 640, rate_hz: float = 10.0, turn_s: float = 60.0
) -> Iterator[tuple[RgbdFrame, list[GroundTruth]]]:
    """Render a camera that circles the table without end.

    Frame k is the same in every run. The sensor noise is that of `SensorNoise.realistic`.

    Args:
        seed: seed of the scene and the sensor noise.
        width: image width, pixels; the height is 3/4 of the width.
        rate_hz: frames per second.
        turn_s: duration of one turn round the table, seconds.

    Yields:
        Each frame and the ground truth of its visible objects.
    """
    scene, rng = table_scene(seed), np.random.default_rng(seed)
    camera = TABLE_CAMERA.resize(width, width * 3 // 4)
    for index in itertools.count():
        time_s = index / rate_hz
        pose = orbit(time_s, period_s=turn_s)
        yield simulated_frame(scene, camera, pose, rng, stamp_ns=round(1e9 * time_s))
