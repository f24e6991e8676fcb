"""An object that is followed: what is remembered of it, and where it should be."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.estimation.keyframes import Keyframes
from sdfpose_core.estimation.pose_following import NetworkPrediction
from sdfpose_core.observation.frame import Instance, ObjectEstimate
from sdfpose_core.tracking.belief import Belief
from sdfpose_core.tracking.config import TrackerConfig
from sdfpose_core.tracking.motion import PoseFilter, moved, with_yaw_of, yaw_open

__all__ = [
    "ObjectObservation",
    "PredictedTrack",
    "Track",
    "TrackState",
    "TrackedObject",
    "with_predicted_yaw",
]


_GATE_SDS = 2.0
"""Standard deviations of its predicted place by which an object's gate widens."""


_WIDEST_GATE = 2.0
"""Diagonals: what turns up farther away is taken for another object."""


_MIDDLE_SLACK = 0.2
"""Diagonals by which the middle of an object's visible points wanders from image to image."""


_NEW_MESH_SCALE = 1e-3
"""Relative change of the size that makes another mesh."""


class TrackState(IntEnum):
    """What the tracker thinks of an object; the numbers are those of ``SdfObject.msg``."""

    TENTATIVE = 1
    """Seen, but not often enough with confidence to be relied on."""

    TRACKED = 2
    """Seen in this image."""

    LOST = 3
    """Not seen in this image: its estimate is a prediction."""


@dataclass(frozen=True)
class Track:
    """One object as it is followed.

    Attributes:
        id: from 1; no other object gets it for as long as the tracker lives.
        state: what the tracker thinks of it.
        estimate: at the time of this image. For a `LOST` one it is predicted: the covariance
            grows and the confidence fades with the time since it was seen.
        mesh_revision: counts the object's meshes from 1; 0 = it has none yet.
        stamp_ns: of the last image in which it was seen, nanoseconds.
        age: images since it was detected; 1 in the first.
    """

    id: int
    state: TrackState
    estimate: ObjectEstimate
    mesh_revision: int
    stamp_ns: int
    age: int


@dataclass(frozen=True)
class ObjectObservation:
    """What one image says of an object.

    Attributes:
        estimate: of it.
        instance: what was measured.
        belief: in the pose.
        keyframes: the views that its size and shape are known from.
        prediction: what the network said of it; None where it is to be asked in the next image.
        anew: whether its pose has nothing to do with the earlier one.
    """

    estimate: ObjectEstimate
    instance: Instance
    belief: Belief
    keyframes: Keyframes
    prediction: NetworkPrediction | None
    anew: bool


