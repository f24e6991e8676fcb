"""How objects move: a Kalman filter of the pose."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from sdfpose_core.evaluation.pose_errors import rotation_error_deg
from sdfpose_core.geometry.alignment import nearest_yaw
from sdfpose_core.observation.frame import ObjectEstimate
from sdfpose_core.tracking.config import TrackerConfig

__all__ = ["PoseFilter", "farther", "moved", "with_yaw_of", "yaw_open"]


_OPEN_YAW_SD = math.radians(20.0)
"""An image leaves the yaw open where its standard deviation is larger. It is some 5 degrees where
a handle is in view, and 40 to 100 where it is not."""


_LEAST_VARIANCE = 1e-12
"""Square metres or radians: far below any measurement's."""


_LEAST_CONFIDENCE = 1e-3


@dataclass(frozen=True)
class PoseFilter:
    """A Kalman filter of the pose: velocities change at random and fade with a time constant.

    The state is the pose's error and the velocity, each (x, y, z, rotation vector) about the
    camera frame's axes; the velocity is an Ornstein-Uhlenbeck process (Uhlenbeck and Ornstein,
    1930). What an image leaves open, such as the yaw of a mug whose handle is hidden, is filled in
    from the images before.

    Attributes:
        velocity: (6,), metres and radians per second.
        covariance: (12, 12) of pose and velocity.
    """

    velocity: NDArray[np.float64]
    covariance: NDArray[np.float64]

    @classmethod
    def start(cls, estimate: ObjectEstimate, config: TrackerConfig) -> PoseFilter:
        """Of an object of which one image is known.

        Where that leaves the yaw open, the yaw it happened to find is as good as any, and kept.
        """
        covariance = np.diag(np.concatenate([np.zeros(6), _velocity_variance(config)]))
        covariance[:3, :3] = _bounded(estimate.covariance[:3, :3])
        covariance[3:6, 3:6] = _bounded(estimate.covariance[3:, 3:], _OPEN_YAW_SD**2)
        return cls(np.zeros(6), covariance)

    def predict(
        self, estimate: ObjectEstimate, seconds: float, config: TrackerConfig
    ) -> tuple[ObjectEstimate, PoseFilter]:
        """Pose and motion after a while."""
        tau, fade = config.coast_s, math.exp(-seconds / config.coast_s)
        span = tau * (1.0 - fade)
        noise = np.diag(_velocity_variance(config))
        before, after = self.covariance, np.empty((12, 12))
        pose, mixed, motion = before[:6, :6], before[:6, 6:], before[6:, 6:]
        after[:6, :6] = pose + span * (mixed + mixed.T) + span**2 * motion
        after[:6, :6] += tau * (2.0 * seconds - tau * (3.0 - 4.0 * fade + fade**2)) * noise
        after[:6, 6:] = fade * (mixed + span * motion) + span * (1.0 - fade) * noise
        after[6:, :6] = after[:6, 6:].T
        after[6:, 6:] = fade**2 * motion + (1.0 - fade**2) * noise
        shift = span * self.velocity
        return _displaced(estimate, shift), PoseFilter(fade * self.velocity, after)

    def correct(
        self, predicted: ObjectEstimate, seen: ObjectEstimate
    ) -> tuple[ObjectEstimate, PoseFilter]:
        """Pose and motion once the image of the predicted time has been looked at.

        The pose moves along what the image leaves open; shape, mesh and the covariance of the
        image are those of `seen`.
        """
        turn, _ = cv2.Rodrigues(seen.rotation @ predicted.rotation.T)
        innovation = np.concatenate([seen.translation - predicted.translation, turn.ravel()])
        # A pose that is likely wrong has errors that its covariance does not know.
        odds_against = (1.0 - seen.confidence) / max(seen.confidence, _LEAST_CONFIDENCE)
        spread = self.covariance[:6, :6] + _bounded(max(odds_against, 1.0) * seen.covariance)
        gain = np.linalg.solve(spread, self.covariance[:6]).T
        change = gain @ innovation
        covariance = self.covariance - gain @ self.covariance[:6]
        pose = _displaced(predicted, change[:6])
        turn_back = pose.rotation @ seen.rotation.T
        fused = moved(seen, turn_back, pose.translation - turn_back @ seen.translation)
        return (
            replace(fused, covariance=seen.covariance),
            PoseFilter(self.velocity + change[6:], 0.5 * (covariance + covariance.T)),
        )


