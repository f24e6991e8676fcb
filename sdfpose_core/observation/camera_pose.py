"""Measured pose of the camera in the world, with its uncertainty."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sdfpose_core.errors import FrameError

__all__ = ["MeasuredCameraPose"]

_ORTHONORMAL_TOLERANCE = 1e-3

_TRANSLATION_SD_M, _ROTATION_SD_RAD = 0.002, math.radians(0.2)
"""A calibrated arm: the joints, the hand-eye calibration and the clock together."""


def _default_covariance() -> NDArray[np.float64]:
    return MeasuredCameraPose.covariance_of(_TRANSLATION_SD_M, _ROTATION_SD_RAD)


@dataclass(frozen=True)
class MeasuredCameraPose:
    """Pose of an optical frame (z forward, x right, y down) in the world: x_w = R x_c + t.

    Attributes:
        rotation: R (3, 3), camera to world frame.
        translation: t (3,), metres, world frame: the camera's centre.
        covariance: (6, 6) of its error (x, y, z, rotation vector), metres and radians, about the
            axes of the camera frame. By default that of a calibrated arm.

    Raises:
        FrameError: the rotation is none, or a value is not finite.
    """

    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]
    covariance: NDArray[np.float64] = field(default_factory=_default_covariance)

    def __post_init__(self) -> None:
        for name, shape in (("rotation", (3, 3)), ("translation", (3,)), ("covariance", (6, 6))):
            value = np.array(getattr(self, name), dtype=np.float64)
            if value.shape != shape or not np.all(np.isfinite(value)):
                raise FrameError(
                    f"camera_pose: {name} is {value.tolist()}: expected {shape} finite numbers"
                )
            object.__setattr__(self, name, value)
        gram = self.rotation.T @ self.rotation
        if (
            np.abs(gram - np.eye(3)).max() > _ORTHONORMAL_TOLERANCE
            or np.linalg.det(self.rotation) < 0.0
        ):
            raise FrameError(
                f"camera_pose: rotation is {self.rotation.tolist()}: expected a rotation matrix "
                "from the camera's optical frame to the world"
            )

    @staticmethod
    def covariance_of(translation_sd_m: float, rotation_sd_rad: float) -> NDArray[np.float64]:
        """Covariance (6, 6) of errors that are alike along all axes.

        Args:
            translation_sd_m: standard deviation along each axis, metres.
            rotation_sd_rad: standard deviation about each axis, radians.
        """
        return np.diag(np.repeat([translation_sd_m**2, rotation_sd_rad**2], 3))

    def to_camera(self, points: ArrayLike) -> NDArray[np.float64]:
        """Transform world points (..., 3), metres, to the camera frame."""
        return np.asarray((np.asarray(points) - self.translation) @ self.rotation)

    def to_world(self, points: ArrayLike) -> NDArray[np.float64]:
        """Transform points (..., 3) of the camera frame, metres, to the world."""
        return np.asarray(np.asarray(points) @ self.rotation.T + self.translation)

    def covariance_at(self, point: NDArray[np.floating]) -> NDArray[np.float64]:
        """Covariance (6, 6) of the world pose of a thing whose pose in the camera frame is exact.

        Args:
            point: (3,), metres, camera frame: the thing's place, which a rotation error moves.

        Returns:
            Of (x, y, z, rotation vector), metres and radians, about the axes of the camera frame.
        """
        x, y, z = (float(value) for value in point)
        lever = np.eye(6)
        lever[:3, 3:] = [[0.0, z, -y], [-z, 0.0, x], [y, -x, 0.0]]  # w x p = -[p]x w
        return np.asarray(lever @ self.covariance @ lever.T)

    def angle_to(self, other: MeasuredCameraPose) -> float:
        """Angle between two orientations of the camera, radians."""
        cosine = 0.5 * (float(np.trace(self.rotation.T @ other.rotation)) - 1.0)
        return math.acos(min(max(cosine, -1.0), 1.0))
