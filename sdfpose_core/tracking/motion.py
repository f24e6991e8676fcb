"""Motion of objects: a Kalman filter of the pose."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from sdfpose_core.estimation.rivals import with_modes
from sdfpose_core.evaluation.pose_errors import rotation_error_deg
from sdfpose_core.geometry.alignment import nearest_yaw
from sdfpose_core.observation.frame import ObjectEstimate
from sdfpose_core.tracking.config import TrackerConfig

__all__ = ["PoseFilter", "farther", "moved", "with_modes_of", "with_yaw_of", "yaw_open"]


_OPEN_YAW_SD = math.radians(20.0)
"""The yaw counts as open above this standard deviation. It is some 5 degrees with a visible handle,
and 40 to 100 without."""


_MIN_VARIANCE = 1e-12
"""Square metres or radians, far below that of any measurement."""


_MIN_CONFIDENCE = 1e-3

_REST_VARIANCE_S = np.repeat([0.0001, math.radians(0.05)], 3) ** 2
"""Square metres and radians per second by which the pose of an object at rest becomes uncertain:
old images count less, as size and shape were less certain then."""

_RESHAPED_SD_M, _RESHAPED_SD = 0.001, math.radians(0.5)
"""By how much another shape of the same size changes the pose, metres and radians."""


@dataclass(frozen=True)
class PoseFilter:
    """A Kalman filter of the pose with randomly changing velocities.

    The state is the error of the pose and the velocity, each (x, y, z, rotation vector) about the
    axes of the camera frame, or of the world if the camera's pose is known. The velocity is an
    Ornstein-Uhlenbeck process (Uhlenbeck and Ornstein, 1930): it changes at random and fades with a
    time constant. What an image leaves open, such as the yaw of a mug with a hidden handle, is
    filled in from earlier images.

    In the world, an object may be at rest: its velocity is then 0, and images are averaged.

    Attributes:
        velocity: (6,), metres and radians per second.
        covariance: (12, 12) of pose and velocity.
        at_rest: whether the object stands still.
    """

    velocity: NDArray[np.float64]
    covariance: NDArray[np.float64]
    at_rest: bool = False

    @classmethod
    def start(cls, estimate: ObjectEstimate, config: TrackerConfig) -> PoseFilter:
        """The filter after the first image of an object.

        If the image leaves the yaw open, the estimated yaw is as good as any other, and is kept.
        """
        covariance = np.diag(np.concatenate([np.zeros(6), _velocity_variance(config)]))
        covariance[:3, :3] = _bounded(estimate.covariance[:3, :3])
        covariance[3:6, 3:6] = _bounded(estimate.covariance[3:, 3:], _OPEN_YAW_SD**2)
        return cls(np.zeros(6), covariance)

    def predict(
        self, estimate: ObjectEstimate, seconds: float, config: TrackerConfig
    ) -> tuple[ObjectEstimate, PoseFilter]:
        """Pose and filter after some time."""
        if self.at_rest:
            covariance = self.covariance.copy()
            covariance[:6, :6] += seconds * np.diag(_REST_VARIANCE_S)
            return estimate, replace(self, covariance=covariance)
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
        """Pose and filter after the image of the predicted time.

        The pose keeps the prediction in the directions that the image leaves open. Shape, mesh and
        covariance are those of `seen`.

        Args:
            predicted: the predicted estimate.
            seen: the estimate from the image.
        """
        turn, _ = cv2.Rodrigues(seen.rotation @ predicted.rotation.T)
        innovation = np.concatenate([seen.translation - predicted.translation, turn.ravel()])
        # The covariance does not account for errors of a pose that is likely wrong.
        odds_against = (1.0 - seen.confidence) / max(seen.confidence, _MIN_CONFIDENCE)
        spread = self.covariance[:6, :6] + _bounded(max(odds_against, 1.0) * seen.covariance)
        gain = np.linalg.solve(spread, self.covariance[:6]).T
        change = gain @ innovation
        covariance = self.covariance - gain @ self.covariance[:6]
        pose = _displaced(predicted, change[:6])
        turn_back = pose.rotation @ seen.rotation.T
        fused = moved(seen, turn_back, pose.translation - turn_back @ seen.translation)
        return (
            replace(fused, covariance=seen.covariance),
            replace(
                self,
                velocity=self.velocity + change[6:],
                covariance=0.5 * (covariance + covariance.T),
            ),
        )

    def reshaped(self, resized_m: float) -> PoseFilter:
        """The filter of an object whose shape is another one than thought: so may its pose be.

        Args:
            resized_m: change of its diagonal, metres.
        """
        covariance = self.covariance.copy()
        covariance[:3, :3] += (_RESHAPED_SD_M + 0.5 * resized_m) ** 2 * np.eye(3)
        covariance[3:6, 3:6] += _RESHAPED_SD**2 * np.eye(3)
        return replace(self, covariance=covariance)

    def rested(self) -> PoseFilter:
        """The filter of an object that turned out to stand still."""
        covariance = np.zeros((12, 12))
        covariance[:6, :6] = self.covariance[:6, :6]
        return PoseFilter(np.zeros(6), covariance, at_rest=True)


def moved(
    estimate: ObjectEstimate, rotation: NDArray[np.float64], translation: NDArray[np.float64]
) -> ObjectEstimate:
    """The estimate of the object after a rigid motion x -> R x + t of the camera frame.

    Its alternatives move along. The mesh is in the object frame and stays.

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
        alternatives=tuple(
            replace(
                x,
                rotation=_orthonormal(rotation @ x.rotation),
                translation=rotation @ x.translation + translation,
            )
            for x in estimate.alternatives
        ),
    )


