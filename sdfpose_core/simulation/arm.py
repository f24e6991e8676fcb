"""A camera on a robot's arm: it sweeps round a table, looks away, and its pose is measured."""

from __future__ import annotations

import math

import numpy as np

from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.observation.camera_pose import MeasuredCameraPose
from sdfpose_core.simulation.motion import CameraPath, LookAside, Oscillation
from sdfpose_core.simulation.rotations import about
from sdfpose_core.simulation.scene import CameraPose

__all__ = ["AWAY_S", "arm_path", "measured"]

AWAY_S = 10.0
"""Time for which the camera looks away from the table."""

_TARGET_M = np.array([0.0, 0.05, -0.02])
_DISTANCE_M = 1.0
_ELEVATION = math.radians(38.0)
_SPEED_M_S = 0.5
"""Largest speed of the camera."""

_SWEEP = math.radians(70.0)
"""Amplitude of the camera's azimuth."""

_AWAY_START_S, _AWAY_TURN_S, _AWAY_ANGLE = 10.0, 1.0, math.radians(95.0)
"""The camera turns away from the table at this time, for this long, by this angle."""


def arm_path(camera: PinholeCamera, seed: int = 0) -> CameraPath:
    """Path of the camera round `simulation.table_scene`.

    The arm sweeps to and fro at up to 0.5 m/s. From 10 s on, the camera looks past all objects for
    `AWAY_S`.

    Args:
        camera: its field of view must be less than 100 degrees.
        seed: seed of the phases.
    """
    assert 2.0 * math.atan(0.5 * camera.width / camera.fx) < math.radians(100.0)
    rng = np.random.default_rng(seed)
    radius_m = _DISTANCE_M * math.cos(_ELEVATION)
    period_s = 2.0 * math.pi * radius_m * _SWEEP / _SPEED_M_S
    phases = rng.uniform(0.0, 2.0 * math.pi, size=4)
    return CameraPath(
        target=_TARGET_M,
        azimuth=0.5 * math.pi,
        elevation=_ELEVATION,
        distance_m=_DISTANCE_M,
        azimuth_swing=Oscillation(_SWEEP, period_s, phases[0]),
        elevation_swing=Oscillation(math.radians(8.0), 7.3, phases[1]),
        distance_swing=Oscillation(0.06, 9.1, phases[2]),
        target_swing=Oscillation(0.03, 6.1, phases[3]),
        looks=(LookAside(_AWAY_START_S, _AWAY_TURN_S, AWAY_S, _AWAY_ANGLE),),
    )


def measured(
    pose: CameraPose, rng: np.random.Generator, translation_sd_m: float, rotation_sd_rad: float
) -> MeasuredCameraPose:
    """The pose of a camera with the errors of a calibrated arm, which are new in each image.

    Args:
        pose: the true one.
        rng: source of the errors.
        translation_sd_m: standard deviation along each axis, metres.
        rotation_sd_rad: standard deviation about each axis, radians.
    """
    turn = rotation_sd_rad * rng.normal(size=3)
    angle = float(np.linalg.norm(turn))
    error = np.eye(3) if angle == 0.0 else about(turn / angle, angle)
    return MeasuredCameraPose(
        pose.rotation @ error,
        pose.translation + translation_sd_m * rng.normal(size=3),
        MeasuredCameraPose.covariance_of(translation_sd_m, rotation_sd_rad),
    )
