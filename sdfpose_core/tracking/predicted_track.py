"""The predicted state of a tracked object in an image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.estimation.pose_following import NetworkPrediction
from sdfpose_core.observation.frame import Instance, ObjectEstimate
from sdfpose_core.tracking.motion import PoseFilter, moved, with_yaw_of, yaw_open

if TYPE_CHECKING:
    from sdfpose_core.tracking.tracked_object import TrackedObject

__all__ = ["PredictedTrack", "with_predicted_yaw"]

_MIDDLE_SLACK = 0.2
"""Diagonals by which the middle of an object's visible points varies from image to image."""


@dataclass(frozen=True)
class PredictedTrack:
    """The predicted state of an object in this image.

    Attributes:
        object: the object.
        estimate: at the predicted pose, camera frame.
        prediction: the network's last prediction.
        reference: the same estimate in the frame in which the object is tracked.
        last_place: (3,), metres: where the object was last seen, in this image's camera frame.
        motion: the filter at this time.
        unseen_s: seconds since the object was seen.
        recent: whether the prediction is good enough for a warm start. The time since the object
            was seen decides, not the number of images: a pause is no image.
        gate_m: distance within which an instance may be the object.
    """

    object: TrackedObject
    estimate: ObjectEstimate
    prediction: NetworkPrediction | None
    reference: ObjectEstimate
    last_place: NDArray[np.float64]
    motion: PoseFilter
    unseen_s: float
    recent: bool
    gate_m: float

    @property
    def priority(self) -> int:
        """Order of association, lowest first: recently seen objects before the others."""
        if not self.recent:
            return 2
        return 0 if self.object.visible else 1

    @property
    def middle(self) -> NDArray[np.float64]:
        """(3,), metres: predicted middle of its visible points."""
        return self.estimate.translation - self.object.offset

    @property
    def path(self) -> NDArray[np.float64]:
        """(2, 3), metres: ends of the segment on which the middle of its points is predicted.

        An object out of view may have stopped as well as moved on: a camera that looked away may
        look back. The same holds after a pause.
        """
        if self.object.visible and self.recent:
            return np.stack([self.middle, self.middle])
        return np.stack([self.last_place - self.object.offset, self.middle])

    def may_be(self, instance: Instance) -> bool:
        """Whether an instance lies where the object may be."""
        near = np.linalg.norm(self.path - instance.middle, axis=1).min()
        return float(near) < self.gate_m

    def displaced_start(self, instance: Instance) -> ObjectEstimate | None:
        """The estimate moved along with the measured points, if these are far from the prediction.

        After a sudden motion, a refinement from the predicted place may end in a wrong minimum. If
        most of the object is hidden, on the other hand, the visible points hardly determine its
        position. Hence both starts are tried.
        """
        off = instance.middle - self.middle
        if float(np.linalg.norm(off)) <= _MIDDLE_SLACK * self.estimate.scale:
            return None
        return moved(self.estimate, np.eye(3), off)


def with_predicted_yaw(estimate: ObjectEstimate, predicted: PredictedTrack) -> ObjectEstimate:
    """The estimate with the predicted yaw, if its own is arbitrary.

    The yaw of a bottle that is not round is measurable although errors ignore it, and stays.
    """
    if estimate.symmetric_about_y and yaw_open(estimate):
        return with_yaw_of(estimate, predicted.estimate)
    return estimate