def moved(
    estimate: ObjectEstimate, rotation: NDArray[np.float64], translation: NDArray[np.float64]
) -> ObjectEstimate:
    """The estimate of the object after a rigid motion x -> R x + t of the camera frame.

    The mesh is in the object frame and stays.

    Args:
        estimate: of the object before.
        rotation: R (3, 3).
        translation: t (3,), metres.
    """
    turn = np.zeros((6, 6))
    turn[:3, :3] = turn[3:, 3:] = rotation
    return replace(
        estimate,
        rotation=_orthonormal(rotation @ estimate.rotation),
        translation=rotation @ estimate.translation + translation,
        decoder_translation=rotation @ estimate.decoder_translation + translation,
        covariance=turn @ estimate.covariance @ turn.T,
    )


def with_yaw_of(estimate: ObjectEstimate, reference: ObjectEstimate) -> ObjectEstimate:
    """The estimate, turned about its own y axis to the orientation nearest the reference's."""
    turned = nearest_yaw(estimate.rotation, reference.rotation)
    turn = turned @ np.linalg.inv(estimate.rotation)
    return moved(estimate, turn, estimate.translation - turn @ estimate.translation)


def yaw_open(estimate: ObjectEstimate) -> bool:
    """Whether the image of the estimate says next to nothing of the yaw about its y axis."""
    y_axis = estimate.rotation[:, 1]
    return float(y_axis @ estimate.covariance[3:, 3:] @ y_axis) > _OPEN_YAW_SD**2


def farther(one: ObjectEstimate, other: ObjectEstimate, degrees: float, share: float) -> bool:
    """Whether two poses of an object differ by more than that.

    Args:
        one: an estimate. A yaw that it or the other leaves open does not count.
        other: from the same image.
        degrees: between their rotations.
        share: of the larger one's diagonal, between their places.
    """
    symmetric = yaw_open(one) or yaw_open(other)
    turn = float(rotation_error_deg(one.rotation, other.rotation, symmetric))
    offset_m = float(np.linalg.norm(one.translation - other.translation))
    return turn > degrees or offset_m > share * max(one.scale, other.scale)


def _velocity_variance(config: TrackerConfig) -> NDArray[np.float64]:
    """(6,) of linear and angular velocity."""
    return np.repeat([config.speed_sd_m_s, config.turn_sd_rad_s], 3) ** 2


def _displaced(estimate: ObjectEstimate, change: NDArray[np.float64]) -> ObjectEstimate:
    """The estimate after a translation and rotation vector (6,) about its box's centre."""
    rotation = np.asarray(cv2.Rodrigues(change[3:])[0], dtype=np.float64)
    centre = estimate.translation
    return moved(estimate, rotation, centre + change[:3] - rotation @ centre)


def _orthonormal(rotation: NDArray[np.float64]) -> NDArray[np.float64]:
    """The rotation without rounding errors, which would add up over many frames.

    One step of Newton's iteration for the polar decomposition (Higham, 1986), without the inverse.
    """
    return np.asarray(0.5 * rotation @ (3.0 * np.eye(3) - rotation.T @ rotation))


def _bounded(covariance: NDArray[np.float64], most: float = math.inf) -> NDArray[np.float64]:
    """The covariance with its principal variances above 0, where rounding may leave them, and at
    most as large as given.
    """
    values, vectors = np.linalg.eigh(0.5 * (covariance + covariance.T))
    return np.asarray(vectors * np.clip(values, _LEAST_VARIANCE, most) @ vectors.T)