@dataclass(frozen=True)
class TrackedObject:
    """What is remembered of an object.

    Attributes:
        id: the track's.
        estimate: when it was last seen.
        stamp_ns: of that image.
        offset: (3,) from the middle of its visible points to its centre, metres, camera frame.
        motion: how it moved.
        keyframes: the views that its size and shape are known from.
        belief: in its pose.
        prediction: what the network said of it when it was last asked.
        confirmations: images in which it was seen with confidence.
        missing_frames: images since it was last seen.
        age: images since it was detected.
        mesh_revision: number of its mesh, 0 for none.
        mesh_scale: its size when that mesh was made.
    """

    id: int
    estimate: ObjectEstimate
    stamp_ns: int
    offset: NDArray[np.float64]
    motion: PoseFilter
    keyframes: Keyframes
    belief: Belief
    prediction: NetworkPrediction | None
    confirmations: int
    missing_frames: int
    age: int
    mesh_revision: int
    mesh_scale: float

    @classmethod
    def detected(
        cls, new_id: int, sighting: ObjectObservation, stamp_ns: int, config: TrackerConfig
    ) -> TrackedObject:
        """After the first image that shows it."""
        estimate = sighting.estimate
        return cls(
            id=new_id,
            estimate=estimate,
            stamp_ns=stamp_ns,
            offset=estimate.translation - sighting.instance.middle,
            motion=PoseFilter.start(estimate, config),
            keyframes=sighting.keyframes,
            belief=sighting.belief,
            prediction=sighting.prediction,
            confirmations=int(estimate.confidence >= config.accept_confidence),
            missing_frames=0,
            age=1,
            mesh_revision=int(len(estimate.vertices) > 0),
            mesh_scale=estimate.scale,
        )

    @property
    def category(self) -> str:
        """Name of its category."""
        return self.estimate.category

    def seen(
        self,
        sighting: ObjectObservation,
        predicted: PredictedTrack,
        stamp_ns: int,
        config: TrackerConfig,
    ) -> TrackedObject:
        """After an image that shows it."""
        estimate = sighting.estimate
        if sighting.anew or stamp_ns == self.stamp_ns:
            motion = PoseFilter.start(estimate, config)
        else:
            estimate, motion = predicted.motion.correct(predicted.estimate, estimate)
        revision, mesh_scale = self._mesh_of(estimate)
        return replace(
            self,
            estimate=estimate,
            stamp_ns=stamp_ns,
            offset=estimate.translation - sighting.instance.middle,
            motion=motion,
            keyframes=sighting.keyframes,
            belief=sighting.belief,
            prediction=sighting.prediction,
            confirmations=self.confirmations + (estimate.confidence >= config.accept_confidence),
            missing_frames=0,
            age=self.age + 1,
            mesh_revision=revision,
            mesh_scale=mesh_scale,
        )

    def missed(self) -> TrackedObject:
        """After an image that does not show it."""
        return replace(self, missing_frames=self.missing_frames + 1, age=self.age + 1)

    def corrected(
        self,
        before: ObjectEstimate,
        after: ObjectEstimate,
        keyframes: Keyframes,
        belief: Belief,
        config: TrackerConfig,
        *,
        anew: bool,
    ) -> TrackedObject:
        """As it turned out to be in an earlier image, moved as it has moved since.

        Args:
            before: what it was taken for in that image.
            after: what it is.
            keyframes: its views.
            belief: in the pose.
            config: when to believe what.
            anew: whether the pose has nothing to do with the earlier one.
        """
        turn = self.estimate.rotation @ before.rotation.T
        estimate = moved(after, turn, self.estimate.translation - turn @ before.translation)
        estimate = replace(estimate, mask_id=self.estimate.mask_id)
        revision, mesh_scale = self._mesh_of(estimate)
        return replace(
            self,
            estimate=estimate,
            offset=self.offset + estimate.translation - self.estimate.translation,
            motion=PoseFilter.start(estimate, config) if anew else self.motion,
            keyframes=keyframes,
            belief=belief,
            mesh_revision=revision,
            mesh_scale=mesh_scale,
        )

    def confirmed(self, config: TrackerConfig) -> bool:
        """Whether it was seen with confidence often enough to be relied on."""
        return self.confirmations >= config.confirm_frames

    def state(self, config: TrackerConfig) -> TrackState:
        """What the last image makes of it."""
        if self.missing_frames:
            return TrackState.LOST
        return TrackState.TRACKED if self.confirmed(config) else TrackState.TENTATIVE

    def given_up(self, now_ns: int, config: TrackerConfig) -> bool:
        """Whether it has been away for too long. What the last image showed is never."""
        limit_s = config.remove_after_s if self.confirmed(config) else config.coast_s
        return self.missing_frames > 0 and (
            self.unseen_s(now_ns) > limit_s or self.missing_frames >= config.remove_after_frames
        )

    def unseen_s(self, now_ns: int) -> float:
        """Seconds since it was last seen."""
        return 1e-9 * (now_ns - self.stamp_ns)

    def predict(self, now_ns: int, config: TrackerConfig) -> PredictedTrack:
        """Where it should be by now."""
        seconds = self.unseen_s(now_ns)
        estimate, motion = self.motion.predict(self.estimate, seconds, config)
        place_sd_m = math.sqrt(float(np.linalg.eigvalsh(motion.covariance[:3, :3])[-1]))
        rad_s = float(np.linalg.norm(self.motion.velocity[3:]))
        return PredictedTrack(
            memory=self,
            estimate=estimate,
            prediction=None if self.prediction is None else self.prediction.aged(seconds, rad_s),
            motion=motion,
            recent=self.missing_frames == 0 or seconds <= config.coast_s,
            gate_m=min(
                config.gate_share * estimate.scale + _GATE_SDS * place_sd_m,
                _WIDEST_GATE * estimate.scale,
            ),
        )

    def track(self, now_ns: int, config: TrackerConfig) -> Track:
        """What is reported."""
        estimate, state = self.estimate, self.state(config)
        if state == TrackState.LOST:
            predicted = self.predict(now_ns, config)
            fading = max(1.0 - self.unseen_s(now_ns) / config.remove_after_s, 0.0)
            estimate = replace(
                predicted.estimate,
                # Errors that an object's images share do not average out in the filter.
                covariance=estimate.covariance + predicted.motion.covariance[:6, :6],
                confidence=fading * estimate.confidence,
            )
        return Track(self.id, state, estimate, self.mesh_revision, self.stamp_ns, self.age)

    def _mesh_of(self, estimate: ObjectEstimate) -> tuple[int, float]:
        """Number of the estimate's mesh, and the size of the object when that was made."""
        same = len(estimate.vertices) == 0 or (
            self.mesh_revision > 0
            and np.array_equal(estimate.code, self.estimate.code)
            and abs(estimate.scale / self.mesh_scale - 1.0) <= _NEW_MESH_SCALE
        )
        if same:
            return self.mesh_revision, self.mesh_scale
        return self.mesh_revision + 1, estimate.scale


