"""What one image shows of a tracked object."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.estimation.keyframes import Keyframes
from sdfpose_core.estimation.pose_following import NetworkPrediction
from sdfpose_core.observation.camera_pose import MeasuredCameraPose
from sdfpose_core.observation.frame import Instance, ObjectEstimate
from sdfpose_core.tracking.belief import Belief
from sdfpose_core.tracking.world import in_world

__all__ = ["ObjectObservation"]


@dataclass(frozen=True)
class ObjectObservation:
    """What one image shows of an object.

    Attributes:
        estimate: of the object, camera frame.
        instance: what was measured.
        belief: in the pose.
        keyframes: that determine size and shape.
        prediction: the network's; None to query it in the next image.
        jumped: whether the pose is independent of the earlier one.
    """

    estimate: ObjectEstimate
    instance: Instance
    belief: Belief
    keyframes: Keyframes
    prediction: NetworkPrediction | None
    jumped: bool

    @property
    def label(self) -> str:
        """The category that the mask has."""
        return self.instance.label or self.instance.category

    @property
    def camera(self) -> MeasuredCameraPose | None:
        """Pose of the camera, None if it is unknown."""
        return self.instance.camera_pose

    @cached_property
    def in_world(self) -> ObjectEstimate:
        """The estimate in the world, or in the camera frame if the camera's pose is unknown."""
        return in_world(self.estimate, self.camera)

    def offset_of(self, estimate: ObjectEstimate) -> NDArray[np.float64]:
        """(3,) from the middle of the visible points to the object's centre, metres, camera frame.

        Args:
            estimate: of the object, in the frame of `in_world`.
        """
        centre = estimate.translation
        seen_at = centre if self.camera is None else self.camera.to_camera(centre)
        return np.asarray(seen_at - self.instance.middle)