def with_modes_of(estimate: ObjectEstimate, earlier: ObjectEstimate) -> ObjectEstimate:
    """The estimate with the alternatives of an earlier one, moved along with the object.

    A refinement from a predicted pose compares no modes: they stay as probable as they were.
    """
    turn = estimate.rotation @ earlier.rotation.T
    carried = moved(earlier, turn, estimate.translation - turn @ earlier.translation)
    return with_modes(estimate, carried.probability, carried.alternatives)


def with_yaw_of(estimate: ObjectEstimate, reference: ObjectEstimate) -> ObjectEstimate:
    """The estimate, turned about its own y axis to the orientation nearest the reference's.

    The object does not move: its alternatives stay where they are.
    """
    turned = nearest_yaw(estimate.rotation, reference.rotation)
    turn = turned @ np.linalg.inv(estimate.rotation)
    result = moved(estimate, turn, estimate.translation - turn @ estimate.translation)
    return replace(result, alternatives=estimate.alternatives)


def yaw_open(estimate: ObjectEstimate) -> bool:
    """Whether the estimate leaves the yaw about its y axis open."""
    y_axis = estimate.rotation[:, 1]
    return float(y_axis @ estimate.covariance[3:, 3:] @ y_axis) > _OPEN_YAW_SD**2


def farther(one: ObjectEstimate, other: ObjectEstimate, degrees: float, share: float) -> bool:
    """Whether two poses of an object differ by more than that.

    Args:
        one: an estimate. A yaw that either estimate leaves open does not count.
        other: an estimate from the same image.
        degrees: angle between the rotations.
        share: distance of the centres, as a share of the larger diagonal.
    """
    symmetric = yaw_open(one) or yaw_open(other)
    turn = float(rotation_error_deg(one.rotation, other.rotation, symmetric))
    offset_m = float(np.linalg.norm(one.translation - other.translation))
    return turn > degrees or offset_m > share * max(one.scale, other.scale)


def _velocity_variance(config: TrackerConfig) -> NDArray[np.float64]:
    """(6,) variances of linear and angular velocity."""
    return np.repeat([config.speed_sd_m_s, config.turn_sd_rad_s], 3) ** 2


def _displaced(estimate: ObjectEstimate, change: NDArray[np.float64]) -> ObjectEstimate:
    """The estimate after a translation and rotation vector (6,) about its box's centre."""
    rotation = np.asarray(cv2.Rodrigues(change[3:])[0], dtype=np.float64)
    centre = estimate.translation
    return moved(estimate, rotation, centre + change[:3] - rotation @ centre)


def _orthonormal(rotation: NDArray[np.float64]) -> NDArray[np.float64]:
    """The nearest rotation, so that rounding errors do not add up over many frames.

    One step of Newton's iteration for the polar decomposition (Higham, 1986), without the inverse.
    """
    return np.asarray(0.5 * rotation @ (3.0 * np.eye(3) - rotation.T @ rotation))


def _bounded(covariance: NDArray[np.float64], most: float = math.inf) -> NDArray[np.float64]:
    """The covariance with its principal variances above 0, which rounding may violate, and at most
    as large as given.
    """
    values, vectors = np.linalg.eigh(0.5 * (covariance + covariance.T))
    return np.asarray(vectors * np.clip(values, _MIN_VARIANCE, most) @ vectors.T)