@dataclass(frozen=True)
class PredictedTrack:
    """Where an object should be in this image.

    Attributes:
        memory: the object.
        estimate: moved to where it should be.
        prediction: what the network said of it.
        motion: its filter at this time.
        recent: whether that is good enough for a warm start. What the last image showed is, also
            where images come slowly.
        gate_m: distance within which a measurement may be of it.
    """

    memory: TrackedObject
    estimate: ObjectEstimate
    prediction: NetworkPrediction | None
    motion: PoseFilter
    recent: bool
    gate_m: float

    @property
    def turn(self) -> int:
        """When it chooses among what the image shows: the less it has been away, the sooner."""
        if self.memory.missing_frames == 0:
            return 0
        return 1 if self.recent else 2

    @property
    def middle(self) -> NDArray[np.float64]:
        """(3,), metres: where the middle of its points should be."""
        return self.estimate.translation - self.memory.offset

    @property
    def path(self) -> NDArray[np.float64]:
        """(2, 3), metres: on the way from the one to the other the middle of its points may be.

        What went out of sight may have stopped there as well as gone on: the camera that looked
        away looks back.
        """
        if self.memory.missing_frames == 0:
            return np.stack([self.middle, self.middle])
        return np.stack([self.memory.estimate.translation - self.memory.offset, self.middle])

    def displaced_start(self, instance: Instance) -> ObjectEstimate | None:
        """Where it would be if it had followed its points, where hidden parts do not explain that
        they are so far off.

        When the camera or the object speeds up, a refinement from the predicted place may be
        caught elsewhere. When something hides most of the object, the points that are left say
        little of its place.
        """
        off = instance.middle - self.middle
        if float(np.linalg.norm(off)) <= _MIDDLE_SLACK * self.estimate.scale:
            return None
        return moved(self.estimate, np.eye(3), off)


def with_predicted_yaw(estimate: ObjectEstimate, predicted: PredictedTrack) -> ObjectEstimate:
    """The estimate with the predicted yaw where its own is arbitrary.

    That of a bottle which is not round is known although it does not count, and stays.
    """
    if estimate.symmetric_about_y and yaw_open(estimate):
        return with_yaw_of(estimate, predicted.estimate)
    return estimate
